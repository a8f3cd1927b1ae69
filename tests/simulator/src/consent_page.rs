//! The page where a person consents, in its simulated form: the same for every provider.
//!
//! Without a choice in its query it shows a form for each person. What a form sends is the shortcut
//! for tests: `auto=<user id>` consents at once, `auto=new` creates a user first, `auto=deny` refuses;
//! `granted=<scope>` (repeated, or a list with commas or spaces) unticks whatever it does not name.
//! Must not know codes, nor what a provider asks of a request.

use std::fmt::Write;

use axum::response::Response;
use url::Url;

use crate::http::{self, Fields, HTML};

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice<'a> {
    /// Nothing yet: show the page.
    Open,
    /// Do not consent.
    Deny,
    /// Consent as a user to be created.
    New,
    /// Consent as this user.
    User(&'a str),
}

pub(crate) fn choice(fields: &Fields) -> Choice<'_> {
    match fields.one("auto") {
        None => Choice::Open,
        Some("deny") => Choice::Deny,
        Some("new") => Choice::New,
        Some(user) => Choice::User(user),
    }
}

/// Of the scopes asked for, those that stayed ticked: all, when nothing says otherwise.
pub(crate) fn granted<'a>(fields: &Fields, asked: &[&'a str]) -> Vec<&'a str> {
    let ticked: Vec<&str> = fields.all("granted").flat_map(|list| list.split([',', ' '])).collect();
    let stays = |scope: &&str| ticked.is_empty() || ticked.contains(scope);
    asked.iter().copied().filter(stays).collect()
}

/// 302 to the client with the answer appended to its query; `None` when that is no header value.
pub(crate) fn send_back(mut to: Url, fields: &Fields, answer: &[(&str, &str)]) -> Option<Response> {
    let mut query = to.query_pairs_mut();
    if let Some(state) = fields.one("state") {
        query.append_pair("state", state);
    }
    query.extend_pairs(answer);
    drop(query);
    http::redirect(to.as_str())
}

/// What the page offers.
pub(crate) struct Page<'a> {
    /// As in `Strava`.
    pub(crate) provider: &'a str,
    /// The request that the page answers.
    pub(crate) fields: &'a Fields,
    /// Its parameters that a form sends again.
    pub(crate) carried: &'a [&'a str],
    /// To be ticked or not.
    pub(crate) scopes: &'a [&'a str],
    /// Id and label of everybody who may consent.
    pub(crate) people: Vec<(String, String)>,
}

impl Page<'_> {
    pub(crate) fn show(&self) -> Response {
        http::reply(200, HTML, self.html())
    }

    fn html(&self) -> String {
        let mut page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>Authorize (simulated {0})</title><style>body{{font:16px system-ui;max-width:34rem;\
             margin:3rem auto;padding:0 1rem}}form{{margin:1rem 0}}button{{font:inherit;padding:.4rem 1rem}}\
             </style><h1>Authorize the application?</h1><p>This is a simulated {0}. Choose who you are.</p>",
            self.provider
        );
        for (id, label) in &self.people {
            self.form(&mut page, true, id, &format!("Authorize as {label}"));
        }
        self.form(&mut page, true, "new", "Authorize as someone new");
        self.form(&mut page, false, "deny", "Cancel");
        page
    }

    fn form(&self, page: &mut String, grants: bool, auto: &str, label: &str) {
        page.push_str("<form method=\"get\">");
        // Writing to a string does not fail.
        for name in self.carried {
            if let Some(value) = self.fields.one(name) {
                let _written = write!(
                    page,
                    "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
                    escaped(value)
                );
            }
        }
        if grants {
            // Sent even when every box is unticked, so that nothing granted is not everything granted.
            page.push_str("<input type=\"hidden\" name=\"granted\" value=\"none\">");
            for scope in self.scopes {
                let _written = write!(
                    page,
                    "<label><input type=\"checkbox\" name=\"granted\" value=\"{0}\" checked> {0}</label><br>",
                    escaped(scope)
                );
            }
        }
        let _written = write!(
            page,
            "<button name=\"auto\" value=\"{}\">{}</button></form>",
            escaped(auto),
            escaped(label)
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_ticked_is_granted_and_all_when_nothing_says_otherwise() {
        let asked = ["weight", "sleep", "profile"];
        let of = |query: &str| granted(&Fields::parse(query.as_bytes()), &asked);
        assert_eq!(of(""), asked);
        assert!(of("granted=none").is_empty());
        assert_eq!(of("granted=none&granted=sleep"), ["sleep"]);
        assert_eq!(of("granted=weight+profile"), ["weight", "profile"]);
        assert_eq!(of("granted=weight,sleep"), ["weight", "sleep"]);
    }

    #[test]
    fn what_a_request_carries_cannot_break_out_of_the_page() {
        let fields = Fields::parse(b"state=%22%3E%3Cscript%3E");
        let page = Page {
            provider: "Strava",
            fields: &fields,
            carried: &["state"],
            scopes: &[],
            people: vec![("7".to_owned(), "A & <B>".to_owned())],
        };
        let html = page.html();
        assert!(!html.contains("<script>"), "{html}");
        assert!(html.contains("A &amp; &lt;B>"), "{html}");
    }
}
