//! A browser, as far as connecting an account needs one: it goes one step at a time, and sends back each cookie
//! where it belongs. It runs no scripts.

use crate::wait::eventually;
use reqwest::{
    Url,
    header::{COOKIE, HeaderMap, LOCATION, SET_COOKIE},
    redirect::Policy,
};
use std::time::Duration;

/// Somebody's browser.
#[derive(Debug)]
pub struct Browser {
    http: reqwest::Client,
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    host: String,
    path: String,
    pair: String,
}

/// What an address answered.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The address.
    pub url: Url,
    /// The HTTP status.
    pub status: u16,
    /// The head.
    pub headers: HeaderMap,
    /// The body.
    pub html: String,
}

impl Shown {
    /// Where it leads.
    ///
    /// Panics when that is nowhere.
    #[must_use]
    pub fn next(&self) -> Url {
        let next = self.headers.get(LOCATION).and_then(|next| next.to_str().ok());
        let next = next.unwrap_or_else(|| panic!("{} leads nowhere: {}", self.status, self.html));
        self.url.join(next).expect("an address")
    }

    /// Where the page leads by itself after a while.
    #[must_use]
    pub fn led_to(&self) -> Option<String> {
        let (_, rest) = self.html.split_once(";url=")?;
        let (address, _) = rest.split_once('"')?;
        Some(address.replace("&amp;", "&"))
    }

    /// Whether the page shows an end: one under way loads itself again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        !self.html.contains("data-watch")
    }
}

impl Default for Browser {
    fn default() -> Self {
        let http = reqwest::Client::builder().redirect(Policy::none()).no_proxy();
        let http = http.timeout(Duration::from_mins(1)).build().expect("an HTTP client");
        Self { http, cookies: Vec::new() }
    }
}

impl Browser {
    /// Opens an address and goes no further.
    pub async fn open(&mut self, url: &str) -> Shown {
        let url: Url = url.parse().expect("an address");
        let host = url.host_str().unwrap_or_default().to_owned();
        let ours = self.cookies.iter().filter(|cookie| {
            let below = url.path().strip_prefix(&*cookie.path);
            cookie.host == host
                && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let cookies: Vec<_> = ours.map(|cookie| cookie.pair.as_str()).collect();
        let mut request = self.http.get(url.clone());
        if !cookies.is_empty() {
            request = request.header(COOKIE, cookies.join("; "));
        }
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        for cookie in headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("a cookie");
            let (pair, rest) = cookie.split_once("; ").expect("attributes");
            let path = rest.split("; ").find_map(|part| part.strip_prefix("Path="));
            self.cookies.push(Cookie {
                host: host.clone(),
                path: path.expect("a path").to_owned(),
                pair: pair.to_owned(),
            });
        }
        Shown { url, status, headers, html: answer.text().await.expect("a body") }
    }

    /// Consents, or not, at a simulated provider: `choice` is what a form of its page would send. Answers the address
    /// that the provider leads back to, not opened yet.
    pub async fn consent(&mut self, link: &str, choice: &[(&str, &str)]) -> Url {
        let mut link: Url = link.parse().expect("an address");
        link.query_pairs_mut().extend_pairs(choice);
        self.open(link.as_str()).await.next()
    }

    /// Comes back from a provider: opens `callback`, and what that leads to.
    pub async fn come_back(&mut self, callback: &Url) -> Shown {
        let next = self.open(callback.as_str()).await.next();
        self.open(next.as_str()).await
    }

    /// Loads a page again until it is an end.
    pub async fn watch(&mut self, page: &Shown, limit: Duration) -> Shown {
        let url = page.url.clone();
        eventually("the page shows an end", limit, async || {
            let shown = self.open(url.as_str()).await;
            assert_eq!(shown.status, 200, "{}", shown.html);
            shown.is_over().then_some(shown)
        })
        .await
    }
}
