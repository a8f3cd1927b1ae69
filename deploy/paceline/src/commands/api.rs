//! `paceline api`: the HTTP face as a process.

use crate::{
    consent::ConsentOptions,
    exit::Exit,
    metrics,
    options::{ChildOptions, DatabaseOptions, HomeOptions, misconfigured},
    shutdown::{Again, Shutdown},
};
use clap::{
    Args,
    builder::{FalseyValueParser, NonEmptyStringValueParser},
};
use paceline_api::{Algorithm, Config, Error, Issuer, KeySet, Server, auth::local};
use std::{net::SocketAddr, num::NonZeroU32};
use url::Url;

/// Serve the HTTP API
///
/// Takes syncs and answers questions; workers do the work. Stays up while Postgres is away.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDRESS",
        env = "PACELINE_API_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    listen: SocketAddr,
    #[command(flatten)]
    database: DatabaseOptions,
    /// Connections to Postgres
    #[arg(long, value_name = "CONNECTIONS", env = "PACELINE_API_POOL_SIZE", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pool_size: u32,
    /// Calls a second that a user may make for long, five times as many at once; staff and services ten
    /// times that; 0 sets no limit
    #[arg(long, value_name = "CALLS", env = "PACELINE_RATE_LIMIT", default_value_t = 20)]
    rate_limit: u32,
    // Before those with a heading, which is for all that follow.
    #[command(flatten)]
    child: ChildOptions,
    #[command(flatten)]
    issuer: IssuerOptions,
    #[command(flatten)]
    consent: ConsentOptions,
}

/// Whose tokens are accepted.
#[derive(Args, Debug)]
#[command(next_help_heading = "Tokens")]
struct IssuerOptions {
    /// Issuer whose tokens are accepted: the claim `iss`, letter by letter
    #[arg(long, value_name = "ISSUER", env = "PACELINE_ISSUER", requires = "issuer_jwks_url")]
    issuer: Option<String>,
    /// Where the issuer publishes its keys
    #[arg(long, value_name = "URL", env = "PACELINE_ISSUER_JWKS_URL", requires = "issuer")]
    issuer_jwks_url: Option<Url>,
    /// What the claim `aud` must contain; not looked at by default
    #[arg(long, env = "PACELINE_ISSUER_AUDIENCE", requires = "issuer")]
    audience: Option<String>,
    /// What the issuer signs with: `RS256`, `ES256` or `EdDSA`; several separated by commas
    #[arg(
        long = "algorithm",
        value_name = "ALGORITHM",
        env = "PACELINE_ISSUER_ALGORITHMS",
        value_delimiter = ',',
        default_value = "RS256"
    )]
    algorithms: Vec<Algorithm>,
    /// Who may stand in the claim `azp`, where a token has one; several separated by commas [default: anybody]
    #[arg(
        long = "authorized-party",
        value_name = "ORIGIN",
        env = "PACELINE_AUTHORIZED_PARTIES",
        value_delimiter = ',',
        requires = "issuer"
    )]
    authorized_parties: Vec<String>,
    /// Accept only tokens of a session that is not pending (claims `sid` and `sts`)
    #[arg(long, env = "PACELINE_REQUIRE_SESSION", requires = "issuer", value_parser = FalseyValueParser::new())]
    require_session: bool,
    /// Claim that has the role for the administration: `viewer`, `operator` or `admin`; dots lead into
    /// objects, as in `metadata.role`
    #[arg(long, value_name = "CLAIM", env = "PACELINE_ADMIN_CLAIM", default_value = local::ROLE_CLAIM,
          value_parser = NonEmptyStringValueParser::new())]
    admin_claim: String,
    /// Accept the tokens of `paceline token`; never in production
    #[arg(long, env = "PACELINE_ALLOW_LOCAL_ISSUER", value_parser = FalseyValueParser::new())]
    allow_local_issuer: bool,
    #[command(flatten)]
    home: HomeOptions,
}

impl IssuerOptions {
    fn issuers(self) -> anyhow::Result<Vec<Issuer>> {
        let mut issuers = Vec::new();
        if let (Some(issuer), Some(jwks_url)) = (self.issuer, self.issuer_jwks_url) {
            issuers.push(Issuer::KeySet(KeySet {
                audience: self.audience,
                algorithms: self.algorithms,
                authorized_parties: self.authorized_parties,
                require_session: self.require_session,
                ..KeySet::new(jwks_url, issuer)
            }));
        }
        if self.allow_local_issuer {
            issuers.push(Issuer::Local(self.home.home()?.issuer_secret()?));
        }
        Ok(issuers)
    }
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals(Again::Exit)?;
    options.child.watch_parent(&shutdown);
    let config = Config {
        pool_size: options.pool_size,
        rate_limit: NonZeroU32::new(options.rate_limit),
        allow_local_issuer: options.issuer.allow_local_issuer,
        admin_claim: options.issuer.admin_claim.clone(),
        issuers: options.issuer.issuers()?,
        render_metrics: metrics::install()?,
        ..Config::new(options.listen, options.database.address()?)
    };
    let server =
        Server::bind(options.consent.configure(config)?).await.map_err(|error| match error {
            Error::Bind(..) | Error::Serve(_) | Error::KeyClient(_) => error.into(),
            _ => misconfigured(error),
        })?;
    options.child.announce(server.local_addr())?;
    server.serve(shutdown.asked).await?;
    Ok(Exit::Done)
}
