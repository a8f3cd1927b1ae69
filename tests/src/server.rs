//! The Postgres server under the tests: an embedded cluster that all test processes of a working copy
//! share, or the one that `TEST_DATABASE_URL` names. Makes and drops databases on it.
//!
//! A share lives as long as a test uses it; the last one stops the embedded server, so that a test
//! run leaves nothing behind. It knows nothing of what is in the databases but the migrations.

use anyhow::{Context, Result};
use paceline_postgres::{Cluster, Options, test_home};
use paceline_shared::db::{MIGRATIONS_TABLE, MIGRATOR};
use reqwest::Url;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread::JoinHandle,
};
use tokio::sync::oneshot;

/// What the names of all tests' databases begin with; a run's own part and a number follow.
const PREFIX: &str = "paceline_t_";

/// A share in the server.
#[derive(Debug)]
pub struct Server {
    url: Url,
    requests: Option<mpsc::Sender<Request>>,
    thread: Option<JoinHandle<()>>,
    // Given up last: the thread above still has a connection.
    _cluster: Option<Cluster>,
}

#[derive(Debug)]
enum Request {
    Create(oneshot::Sender<Result<String>>),
    Drop(String, mpsc::Sender<Result<()>>),
}

impl Server {
    /// The share of this process; the first to ask starts the server.
    pub async fn share() -> Arc<Self> {
        tokio::task::spawn_blocking(|| {
            static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
            let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
            shared.upgrade().unwrap_or_else(|| {
                let server = Arc::new(Self::start().expect("a Postgres server for the tests"));
                *shared = Arc::downgrade(&server);
                server
            })
        })
        .await
        .expect("starting Postgres")
    }

    fn start() -> Result<Self> {
        let (url, cluster) = match std::env::var("TEST_DATABASE_URL") {
            Ok(url) => (url.parse::<Url>().context("TEST_DATABASE_URL")?, None),
            Err(_unset) => {
                let workspace =
                    Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no root")?;
                let cluster = Cluster::start(&Options::for_tests(test_home(workspace)))?;
                (cluster.url("postgres").parse()?, Some(cluster))
            }
        };
        let (requests, receiver) = mpsc::channel();
        let (ready, started) = mpsc::channel();
        let thread = std::thread::spawn({
            let url = url.clone();
            move || administer(&url, &ready, &receiver)
        });
        started.recv().context("the thread that makes databases ended")??;
        Ok(Self { url, requests: Some(requests), thread: Some(thread), _cluster: cluster })
    }

