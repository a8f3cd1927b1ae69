//! What the HTTP face is told at its start. Plain data: the binary fills it from its arguments.

use crate::{auth::local, connect::ReturnUrl};
use paceline_shared::{db::Address, oauth::AuthorizePage, sealing::Keyring};
use std::{fmt, net::SocketAddr, num::NonZeroU32, str::FromStr, sync::Arc};
use url::Url;

/// Renders the process's metrics in Prometheus's text format.
pub type RenderMetrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Everything that [`crate::Server::bind`] needs.
#[derive(Clone)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Postgres.
    pub database: Address,
    /// Connections to Postgres; one more is kept for notifications.
    pub pool_size: u32,
    /// Whose tokens are accepted.
    pub issuers: Vec<Issuer>,
    /// Whether [`Issuer::Local`] may be among them: for development only.
    pub allow_local_issuer: bool,
    /// The value of the claim `role` that may act for every user.
    pub service_role: String,
    /// The claim that has the role of staff: `viewer`, `operator` or `admin`. Dots lead into objects.
    pub admin_claim: String,
    /// Calls a second that a user may make for long; `None`: any number.
    pub rate_limit: Option<NonZeroU32>,
    /// The largest body that is read, in bytes.
    pub body_limit: usize,
    /// Where browsers and providers find this server, with whatever a proxy puts before its paths; `None`: where it
    /// listens.
    pub public_url: Option<Url>,
    /// Where users who connected an account may go back to.
    pub return_urls: Vec<ReturnUrl>,
    /// The consent pages of the providers at which there is an application of ours.
    pub consent: Vec<AuthorizePage>,
    /// What seals codes until a worker has exchanged them: the workers' own keys. Needed with any of `consent`.
    pub keys: Option<Keyring>,
    /// What `/metrics` answers.
    pub render_metrics: RenderMetrics,
}

impl Config {
    /// The defaults: 10 connections, no issuer, no local issuer, role `service_role`, claim
    /// `paceline_role`, 20 calls a second, bodies of 1 MiB, no provider to connect, no metrics.
    #[must_use]
    pub fn new(listen: SocketAddr, database: Address) -> Self {
        Self {
            listen,
            database,
            pool_size: 10,
            issuers: Vec::new(),
            allow_local_issuer: false,
            service_role: "service_role".to_owned(),
            admin_claim: local::ROLE_CLAIM.to_owned(),
            rate_limit: NonZeroU32::new(20),
            body_limit: 1024 * 1024,
            public_url: None,
            return_urls: Vec::new(),
            consent: Vec::new(),
            keys: None,
            render_metrics: Arc::new(String::new),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("pool_size", &self.pool_size)
            .field("issuers", &self.issuers)
            .field("allow_local_issuer", &self.allow_local_issuer)
            .field("service_role", &self.service_role)
            .field("admin_claim", &self.admin_claim)
            .field("rate_limit", &self.rate_limit)
            .field("body_limit", &self.body_limit)
            .field("public_url", &self.public_url)
            .field("return_urls", &self.return_urls)
            .field("consent", &self.consent)
            .finish_non_exhaustive()
    }
}

/// Somebody whose tokens are accepted. A token is checked under the profile of the issuer that it
/// names, and under no other.
#[derive(Clone, Debug)]
pub enum Issuer {
    /// Public keys from a URL.
    KeySet(KeySet),
    /// A secret shared with `paceline token`; its issuer is [`local::ISSUER`].
    Local(local::Secret),
}

/// An issuer with a published key set.
#[derive(Clone, Debug)]
pub struct KeySet {
    /// Where the keys are.
    pub jwks_url: Url,
    /// The claim `iss`, letter by letter.
    pub issuer: String,
    /// What the claim `aud` must contain; `None`: it is not looked at.
    pub audience: Option<String>,
    /// What tokens may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// Who may stand in the claim `azp`, where a token has one; empty: anybody.
    pub authorized_parties: Vec<String>,
    /// Whether the token must belong to a session (claim `sid`) that is not pending (claim `sts`).
    pub require_session: bool,
}

impl KeySet {
    /// An issuer that signs with RS256, without further demands.
    #[must_use]
    pub fn new(jwks_url: Url, issuer: impl Into<String>) -> Self {
        Self {
            jwks_url,
            issuer: issuer.into(),
            audience: None,
            algorithms: vec![Algorithm::Rs256],
            authorized_parties: Vec::new(),
            require_session: false,
        }
    }
}

/// A signature that can be checked with a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSA, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// ECDSA, P-256, SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The name in a token's header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no algorithm that a key set may use.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is none of RS256, ES256 and EdDSA")]
pub struct UnknownAlgorithm(pub String);

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Rs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| UnknownAlgorithm(text.to_owned()))
    }
}
