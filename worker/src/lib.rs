//! The worker: claims jobs, runs the pipeline, talks to providers. It serves nothing but health and
//! metrics, and Postgres is its only wire to the rest of Paceline.

pub mod account;
pub mod attempt;
pub mod budget;
pub mod connect;
pub mod health;
pub mod job;
mod noop;
pub mod observe;
mod pipeline;
pub mod places;
pub mod providers;
pub mod queue;
pub mod tokens;
pub mod weather;

use budget::Books;
use paceline_shared::{Provider, db, notify::Notifier, sealing::Keyring};
use providers::{
    Registry, fitbit::Fitbit, garmin::Garmin, http::Http, strava::Strava, withings::Withings,
};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What a code or a refresh token bought must be stored, and Postgres may be away.
const LAST_STORE: Duration = Duration::from_secs(5);

/// What a worker process is told.
#[derive(Clone)]
pub struct Config {
    /// Where Postgres is.
    pub database: db::Address,
    /// Limits of the queue.
    pub queue: queue::Config,
    /// Opens tokens.
    pub keys: Keyring,
    /// Strava's addresses and our application there.
    pub strava: providers::strava::StravaConfig,
    /// Withings' addresses and our application there; `None`: we have none.
    pub withings: Option<providers::withings::WithingsConfig>,
    /// The addresses of Fitbit, or of a proxy, and our application there; `None`: we have none.
    pub fitbit: Option<providers::fitbit::FitbitConfig>,
    /// Garmin's addresses and our application there; `None`: we have none.
    pub garmin: Option<providers::garmin::GarminConfig>,
    /// When a provider's breaker opens.
    pub breaker: db::breakers::Rules,
    /// The weather service's addresses.
    pub weather: weather::WeatherConfig,
    /// Time limits and retries of single calls.
    pub http: providers::http::HttpOptions,
    /// Where health and metrics are served.
    pub listen: SocketAddr,
    /// Renders metrics.
    pub render_metrics: health::Render,
}

/// Why a worker did not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database's address.
    #[error("the database URL cannot be used")]
    Database(#[from] db::Error),
    /// The HTTP client.
    #[error("the HTTP client cannot be made")]
    Http(#[from] reqwest::Error),
    /// The private port.
    #[error("the health port {0} cannot be opened")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] queue::Error),
}

/// A worker whose private port is open and which takes no jobs yet.
pub struct Worker {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
}

impl Worker {
    /// Opens the private port. Postgres may be away.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let listen = |error| Error::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        Ok(Self { config, listener, address })
    }

    /// Where health and metrics are served, with the port that was really taken.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Works until `drain` is cancelled and everything in flight is handed back.
    pub async fn run(self, drain: CancellationToken) -> Result<(), Error> {
        let Self { config, listener, address } = self;
        let slots = u32::try_from(config.queue.slots).unwrap_or(u32::MAX);
        // A job has one connection at a time, and most of the time none: it waits for the provider.
        let jobs = config.database.connect("paceline-worker", slots.clamp(2, 16))?;
        let control = config.database.connect_for_queue("paceline-worker-control", 5)?;
        let listening = config.database.connect_listener("paceline-worker-listener")?;
        let strava = Http::new("strava", config.http.clone())?;
        let call_lasts = config.http.timeout;
        let open_meteo = Http::new("open_meteo", config.http.clone())?;
        let notifier = Notifier::start(control.clone());
        let (worker, breaker) = (config.queue.worker, config.breaker);
        let free = Arc::new(Semaphore::new(config.queue.slots));
        let books = Books::open(
            control.clone(),
            worker,
            notifier.clone(),
            breaker,
            call_lasts,
            drain.clone(),
            free.clone(),
        );
        let meter = books.meter(config.strava.terms());
        let mut registry = Registry::default()
            .with(Provider::Strava, Strava::new(config.strava, strava).metered(meter));
        if let Some(withings) = config.withings {
            let http = Http::new("withings", withings.http(&config.http))?;
            let meter = books.meter(withings.terms());
            registry =
                registry.with(Provider::Withings, Withings::new(withings, http).metered(meter));
        }
        if let Some(fitbit) = config.fitbit {
            let http = Http::new("fitbit", config.http.clone())?;
            let meter = books.meter(fitbit.terms());
            registry = registry.with(Provider::Fitbit, Fitbit::new(fitbit, http).metered(meter));
        }
        if let Some(garmin) = config.garmin {
            let http = Http::new("garmin", config.http.clone())?;
            let meter = books.meter(garmin.terms());
            registry = registry.with(Provider::Garmin, Garmin::new(garmin, http).metered(meter));
        }
        let queue = config.queue.only(registry.providers());
        let vital = TaskTracker::new();
        let app = job::App {
            notifier,
            providers: registry,
            weather: Arc::new(weather::Weather::new(config.weather, open_meteo)),
            worker,
            vital: vital.clone(),
            keys: config.keys,
            db: jobs.clone(),
            control: control.clone(),
            listening: listening.clone(),
        };
        let end = CancellationToken::new();
        // An operator may ask for a drain as well; whoever runs us has not.
        let drain = drain.child_token();
        observe::declare_metrics();
        tokio::spawn(observe::run(control.clone(), end.clone()));
        let pools = vec![jobs.clone(), control.clone(), listening.clone()];
        let render = observe::with_gauges(config.render_metrics, pools);
        health::serve(listener, control.clone(), render, drain.clone(), end.clone());
        let providers: Vec<_> = queue.providers.iter().map(|provider| provider.as_str()).collect();
        tracing::info!(%worker, slots, ?providers, %address, "worker started");
        let ended = queue::run(queue, app, free, drain).await;
        vital.close();
        if tokio::time::timeout(call_lasts + LAST_STORE, vital.wait()).await.is_err() {
            tracing::error!(
                tasks = vital.len(),
                "what a provider gave for a code or a token is lost"
            );
        }
        books.close().await;
        end.cancel();
        for pool in [jobs, control, listening] {
            if tokio::time::timeout(Duration::from_secs(2), pool.close()).await.is_err() {
                tracing::debug!("a connection did not close in time");
            }
        }
        tracing::info!("worker ended");
        Ok(ended?)
    }
}

/// Opens the private port and works until `drain`: [`Worker::bind`] and [`Worker::run`] in one.
pub async fn run(config: Config, drain: CancellationToken) -> Result<(), Error> {
    Worker::bind(config).await?.run(drain).await
}
