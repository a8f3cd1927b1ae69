//! The way to Postgres: a pool, directly or through a pooler that hands out a server connection for
//! each transaction (`PgBouncer` in transaction mode). It knows no table.
//!
//! Behind such a pooler nothing of a session lasts: a statement that was prepared outside the
//! transaction that runs it may be gone, or be somebody else's. So there each statement is a transaction of its
//! own, prepares what it needs, and clears away first what others left behind. That costs round trips, and it
//! works with every version of `PgBouncer`.

use super::Error;
use futures::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{
    ConnectOptions, Connection as _, Describe, Either, Execute, Executor, PgConnection, PgPool,
    Postgres, SqlStr, Transaction,
    postgres::{
        PgConnectOptions, PgListener, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
    },
};
use std::{
    future::Future,
    io,
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// What leads from a URL to Postgres.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// Connections are sessions.
    #[default]
    Direct,
    /// A pooler in transaction mode.
    Pooler,
}

/// Where Postgres is.
#[derive(Clone, Debug)]
pub struct Address {
    url: SecretString,
    route: Route,
    direct: Option<SecretString>,
}

impl Address {
    /// A URL whose connections are sessions.
    #[must_use]
    pub fn direct(url: impl Into<SecretString>) -> Self {
        Self { url: url.into(), route: Route::Direct, direct: None }
    }

    /// A URL that leads through a pooler in transaction mode, and one past it, where there is one.
    #[must_use]
    pub fn pooled(url: impl Into<SecretString>, direct: Option<SecretString>) -> Self {
        Self { url: url.into(), route: Route::Pooler, direct }
    }

    /// Connections for statements. `name` shows in `pg_stat_activity`.
    pub fn connect(&self, name: &str, connections: u32) -> Result<Db, Error> {
        Db::new(self.url.expose_secret(), self.route, name, connections)
    }

    /// The same, for tables that are empty at one moment and huge at the next: every statement is planned
    /// for what there is now. A plan kept from an empty queue would sort a full one.
    pub fn connect_for_queue(&self, name: &str, connections: u32) -> Result<Db, Error> {
        let fresh_plans = [("plan_cache_mode", "force_custom_plan")];
        Db::with(self.url.expose_secret(), self.route, name, connections, &fresh_plans)
    }

    /// Connections that hear notifications: past the pooler, where there is a way.
    pub fn connect_listener(&self, name: &str) -> Result<Db, Error> {
        match &self.direct {
            Some(url) => Db::new(url.expose_secret(), Route::Direct, name, 1),
            None => self.connect(name, 1),
        }
    }
}

/// Connections to Postgres. Clones share them. An executor of sqlx, as its pool is one.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
    route: Route,
    name: Arc<str>,
    waiting: Arc<AtomicUsize>,
}

/// How a pool is used at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Connections that are open.
    pub open: usize,
    /// Those of them that nobody uses.
    pub idle: usize,
    /// Statements and transactions that wait for one.
    pub waiting: usize,
}

/// One that waits for a connection, for as long as it does.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Runs `work`, whatever its end, and measures what it took. `statement` is its label.
pub(super) fn timed<T>(
    statement: &'static str,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    // On the heap: some of these are large, and their callers would be as well.
    let work = Box::pin(work);
    async move {
        let began = Instant::now();
        let done = work.await;
        metrics::histogram!("paceline_sql_seconds", "statement" => statement)
            .record(began.elapsed());
        done
    }
}

/// Longer than any single statement takes. Without a limit here, one whose peer vanished would hang for as long
/// as the kernel believes in that peer.
const ANSWER: Duration = Duration::from_secs(30);

