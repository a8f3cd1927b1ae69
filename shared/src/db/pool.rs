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
    ConnectOptions, Describe, Either, Execute, Executor, PgPool, Postgres, SqlStr, Transaction,
    postgres::{
        PgConnectOptions, PgListener, PgPoolOptions, PgQueryResult, PgRow, PgStatement, PgTypeInfo,
    },
};
use std::{str::FromStr, time::Duration};

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
}

impl Db {
    /// Connections for one process. `name` shows in `pg_stat_activity`.
    ///
    /// Opens nothing yet: a process starts, and stays up, while Postgres is away. A connection that
    /// cannot be had within 3 s is [`Error::Unreachable`].
    pub fn new(url: &str, route: Route, name: &str, connections: u32) -> Result<Self, Error> {
        let options = PgConnectOptions::from_str(url)?
            .application_name(name)
            .log_statements(tracing::log::LevelFilter::Off)
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(2));
        let options = match route {
            // A peer that vanished is noticed in 5 + 3 × 2 s. The server takes these for its side.
            Route::Direct => options.options([
                ("tcp_keepalives_idle", "5"),
                ("tcp_keepalives_interval", "2"),
                ("tcp_keepalives_count", "3"),
            ]),
            Route::Pooler => options.statement_cache_capacity(0),
        };
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(3))
            .idle_timeout(Duration::from_mins(5))
            .connect_lazy_with(options);
        Ok(Self { pool, route })
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
            Route::Direct => self.pool.begin_with(begin).await,
            Route::Pooler => {
                let mut tx = self.pool.begin().await?;
                let limits = begin.strip_prefix("begin").unwrap_or_default();
                let fresh = sqlx::AssertSqlSafe(format!("deallocate all{limits}"));
                sqlx::raw_sql(fresh).execute(&mut *tx).await?;
                Ok(tx)
            }
        }
    }

    /// A connection that hears notifications, if what leads to Postgres lets it.
    pub async fn listener(&self) -> Result<PgListener, sqlx::Error> {
        PgListener::connect_with(&self.pool).await
    }

    /// Connections that are open, and those of them that nobody uses.
    #[must_use]
    pub fn usage(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
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

    /// All that a statement answers, out of a transaction of its own.
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
        match self.route {
            Route::Direct => (&self.pool).fetch_many(query),
            Route::Pooler => {
                let all = async move { Ok(stream::iter(self.alone(query).await?).map(Ok)) };
                all.try_flatten_stream().boxed()
            }
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.route {
            Route::Direct => (&self.pool).fetch_optional(query),
            Route::Pooler => {
                async move { Ok(self.alone(query).await?.into_iter().find_map(Either::right)) }
                    .boxed()
            }
        }
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
