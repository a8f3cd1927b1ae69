//! The pages that a user sees on the way back from a provider. They carry words, the stage and a way back, and
//! never a code, a verifier, a token or a state. What may run on them comes from our own files.

use super::{Connecting, stage::Words};
use crate::problem::Problem;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};
use url::Url;

/// Where the pages' style is.
pub(crate) const STYLE_PATH: &str = "/oauth/page.css";
/// Where their script is.
pub(crate) const SCRIPT_PATH: &str = "/oauth/page.js";
pub(crate) const STYLE: &str = include_str!("page.css");
pub(crate) const SCRIPT: &str = include_str!("page.js");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Without scripts a page looks again after so many seconds, or after a failure of ours.
const LOOK_AGAIN_S: u32 = 2;
/// Before a user is led back, so that he sees what became of it.
const LEAD_BACK_S: u32 = 2;

/// A page.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    status: StatusCode,
    title: String,
    texts: Vec<String>,
    next: Next,
    // Boxed, for pages are errors too.
    back: Option<Box<Url>>,
}

/// What the page does by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// Watches this path, and loads again when the stage is another.
    Watch {
        path: String,
        stage: &'static str,
    },
    /// Asks the same again after a while.
    Again,
    /// Leads back to the app.
    Back,
}

impl Page {
    pub(crate) fn new(
        status: StatusCode,
        title: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        let (title, texts) = (title.into(), vec![text.into()]);
        Self { status, title, texts, next: Next::Nothing, back: None }
    }

    pub(crate) fn of(words: Words) -> Self {
        Self::new(StatusCode::OK, words.title, words.text)
    }

    /// Another sentence.
    pub(crate) fn adding(mut self, text: impl Into<String>) -> Self {
        self.texts.push(text.into());
        self
    }

    /// Follows what `path` answers, and looks different when that is no longer `stage`.
    pub(crate) fn watching(self, path: String, stage: &'static str) -> Self {
        Self { next: Next::Watch { path, stage }, ..self }
    }

    /// With a link back to the app; `at_once`: the user is led there.
    pub(crate) fn with_way_back(self, back: Option<Url>, at_once: bool) -> Self {
        let next = if at_once && back.is_some() { Next::Back } else { self.next };
        Self { next, back: back.map(Box::new), ..self }
    }

    /// Nothing that a provider sends with an unknown or forged state means anything to us.
    pub(crate) fn unknown() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "This link is not known here",
            "It was not made by this service, it is too old, or it was changed on its way. Start again from the app.",
        )
    }

    /// Each link works once.
    pub(crate) fn used() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "This link was used before",
            "It works once only. Look into the app: the account may be connected already. If it is not, start again there.",
        )
    }

    /// The user took too long at the provider's.
    pub(crate) fn late() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "This took too long",
            "The link has run out, and nothing was connected. Start again from the app.",
        )
    }

    /// What came back is no answer.
    pub(crate) fn broken() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "This answer cannot be used",
            "What came back from the provider is incomplete. Start again from the app.",
        )
    }

    /// There is no such page, or not for this browser.
    pub(crate) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "There is nothing here",
            "This page can be seen for half an hour, and only in the browser that came back from the provider.",
        )
    }

    pub(crate) fn respond(&self, connecting: &Connecting) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ]
        .map(|(name, value)| (name, HeaderValue::from_static(value)));
        (self.status, headers, self.html(connecting).into_string()).into_response()
    }

    fn html(&self, connecting: &Connecting) -> Markup {
        let (watched, stage) = match &self.next {
            Next::Watch { path, stage } => (Some(path), Some(*stage)),
            Next::Nothing | Next::Again | Next::Back => (None, None),
        };
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="robots" content="noindex";
                    title { (self.title) }
                    link rel="stylesheet" href=(connecting.path(STYLE_PATH));
                    @match (&self.next, &self.back) {
                        (Next::Again, _) => meta http-equiv="refresh" content=(LOOK_AGAIN_S);,
                        (Next::Watch { .. }, _) => {
                            script src=(connecting.path(SCRIPT_PATH)) defer {}
                            noscript { meta http-equiv="refresh" content=(LOOK_AGAIN_S); }
                        }
                        (Next::Back, Some(back)) => meta http-equiv="refresh" content={ (LEAD_BACK_S) ";url=" (back.as_str()) };,
                        (Next::Nothing | Next::Back, _) => {}
                    }
                }
                body {
                    main role="status" data-watch=[watched] data-stage=[stage] {
                        h1 { (self.title) }
                        @for text in &self.texts { p { (text) } }
                        @if let Some(back) = &self.back { a.back href=(back.as_str()) { "Back to the app" } }
                    }
                }
            }
        }
    }
}

