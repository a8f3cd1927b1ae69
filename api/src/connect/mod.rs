//! What connecting accounts needs: consent pages, where users may go back to, and keys. The routes are in
//! `routes/connections.rs` and `routes/oauth.rs`. It knows no provider's particulars: they come as data.

mod handshake;
pub(crate) mod page;
mod return_url;
pub(crate) mod stage;

pub(crate) use handshake::Handshake;
pub use return_url::{InvalidReturnUrl, ReturnUrl};

use crate::{config::Config, server::Error};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use paceline_shared::{
    AuthorizationId, Provider,
    oauth::AuthorizePage,
    sealing::{self, Keyring},
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use url::Url;

/// The configuration, checked.
#[derive(Debug)]
pub(crate) struct Connecting {
    pages: Vec<AuthorizePage>,
    returns: Vec<ReturnUrl>,
    public_url: Url,
    keys: Option<Keyring>,
}

impl Connecting {
    /// `listening`: where users find us when nothing else is said.
    pub(crate) fn new(config: &Config, listening: SocketAddr) -> Result<Self, Error> {
        let public_url = match &config.public_url {
            Some(url) => url.clone(),
            None => at(listening)?,
        };
        let is_base = matches!(public_url.scheme(), "http" | "https")
            && public_url.has_host()
            && public_url.username().is_empty()
            && public_url.password().is_none()
            && public_url.query().is_none()
            && public_url.fragment().is_none();
        if !is_base {
            return Err(Error::PublicUrl);
        }
        if config.keys.is_none() && !config.consent.is_empty() {
            return Err(Error::NoSealingKeys);
        }
        for page in &config.consent {
            // Whatever could be wrong with it shows here and not to the first user.
            page.link("", None, "").map_err(|error| Error::ConsentPage(page.provider, error))?;
        }
        Ok(Self {
            pages: config.consent.clone(),
            returns: config.return_urls.clone(),
            public_url,
            keys: config.keys.clone(),
        })
    }

    /// A provider's consent page, with the keys that seal what belongs to it; `None`: there is no application of
    /// ours there.
    pub(crate) fn page(&self, provider: Provider) -> Option<(&AuthorizePage, &Keyring)> {
        self.pages.iter().find(|page| page.provider == provider).zip(self.keys.as_ref())
    }

    /// The keys that seal codes.
    pub(crate) const fn keys(&self) -> Option<&Keyring> {
        self.keys.as_ref()
    }

    /// What opens the status page of an authorization to the browser that has it.
    pub(crate) fn view_key(&self, id: AuthorizationId) -> Result<String, sealing::Error> {
        let keys = self.keys.as_ref().ok_or(sealing::Error::Broken)?;
        Ok(URL_SAFE_NO_PAD.encode(keys.seal(&view_of(id), b"")?))
    }

    /// Whether `key` is one of [`Connecting::view_key`] for the same authorization.
    pub(crate) fn opens_view(&self, id: AuthorizationId, key: &str) -> bool {
        let sealed = URL_SAFE_NO_PAD.decode(key).ok();
        self.keys
            .as_ref()
            .zip(sealed)
            .is_some_and(|(keys, sealed)| keys.open(&view_of(id), &sealed).is_ok())
    }

    /// Where a provider sends users back to.
    pub(crate) fn redirect_uri(&self, provider: Provider) -> String {
        let base = self.public_url.as_str().trim_end_matches('/');
        format!("{base}/oauth/{provider}/callback")
    }

    /// The status page of an authorization, as a path on our host.
    pub(crate) fn status_path(&self, provider: Provider, id: AuthorizationId) -> String {
        self.path(&format!("/oauth/{provider}/status/{id}"))
    }

    /// A path of ours as users see it: whatever stands in front of us may have put something before it.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.public_url.path().trim_end_matches('/'))
    }

    /// Whether users reach us by HTTPS.
    pub(crate) fn is_secure(&self) -> bool {
        self.public_url.scheme() == "https"
    }

    /// An address that users may go back to, as it is written canonically; `None`: it is not on the list.
    pub(crate) fn allowed_return(&self, address: &str) -> Option<Url> {
        let url = Url::parse(address).ok()?;
        self.returns.iter().any(|allowed| allowed.covers(&url)).then_some(url)
    }
}

/// What a view's key is bound to.
fn view_of(id: AuthorizationId) -> String {
    format!("authorizations/{id}/view")
}

