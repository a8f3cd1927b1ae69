//! The list of places that users may go back to: anything else would make us a signpost to anywhere.

use std::{fmt, str::FromStr};
use url::Url;

/// Addresses that a browser executes or reads from itself.
const NEVER: [&str; 8] =
    ["javascript", "data", "vbscript", "blob", "file", "filesystem", "about", "view-source"];
/// The longest address.
const LIMIT: usize = 2_000;

/// A place that users may go back to: one origin and the paths at or below one. The scheme may be an app's own.
#[derive(Clone, PartialEq, Eq)]
pub struct ReturnUrl(Url);

/// The text names no place that users could go back to.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no address to go back to: give https://host/path, or an app's own scheme as in my-app://connected, without user, query and fragment"
)]
pub struct InvalidReturnUrl(pub String);

impl ReturnUrl {
    /// Whether `url` is the same place or below it. Schemes, hosts and ports are compared letter by letter, paths by
    /// their segments.
    #[must_use]
    pub fn covers(&self, url: &Url) -> bool {
        let place = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host_str().map(str::to_owned),
                url.port_or_known_default(),
            )
        };
        let prefix = self.0.path().trim_end_matches('/');
        let path = url.path();
        let below =
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // A server that decodes these before it looks at the path would be led out of it.
        let hidden = path.to_ascii_lowercase();
        let hidden = ["%2e", "%2f", "%5c"].iter().any(|code| hidden.contains(code));
        place(&self.0) == place(url)
            && below
            && !hidden
            && url.username().is_empty()
            && url.password().is_none()
            && url.as_str().len() <= LIMIT
    }
}

impl FromStr for ReturnUrl {
    type Err = InvalidReturnUrl;
    fn from_str(text: &str) -> Result<Self, InvalidReturnUrl> {
        let invalid = || InvalidReturnUrl(text.to_owned());
        let url = Url::parse(text).map_err(|_error| invalid())?;
        let fits = !NEVER.contains(&url.scheme())
            && !url.cannot_be_a_base()
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if fits { Ok(Self(url)) } else { Err(invalid()) }
    }
}

impl fmt::Debug for ReturnUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(allowed: &str, address: &str) -> bool {
        let allowed: ReturnUrl = allowed.parse().unwrap();
        Url::parse(address).is_ok_and(|url| allowed.covers(&url))
    }

    #[test]
    fn only_the_same_origin_and_paths_below_are_covered() {
        let app = "https://app.example.org/settings";
        for address in [
            "https://app.example.org/settings",
            "https://app.example.org/settings/",
            "https://app.example.org:443/settings/accounts?tab=1#strava",
            "HTTPS://APP.example.org/settings",
            "https://app.example.org/other/../settings",
        ] {
            assert!(covers(app, address), "{address}");
        }
        for address in [
            "http://app.example.org/settings",
            "https://app.example.org:8443/settings",
            "https://app.example.org/settingsx",
            "https://app.example.org/",
            "https://app.example.org/settings/../admin",
            "https://app.example.org/settings/%2e%2e/admin",
            "https://app.example.org/settings/..%2Fadmin",
            "https://app.example.org/settings/..%5cadmin",
            "https://app.example.org.evil.example/settings",
            "https://evil.example/settings",
            "https://app.example.org@evil.example/settings",
            "https://me@app.example.org/settings",
            "https://evil.example\\@app.example.org/settings",
            "//app.example.org/settings",
            "javascript://app.example.org/settings%0aalert(1)",
            "data:text/html,x",
            "settings",
            "",
        ] {
            assert!(!covers(app, address), "{address}");
        }
        let long = format!("{app}?{}", "x".repeat(LIMIT));
        assert!(!covers(app, &long));
    }

    #[test]
    fn an_origin_alone_covers_all_its_paths() {
        for allowed in ["https://app.example.org", "https://app.example.org/"] {
            assert!(covers(allowed, "https://app.example.org/anywhere?x=1"));
            assert!(!covers(allowed, "https://other.example.org/anywhere"));
        }
    }

    #[test]
    fn an_app_has_a_scheme_of_its_own() {
        let app = "my-app://connected";
        assert!(covers(app, "my-app://connected"));
        assert!(covers(app, "my-app://connected/strava?x=1"));
        for address in
            ["my-app://elsewhere", "my-apps://connected", "https://connected", "my-app:connected"]
        {
            assert!(!covers(app, address), "{address}");
        }
    }

    #[test]
    fn what_no_user_may_be_sent_to_cannot_be_listed() {
        for text in [
            "",
            "app.example.org",
            "/settings",
            "https://",
            "javascript://app.example.org/",
            "javascript:alert(1)",
            "data://x/y",
            "file:///etc/passwd",
            "my-app:connected",
            "https://u:p@app.example.org",
            "https://app.example.org/?next=1",
            "https://app.example.org/#top",
        ] {
            assert!(text.parse::<ReturnUrl>().is_err(), "{text}");
        }
    }
}