/// A failure of ours: the page asks the same again, for the user's answer is not lost yet.
impl From<Problem> for Page {
    fn from(problem: Problem) -> Self {
        let page = Self::new(
            problem.kind.entry().status,
            "One moment, please",
            "This service cannot answer now. This page tries again by itself.",
        );
        Self { next: Next::Again, ..page }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        connect::{stage::Stage, tests::connecting},
        problem::Kind,
    };
    use paceline_shared::Provider;

    fn html(page: &Page) -> String {
        page.html(&connecting("https://example.org/sync")).into_string()
    }

    #[test]
    fn nothing_that_a_page_says_can_break_out_of_it() {
        let back = Url::parse("my-app://connected/\"><script>alert(1)</script>?a='\"<").unwrap();
        let page = Page::new(StatusCode::OK, "<b>&", "\"><script>")
            .adding("<img src=x>")
            .with_way_back(Some(back), true);
        let html = html(&page);
        assert!(
            !html.contains("<b>") && !html.contains("<script") && !html.contains("<img"),
            "{html}"
        );
        assert!(html.contains("&lt;b&gt;&amp;"), "{html}");
        assert_eq!(html.matches("my-app://connected/").count(), 2, "{html}");
        assert_eq!(html.matches('"').count() % 2, 0, "{html}");
    }

    #[test]
    fn a_page_under_way_watches_with_and_without_scripts() {
        let words = Stage::Working.words(Provider::Strava);
        let html = html(
            &Page::of(words).watching("/sync/oauth/strava/status/x/now".to_owned(), "working"),
        );
        assert!(html.contains("<script src=\"/sync/oauth/page.js\" defer></script>"), "{html}");
        assert!(
            html.contains("<noscript><meta http-equiv=\"refresh\" content=\"2\"></noscript>"),
            "{html}"
        );
        assert!(
            html.contains("data-watch=\"/sync/oauth/strava/status/x/now\" data-stage=\"working\""),
            "{html}"
        );
    }

    #[test]
    fn the_way_back_is_offered_and_followed_only_where_it_should_be() {
        let back = Url::parse("https://app.example.org/done?outcome=connected").unwrap();
        let page = Page::of(Stage::Connected.words(Provider::Strava));
        let followed = html(&page.clone().with_way_back(Some(back.clone()), true));
        assert!(
            followed.contains("content=\"2;url=https://app.example.org/done?outcome=connected\""),
            "{followed}"
        );
        let offered = html(&page.clone().with_way_back(Some(back), false));
        assert!(!offered.contains("refresh") && offered.contains("class=\"back\""), "{offered}");
        let none = html(&page.with_way_back(None, true));
        assert!(!none.contains("refresh") && !none.contains("class=\"back\""), "{none}");
    }

    #[test]
    fn a_failure_of_ours_asks_again_and_no_page_leaks_its_address() {
        let page = Page::from(Problem::new(Kind::Unavailable));
        assert!(html(&page).contains("<meta http-equiv=\"refresh\" content=\"2\">"));
        let response = page.respond(&connecting("https://example.org"));
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ] {
            assert_eq!(response.headers()[name], value);
        }
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
}
