//! A provider's consent page as data: what api needs to send a user there. Which values a provider has is said by
//! its own file in the worker.

use crate::Provider;
use std::time::Duration;
use url::Url;

/// Where users are sent to connect an account, and as which application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizePage {
    /// Whose.
    pub provider: Provider,
    /// The page's address, without a query.
    pub url: String,
    /// The application's id there.
    pub client_id: String,
    /// What we want to be allowed.
    pub scopes: Vec<String>,
    /// Of these, what a sync cannot do without: missing, it makes a connection `limited`.
    pub required: Vec<String>,
    /// Between scopes; `None`: the page itself asks the user which, and the link names none.
    pub separator: Option<char>,
    /// Whether a challenge goes along (RFC 7636, S256).
    pub pkce: bool,
    /// More of the query.
    pub extra: Vec<(String, String)>,
    /// How long a code is good for, from the moment the user comes back.
    pub code_lives: Duration,
}

impl AuthorizePage {
    /// The address to send a user to. `challenge`: only where [`AuthorizePage::pkce`] asks for it.
    pub fn link(
        &self,
        state: &str,
        challenge: Option<&str>,
        redirect_uri: &str,
    ) -> Result<Url, url::ParseError> {
        let mut link = Url::parse(&self.url)?;
        {
            let mut query = link.query_pairs_mut();
            query
                .append_pair("client_id", &self.client_id)
                .append_pair("redirect_uri", redirect_uri)
                .append_pair("response_type", "code")
                .append_pair("state", state);
            if let Some(separator) = self.separator
                && !self.scopes.is_empty()
            {
                query.append_pair("scope", &self.scopes.join(&separator.to_string()));
            }
            for (name, value) in &self.extra {
                query.append_pair(name, value);
            }
            if let Some(challenge) = challenge {
                query
                    .append_pair("code_challenge", challenge)
                    .append_pair("code_challenge_method", "S256");
            }
        }
        Ok(link)
    }

    /// What of the scopes that a sync needs is not among `granted`.
    #[must_use]
    pub fn missing(&self, granted: &[String]) -> Vec<String> {
        self.required.iter().filter(|scope| !granted.contains(scope)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> AuthorizePage {
        AuthorizePage {
            provider: Provider::Fitbit,
            url: "https://example.org/authorize".to_owned(),
            client_id: "us".to_owned(),
            scopes: vec!["weight".to_owned(), "sleep".to_owned()],
            required: vec!["weight".to_owned()],
            separator: Some(' '),
            pkce: true,
            extra: vec![("prompt".to_owned(), "consent".to_owned())],
            code_lives: Duration::from_mins(10),
        }
    }

    #[test]
    fn the_link_carries_everything_and_escapes_it() {
        let link =
            page().link("s&1", Some("c="), "http://127.0.0.1:1/oauth/fitbit/callback").unwrap();
        assert_eq!(
            link.as_str(),
            "https://example.org/authorize?client_id=us&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Foauth%2Ffitbit%2Fcallback\
             &response_type=code&state=s%261&scope=weight+sleep&prompt=consent&code_challenge=c%3D&code_challenge_method=S256"
        );
    }

    #[test]
    fn a_page_that_asks_for_scopes_itself_is_told_none() {
        let page = AuthorizePage { separator: None, ..page() };
        let link = page.link("s", Some("c"), "http://127.0.0.1:1/oauth/garmin/callback").unwrap();
        assert!(!link.as_str().contains("scope"), "{link}");
        assert_eq!(page.missing(&[]), ["weight"]);
    }

    #[test]
    fn only_what_a_sync_needs_can_be_missing() {
        assert_eq!(page().missing(&["weight".to_owned()]), Vec::<String>::new());
        assert_eq!(page().missing(&["sleep".to_owned()]), ["weight"]);
    }
}