/// The address of a process on this machine.
fn at(listening: SocketAddr) -> Result<Url, Error> {
    let ip = match listening.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(ip, listening.port());
    Url::parse(&format!("http://{address}")).map_err(|_error| Error::PublicUrl)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::time::Duration;

    /// The consent page of an imagined application.
    pub(crate) fn consent(provider: Provider, pkce: bool) -> AuthorizePage {
        AuthorizePage {
            provider,
            url: "https://consent.example.org/authorize".to_owned(),
            client_id: "us".to_owned(),
            scopes: vec!["read".to_owned()],
            required: vec!["read".to_owned()],
            separator: Some(' '),
            pkce,
            extra: Vec::new(),
            code_lives: Duration::from_mins(10),
        }
    }

    fn config(public_url: Option<&str>) -> Config {
        Config {
            public_url: public_url.map(|url| url.parse().unwrap()),
            consent: vec![consent(Provider::Strava, false)],
            keys: Some(Keyring::generate("a").unwrap().parse().unwrap()),
            ..Config::new(
                ([0, 0, 0, 0], 0).into(),
                paceline_shared::db::Address::direct("postgres://nobody@127.0.0.1:1/none"),
            )
        }
    }

    /// With one application, at Strava.
    pub(crate) fn connecting(public_url: &str) -> Connecting {
        Connecting::new(&config(Some(public_url)), ([127, 0, 0, 1], 8080).into()).unwrap()
    }

    #[test]
    fn redirects_lead_to_where_users_see_us() {
        let listening = SocketAddr::from(([0, 0, 0, 0], 8080));
        for (public_url, redirect, path) in [
            (None, "http://127.0.0.1:8080/oauth/strava/callback", "/oauth"),
            (
                Some("https://sync.example.org"),
                "https://sync.example.org/oauth/strava/callback",
                "/oauth",
            ),
            (
                Some("https://example.org/sync/"),
                "https://example.org/sync/oauth/strava/callback",
                "/sync/oauth",
            ),
        ] {
            let connecting = Connecting::new(&config(public_url), listening).unwrap();
            assert_eq!(connecting.redirect_uri(Provider::Strava), redirect);
            assert_eq!(connecting.path("/oauth"), path);
            assert_eq!(connecting.is_secure(), redirect.starts_with("https"));
        }
    }

    #[test]
    fn a_configuration_that_cannot_work_is_refused_at_the_start() {
        let listening = SocketAddr::from(([127, 0, 0, 1], 8080));
        for url in [
            "ftp://example.org",
            "https://u@example.org",
            "https://example.org/?a",
            "https://example.org/#a",
            "data:x",
        ] {
            let refused = Connecting::new(&config(Some(url)), listening);
            assert!(matches!(refused, Err(Error::PublicUrl)), "{url}");
        }
        let keyless = Config { keys: None, ..config(None) };
        assert!(matches!(Connecting::new(&keyless, listening), Err(Error::NoSealingKeys)));
        let nowhere =
            AuthorizePage { url: "nowhere".to_owned(), ..consent(Provider::Strava, false) };
        let nowhere = Config { consent: vec![nowhere], ..config(None) };
        let refused = Connecting::new(&nowhere, listening);
        assert!(matches!(refused, Err(Error::ConsentPage(Provider::Strava, _))), "{refused:?}");
    }

    #[test]
    fn a_key_opens_the_view_of_one_authorization() {
        let connecting = connecting("https://example.org");
        let (mine, other) = (AuthorizationId::fresh(), AuthorizationId::fresh());
        let key = connecting.view_key(mine).unwrap();
        assert!(connecting.opens_view(mine, &key));
        assert!(!connecting.opens_view(other, &key));
        let code =
            connecting.keys().unwrap().seal(&format!("authorizations/{mine}/code"), b"").unwrap();
        for key in ["", "x", &key[1..], &URL_SAFE_NO_PAD.encode(code)] {
            assert!(!connecting.opens_view(mine, key), "{key}");
        }
    }

    #[test]
    fn a_provider_without_an_application_has_no_page() {
        let listening = SocketAddr::from(([127, 0, 0, 1], 8080));
        let connecting = Connecting::new(&config(None), listening).unwrap();
        assert!(connecting.page(Provider::Strava).is_some());
        assert!(connecting.page(Provider::Fitbit).is_none());
    }
}
