//! The database that everything local runs on: one that the user named, or one in the embedded cluster.
//!
//! A demo's database is its own and goes with it. One that a killed demo left is dropped by the next.

use super::server::{Occupied, Server};
use crate::{
    home::{DevLock, Home},
    options::misconfigured,
};
use anyhow::Context as _;
use paceline_postgres::{Cluster, Error, Options, binaries_from_env};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// Of the cluster: for statements about databases.
const MAINTENANCE: &str = "postgres";
/// What `paceline dev` keeps its data in.
const DEV: &str = "paceline";
/// What the names of demos' databases begin with.
const DEMO_PREFIX: &str = "paceline_demo_";
/// Held while databases come and go, so that nobody drops what another has just made.
const ADVISORY_LOCK: i64 = 0x7061_6365_6c69_6e65;

/// Which database to run on.
pub(crate) enum Choice {
    /// One that the user named. It is migrated and otherwise left as it is.
    Given(SecretString),
    /// One in the embedded cluster that lives on from run to run.
    Kept,
    /// One in the embedded cluster for this run only.
    Fresh,
}

impl Choice {
    /// What the user named, if anything, else `otherwise`.
    pub(crate) fn given_or(url: Option<SecretString>, otherwise: Self) -> Self {
        match url {
            Some(url) if !url.expose_secret().is_empty() => Self::Given(url),
            _ => otherwise,
        }
    }
}

/// A database, and what keeps it there.
pub(crate) struct Database {
    url: SecretString,
    server: Option<Server>,
    /// Two runs would put two worlds into one kept database.
    _sole: Option<DevLock>,
}

impl Database {
    /// Has the database there, with its server up and kept up; `home` is where the cluster lives.
    ///
    /// A kept database is for one run at a time.
    pub(crate) async fn open(choice: &Choice, home: &Home) -> anyhow::Result<Self> {
        if let Choice::Given(url) = choice {
            let connection = PgConnection::connect(url.expose_secret()).await;
            let connection = connection.map_err(|error| match error {
                sqlx::Error::Configuration(_) => misconfigured(error),
                error => error.into(),
            });
            connection.context("the database of DATABASE_URL cannot be used")?.close().await?;
            return Ok(Self { url: url.clone(), server: None, _sole: None });
        }
        let sole = match choice {
            Choice::Kept => Some(home.lock_for_dev()?),
            Choice::Given(_) | Choice::Fresh => None,
        };
        // It blocks; about a second the first time.
        let cluster = start(home).await?;
        let ready = match choice {
            Choice::Fresh => {
                fresh(&cluster).await.map(|fresh| (cluster.url(fresh.name()), Some(fresh)))
            }
            Choice::Given(_) | Choice::Kept => {
                kept(&cluster).await.map(|()| (cluster.url(DEV), None))
            }
        };
        match ready.context("preparing the embedded database") {
            Ok((url, fresh)) => {
                let server = Some(Server::keep_up(cluster, fresh));
                Ok(Self { url: url.into(), server, _sole: sole })
            }
            Err(error) => {
                release(cluster).await?;
                Err(error)
            }
        }
    }

    /// Its address, which may hold a password.
    pub(crate) fn url(&self) -> &str {
        self.url.expose_secret()
    }

    /// Drops what was for this run only and leaves the cluster. Every other connection must be closed.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let Some(server) = self.server else { return Ok(()) };
        let (cluster, fresh) = server.let_go().await?;
        let dropped = match fresh {
            Some(fresh) => leave(&cluster, fresh).await.context("dropping the demo's database"),
            None => Ok(()),
        };
        release(cluster).await?;
        dropped
    }
}

async fn start(home: &Home) -> anyhow::Result<Cluster> {
    let named = binaries_from_env();
    let options = Options { binaries: named, ..Options::new(home.path().to_owned()) };
    let started = tokio::task::spawn_blocking(move || Cluster::start(&options)).await?;
    started.map_err(|error| match error {
        Error::UnusableBinaries { .. } => anyhow::Error::new(error).context("PACELINE_PG_BIN"),
        error => error.into(),
    })
}

async fn release(cluster: Cluster) -> anyhow::Result<()> {
    let released = tokio::task::spawn_blocking(|| cluster.release()).await?;
    released.map(|_was_last| ()).context("stopping the embedded Postgres")
}

async fn kept(cluster: &Cluster) -> anyhow::Result<()> {
    let mut maintenance = locked(cluster).await?;
    let exists =
        sqlx::query_scalar::<_, bool>("select exists (select from pg_database where datname = $1)");
    if !exists.bind(DEV).fetch_one(&mut maintenance).await? {
        execute(&mut maintenance, format!("create database {DEV}")).await?;
    }
    Ok(maintenance.close().await?)
}

async fn fresh(cluster: &Cluster) -> anyhow::Result<Occupied> {
    let mut maintenance = locked(cluster).await?;
    let left = sqlx::query_scalar::<_, String>(
        r"select datname from pg_database d where starts_with(datname, $1) and not exists
            (select from pg_stat_activity a where a.datid = d.oid and a.backend_type = 'client backend')",
    );
    for name in left.bind(DEMO_PREFIX).fetch_all(&mut maintenance).await? {
        // All that is lost is disk space, and the next demo tries again.
        if let Err(error) =
            execute(&mut maintenance, format!("drop database if exists {}", quoted(&name))).await
        {
            tracing::warn!(%error, "the database {name} of an earlier demo could not be dropped");
        }
    }
    let name = format!("{DEMO_PREFIX}{}", std::process::id());
    execute(&mut maintenance, format!("create database {name}")).await?;
    let occupied = Occupied::enter(cluster, name).await?;
    maintenance.close().await?;
    Ok(occupied)
}

async fn leave(cluster: &Cluster, occupied: Occupied) -> anyhow::Result<()> {
    let name = occupied.leave().await;
    let mut maintenance = PgConnection::connect(&cluster.url(MAINTENANCE)).await?;
    // Children that had to be killed may have left connections whose server side does not know yet.
    execute(&mut maintenance, format!("drop database if exists {name} with (force)")).await?;
    Ok(maintenance.close().await?)
}

/// A connection for statements about databases; holds the lock until it is closed.
async fn locked(cluster: &Cluster) -> anyhow::Result<PgConnection> {
    let mut maintenance = PgConnection::connect(&cluster.url(MAINTENANCE)).await?;
    let lock = sqlx::query_scalar::<_, ()>("select pg_advisory_lock($1)").bind(ADVISORY_LOCK);
    lock.fetch_one(&mut maintenance).await?;
    Ok(maintenance)
}

/// Statements about databases take no parameters: names are constants, numbers of ours, or quoted.
async fn execute(maintenance: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(maintenance).await.map(|_done| ())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
