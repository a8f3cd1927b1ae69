//! A server's life: bind, serve, drain.

use crate::{
    app::{self, App},
    config::Config,
    observe,
};
use axum::serve::ListenerExt;
use paceline_shared::{Provider, db};
use std::{io, net::SocketAddr, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long requests under way may take to end once the server stops; a little more than one may
/// take at all.
const DRAIN_LIMIT: Duration = Duration::from_secs(35);
/// How long connections to Postgres may take to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// Why the HTTP face could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken or not ours.
    #[error("cannot listen on {0}")]
    Bind(SocketAddr, #[source] io::Error),
    /// The socket failed.
    #[error("serving ended")]
    Serve(#[source] io::Error),
    /// The URL of the database cannot be read.
    #[error("the database's URL cannot be used")]
    Database(#[from] db::Error),
    /// A local issuer is configured, and nobody said that it may be.
    #[error("local keys are configured, and they are refused unless they are explicitly allowed")]
    LocalIssuerRefused,
    /// Nobody could call.
    #[error("no issuer is configured, so no token could ever be accepted")]
    NoIssuer,
    /// Two profiles for one issuer: nobody can say which counts.
    #[error("the issuer {0:?} is configured twice")]
    IssuerTwice(String),
    /// A key set without a single algorithm accepts nothing.
    #[error("the issuer {0:?} has no algorithm")]
    NoAlgorithm(String),
    /// Users could not come back from a provider.
    #[error("the public URL must be http or https, without user, query and fragment")]
    PublicUrl,
    /// Codes could not be kept.
    #[error("there are providers to connect, and no sealing keys to keep their codes with")]
    NoSealingKeys,
    /// Users could not be sent to a provider.
    #[error("the address of the consent page of {0} cannot be used")]
    ConsentPage(Provider, #[source] url::ParseError),
    /// The client for signing keys could not be made.
    #[error("the client for signing keys could not be made")]
    KeyClient(#[source] reqwest::Error),
}

/// A server that is bound and not serving yet: callers queue up from here on.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: App,
    listening: db::Db,
    body_limit: usize,
    closing: CancellationToken,
}

impl Server {
    /// Checks the configuration and takes the address. Postgres may be away.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let closing = CancellationToken::new();
        // A listener keeps its connection for good: it must not be one of those that requests need.
        let listening = config.database.connect_listener("paceline-api listener")?;
        let bind = |error| Error::Bind(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let app = App::new(&config, address, &closing)?;
        observe::declare_metrics();
        Ok(Self { listener, address, app, listening, body_limit: config.body_limit, closing })
    }

    /// Where it listens, with the port that was really taken.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; then takes no more connections, lets long polls answer at once and other
    /// requests end, and closes its connections to Postgres.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), Error> {
        let Self { listener, address, app, listening, body_limit, closing } = self;
        let stopping = {
            let closing = closing.clone();
            async move {
                stop.cancelled().await;
                closing.cancel();
            }
        };
        // What ends this future, dropped or returned, ends the hub as well.
        let _hub_ends_too = closing.clone().drop_guard();
        let hub = tokio::spawn({
            let (app, listening) = (app.clone(), listening.clone());
            async move { app.live.run(&app.db, &listening).await }
        });

        tracing::info!(%address, "serving");
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY could not be set");
            }
        });
        let serving = axum::serve(listener, app::router(app.clone(), body_limit))
            .with_graceful_shutdown(stopping);
        let late = async {
            closing.cancelled().await;
            tokio::time::sleep(DRAIN_LIMIT).await;
        };
        let served = tokio::select! {
            served = async { serving.await } => served.map_err(Error::Serve),
            () = late => {
                tracing::warn!(limit_s = DRAIN_LIMIT.as_secs(), "connections that did not end were cut");
                Ok(())
            }
        };
        closing.cancel();
        if let Err(error) = hub.await {
            tracing::error!(%error, "the hub of waiters failed");
        }
        let closed = tokio::time::timeout(CLOSE_LIMIT, async {
            tokio::join!(app.db.close(), listening.close())
        });
        if closed.await.is_err() {
            tracing::warn!("connections to Postgres did not close in time");
        }
        tracing::info!(%address, "stopped");
        served
    }
}

/// Binds and serves until `stop`.
pub async fn run(config: Config, stop: CancellationToken) -> Result<(), Error> {
    Server::bind(config).await?.serve(stop).await
}