async fn in_time<T>(
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    tokio::time::timeout(ANSWER, statement)
        .await
        .unwrap_or_else(|_elapsed| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Whether a connection that comes back into the pool answers. sqlx asks as well, but waits for as long as the
/// kernel believes in a peer that vanished, a quarter of an hour; each such wait is one connection less.
async fn still_answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    tokio::time::timeout(Duration::from_secs(3), connection.ping())
        .await
        .unwrap_or_else(|_elapsed| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        .map(|()| true)
}

impl Db {
    /// Connections for one process. `name` shows in `pg_stat_activity`.
    ///
    /// Opens nothing yet: a process starts, and stays up, while Postgres is away. A connection that
    /// cannot be had within 3 s is [`Error::Unreachable`].
    pub fn new(url: &str, route: Route, name: &str, connections: u32) -> Result<Self, Error> {
        Self::with(url, route, name, connections, &[])
    }

    /// The same, with settings of the session where there is one.
    fn with(
        url: &str,
        route: Route,
        name: &str,
        connections: u32,
        settings: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url)?
            .application_name(name)
            .log_statements(tracing::log::LevelFilter::Off)
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(2));
        let options = match route {
            // A peer that vanished is noticed in 5 + 3 × 2 s. The server takes these for its side.
            Route::Direct => options
                .options([
                    ("tcp_keepalives_idle", "5"),
                    ("tcp_keepalives_interval", "2"),
                    ("tcp_keepalives_count", "3"),
                    // Compiling takes longer than any statement here; estimates of a huge table would ask for it.
                    ("jit", "off"),
                ])
                .options(settings.iter().copied()),
            // PgBouncer refuses start-up parameters that it does not know.
            Route::Pooler => options.statement_cache_capacity(0).extra_float_digits(None),
        };
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(3))
            .idle_timeout(Duration::from_mins(5))
            .after_release(|connection, _| Box::pin(still_answers(connection)))
            .connect_lazy_with(options);
        Ok(Self { pool, route, name: Arc::from(name), waiting: Arc::default() })
    }

    /// What leads to Postgres.
    #[must_use]
    pub const fn route(&self) -> Route {
        self.route
    }

    /// A transaction without limits. What holds rows of others takes [`super::begin`] instead.
    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.begin_with("begin").await
    }

    /// A transaction that `begin`, a text that starts with that word, opens.
    pub(super) async fn begin_with(
        &self,
        begin: &'static str,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        match self.route {
            Route::Direct => self.waited(self.pool.begin_with(begin)).await,
            Route::Pooler => {
                let mut tx = self.waited(self.pool.begin()).await?;
                let limits = begin.strip_prefix("begin").unwrap_or_default();
                let fresh = sqlx::AssertSqlSafe(format!("deallocate all{limits}"));
                sqlx::raw_sql(fresh).execute(&mut *tx).await?;
                Ok(tx)
            }
        }
    }

    /// A connection that hears notifications, if what leads to Postgres lets it.
    pub async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        // A connection of its own: one that hangs must not be in its successor's way.
        let alone = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(3))
            .max_lifetime(None)
            .idle_timeout(None)
            .connect_lazy_with(self.pool.connect_options().as_ref().clone());
        PgListener::connect_with(&alone).await
    }

    /// How busy it is.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage {
            open: self.pool.size() as usize,
            idle: self.pool.num_idle(),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    /// Its name, as in `pg_stat_activity`.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Measures the wait for a connection.
    async fn waited<T>(
        &self,
        connection: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let waits = Waits::begin(&self.waiting);
        let began = Instant::now();
        let connection = connection.await;
        drop(waits);
        metrics::histogram!("paceline_sql_acquire_seconds", "pool" => self.name())
            .record(began.elapsed());
        connection
    }

    /// The pool itself, for the migrator and for tests.
    #[must_use]
    pub const fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Closes every connection, once those in use are back.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// All that a statement answers, read to its end so that the connection is soon free again.
    async fn all<'q, E: Execute<'q, Postgres> + 'q>(
        &self,
        query: E,
    ) -> Result<Vec<Either<PgQueryResult, PgRow>>, sqlx::Error> {
        match self.route {
            Route::Direct => {
                let mut connection = self.waited(self.pool.acquire()).await?;
                in_time(connection.fetch_many(query).try_collect()).await
            }
            Route::Pooler => in_time(self.alone(query)).await,
        }
    }

    /// The same out of a transaction of its own.
    async fn alone<'q, E: Execute<'q, Postgres> + 'q>(
        &self,
        query: E,
    ) -> Result<Vec<Either<PgQueryResult, PgRow>>, sqlx::Error> {
        let mut tx = self.begin().await?;
        let all = (&mut *tx).fetch_many(query).try_collect().await?;
        tx.commit().await?;
        Ok(all)
    }
}

impl<'c> Executor<'c> for &'c Db {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move { Ok(stream::iter(self.all(query).await?).map(Ok)) }.try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        async move { Ok(self.all(query).await?.into_iter().find_map(Either::right)) }.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        (&self.pool).prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        (&self.pool).describe(sql)
    }
}
