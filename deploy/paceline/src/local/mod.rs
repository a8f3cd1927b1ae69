//! Everything on one machine: Postgres, the simulated providers, the API and two workers, each a
//! process of its own. What `paceline dev` and `paceline demo` run on.
//!
//! [`run`] puts it up, hands it to its caller, and takes it down again whatever happens. The processes
//! hang on a pipe from this one, so that not even SIGKILL leaves them behind.

mod applications;
mod browser;
mod database;
mod fleet;
mod people;
mod process;
mod server;
mod simulator;
mod spec;
mod truth;

use applications::APPLICATIONS;
pub(crate) use database::Choice;
pub(crate) use fleet::Fleet;
pub(crate) use people::Person;
pub(crate) use simulator::{Account, Simulator};
pub(crate) use spec::Role;
pub(crate) use truth::lists;

use crate::{
    args::LogOptions, client, exit::Ending, home::Home, options::misconfigured, screen::Screen,
    shutdown::Shutdown,
};
use anyhow::Context as _;
use database::Database;
use paceline_api::auth::local::Secret;
use paceline_shared::db;
use secrecy::SecretString;
use spec::Spec;
use std::{net::SocketAddr, time::Duration};
use url::Url;

/// How many worker processes there are.
const WORKERS: u8 = 2;
/// Connections of this process itself.
const POOL: u32 = 4;
/// For requests that say nothing else.
const LIMIT: Duration = Duration::from_mins(1);
const CLOSE_LIMIT: Duration = Duration::from_secs(5);

/// What to put up.
pub(crate) struct Plan {
    /// Which database.
    pub(crate) database: Choice,
    /// Where keys and cluster are.
    pub(crate) home: Home,
    /// Where the API listens.
    pub(crate) listen: SocketAddr,
    /// Where users who connected an account may go back to.
    pub(crate) return_urls: Vec<String>,
    /// What the simulated world follows from.
    pub(crate) seed: u64,
    /// How the processes log; `None` for the filter: as `quiet` says.
    pub(crate) log: LogOptions,
    /// Whether the processes log nothing but warnings.
    pub(crate) quiet: bool,
}

/// All of it, up and ready.
pub(crate) struct Local<'a> {
    /// The processes.
    pub(crate) fleet: &'a Fleet,
    /// A pool of this process's own.
    pub(crate) db: &'a db::Db,
    /// Makes tokens for any user.
    pub(crate) issuer: Secret,
    /// Where the API is.
    pub(crate) api: Url,
    /// The controls of the simulated world.
    pub(crate) simulator: Simulator,
    /// For requests to our own processes.
    pub(crate) http: reqwest::Client,
}

/// Puts everything up, runs `body`, and takes everything down, in good order also when `body` fails,
/// and when the process is asked to end.
///
/// `body` is dropped at a signal, unless it takes an interest in `shutdown` itself and is done by then.
pub(crate) async fn run<T>(
    plan: Plan,
    shutdown: &Shutdown,
    screen: &Screen,
    body: impl AsyncFnOnce(&Local<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let database = Database::open(&plan.database, &plan.home).await?;
    let ended = with_database(&plan, &database, shutdown, screen, body).await;
    let closed = database.close().await;
    // What went wrong first is the reason; the rest follows from it.
    let ended = ended?;
    closed?;
    Ok(ended)
}

async fn with_database<T>(
    plan: &Plan,
    database: &Database,
    shutdown: &Shutdown,
    screen: &Screen,
    body: impl AsyncFnOnce(&Local<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let db = db::Db::new(database.url(), db::Route::Direct, "paceline-local", POOL)
        .map_err(misconfigured)?;
    let ended = async {
        tokio::select! {
            biased;
            () = shutdown.asked.cancelled() => return Err(Ending::Interrupted.into()),
            migrated = db::migrate(&db) => migrated.context("migrating the database")?,
        }
        with_fleet(plan, database, &db, shutdown, screen, body).await
    }
    .await;
    // Whoever drops the database or stops its server must not find our connections there.
    if tokio::time::timeout(CLOSE_LIMIT, db.close()).await.is_err() {
        tracing::warn!("connections to Postgres did not close in time");
    }
    ended
}

async fn with_fleet<T>(
    plan: &Plan,
    database: &Database,
    db: &db::Db,
    shutdown: &Shutdown,
    screen: &Screen,
    body: impl AsyncFnOnce(&Local<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let http = client::loopback(LIMIT)?;
    let mut fleet = Fleet::new(plan, http.clone(), screen.clone());
    let all = async {
        let local = Local::start(plan, database, db, http, &mut fleet).await?;
        body(&local).await
    };
    let ended = tokio::select! {
        biased;
        ended = all => ended,
        () = shutdown.asked.cancelled() => Err(Ending::Interrupted.into()),
    };
    fleet.stop(&shutdown.hurry).await;
    ended
}

impl<'a> Local<'a> {
    /// Starts the processes: the world first, for the workers must know where it is.
    async fn start(
        plan: &Plan,
        database: &Database,
        db: &'a db::Db,
        http: reqwest::Client,
        fleet: &'a mut Fleet,
    ) -> anyhow::Result<Self> {
        let sealing_keys = plan.home.sealing_keys()?;
        let issuer = plan.home.issuer_secret()?;
        let (url, sealed) =
            (SecretString::from(database.url()), SecretString::from(sealing_keys.as_str()));
        let world = fleet.start(Spec::simulator(plan.seed)).await?;
        let simulator = Simulator::new(http.clone(), base(world)?);
        let returns = &plan.return_urls;
        let api = Spec::api(plan.listen, plan.home.path(), &url, &sealed, &simulator, returns);
        let mut specs = vec![api];
        specs.extend((1..=WORKERS).map(|number| Spec::worker(number, &url, &sealed, &simulator)));
        let addresses = fleet.start_all(specs).await?;
        let api = base(*addresses.first().context("the API has no address")?)?;
        Ok(Self { fleet, db, issuer, api, simulator, http })
    }
}

fn base(address: SocketAddr) -> anyhow::Result<Url> {
    Url::parse(&format!("http://{address}")).context("an address is no URL")
}