    /// The address of a database.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        on(&self.url, database).to_string()
    }

    /// Makes a database with the schema in it; answers its name.
    pub(crate) async fn create(&self) -> Result<String> {
        let (reply, made) = oneshot::channel();
        self.ask(Request::Create(reply));
        made.await?
    }

    /// Drops a database, whoever is connected to it. Blocks.
    pub(crate) fn drop_database(&self, name: &str) -> Result<()> {
        let (reply, dropped) = mpsc::channel();
        self.ask(Request::Drop(name.to_owned(), reply));
        dropped.recv()?
    }

    fn ask(&self, request: Request) {
        if let Some(requests) = &self.requests {
            // A thread that has ended shows in the reply that never comes.
            let _ended = requests.send(request);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn on(url: &Url, database: &str) -> Url {
    let mut url = url.clone();
    url.set_path(database);
    url
}

/// Serves requests on one connection, in a runtime that outlives those of the single tests.
fn administer(url: &Url, ready: &mpsc::Sender<Result<()>>, requests: &mpsc::Receiver<Request>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let begun = runtime.map_err(Into::into).and_then(|runtime| {
        let run = format!("{:08x}", fastrand::u32(..));
        let admin = runtime.block_on(begin(url, &run))?;
        Ok((runtime, admin, run))
    });
    let (runtime, mut admin, run) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            let _gone = ready.send(Err(error));
            return;
        }
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    for (number, request) in requests.iter().enumerate() {
        match request {
            Request::Create(reply) => {
                let name = format!("{PREFIX}{run}_{number}");
                let made = runtime.block_on(copy_template(&mut admin, &name));
                // A test that gave up waiting left its database to the next run.
                let _gone = reply.send(made.map(|()| name));
            }
            Request::Drop(name, reply) => {
                let dropped = runtime.block_on(async {
                    // A proof may have stopped the server meanwhile.
                    if admin.ping().await.is_err() {
                        admin = PgConnection::connect(url.as_str()).await?;
                    }
                    remove(&mut admin, &name).await
                });
                let _gone = reply.send(dropped);
            }
        }
    }
    let _unreachable = runtime.block_on(admin.close());
}

/// Connects, sees to it that the template is there, and clears away what dead runs left.
async fn begin(url: &Url, run: &str) -> Result<PgConnection> {
    let mut admin = PgConnection::connect(url.as_str()).await.context("connecting to Postgres")?;
    sqlx::query("select pg_advisory_lock(hashtextextended($1, 0))")
        .bind(run)
        .execute(&mut admin)
        .await?;
    let found: Vec<String> =
        sqlx::query_scalar("select datname from pg_database where starts_with(datname, $1)")
            .bind(PREFIX)
            .fetch_all(&mut admin)
            .await?;
    for name in found {
        // A run that lives holds the lock of its name.
        let owner = name.trim_start_matches(PREFIX).split('_').next().unwrap_or_default();
        let is_dead: bool =
            sqlx::query_scalar("select pg_try_advisory_lock(hashtextextended($1, 0))")
                .bind(owner)
                .fetch_one(&mut admin)
                .await?;
        if is_dead && owner != run {
            remove(&mut admin, &name).await?;
        }
    }
    make_template(&mut admin, url).await?;
    Ok(admin)
}

fn template() -> String {
    let mut hash = Sha256::new();
    hash.update(MIGRATIONS_TABLE);
    for migration in MIGRATOR.iter() {
        hash.update(migration.version.to_be_bytes());
        hash.update(&migration.checksum);
    }
    let short = hash.finalize().first_chunk().copied().unwrap_or_default();
    format!("paceline_tpl_{:016x}", u64::from_be_bytes(short))
}

/// A migrated database to copy, made once; several processes may want it at this moment.
async fn make_template(admin: &mut PgConnection, url: &Url) -> Result<()> {
    const LOCK: i64 = 0x7061_6365_6c69_6e65;
    let name = template();
    sqlx::query("select pg_advisory_lock($1)").bind(LOCK).execute(&mut *admin).await?;
    let is_there: Option<bool> =
        sqlx::query_scalar("select datistemplate from pg_database where datname = $1")
            .bind(&name)
            .fetch_optional(&mut *admin)
            .await?;
    if is_there != Some(true) {
        // One that is there but no template is what a killed process left half made.
        remove(admin, &name).await?;
        admin.execute(AssertSqlSafe(format!("create database {name}"))).await?;
        let mut database = PgConnection::connect(on(url, &name).as_str()).await?;
        MIGRATOR.run(&mut database).await.context("migrating the template")?;
        database.close().await?;
        let done = format!("alter database {name} with is_template true allow_connections false");
        admin.execute(AssertSqlSafe(done)).await?;
    }
    sqlx::query("select pg_advisory_unlock($1)").bind(LOCK).execute(admin).await?;
    Ok(())
}

async fn copy_template(admin: &mut PgConnection, name: &str) -> Result<()> {
    let copy = format!("create database {name} template {}", template());
    admin.execute(AssertSqlSafe(copy)).await.context("copying the template")?;
    Ok(())
}

async fn remove(admin: &mut PgConnection, name: &str) -> Result<()> {
    admin.execute(AssertSqlSafe(format!("drop database if exists {name} with (force)"))).await?;
    Ok(())
}
