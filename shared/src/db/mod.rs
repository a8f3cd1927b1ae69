//! The tables, one file each with its SQL, and what all of them need: pools, migrations, errors.
//!
//! Time that two processes compare is `clock_timestamp()`, read after the lock it belongs to.

pub mod activities;
pub mod admin_audit;
pub mod admin_budgets;
pub mod admin_failures;
pub mod admin_jobs;
pub mod admin_operations;
pub mod authorizations;
pub mod breakers;
pub mod budgets;
pub mod connection_coverage;
pub mod connection_records;
pub mod connection_secrets;
pub mod connections;
pub mod daily_summaries;
pub mod duties;
pub mod fenced;
pub mod housekeeping;
pub mod idempotency_keys;
pub mod job_counts;
pub mod lanes;
pub mod measurements;
mod pool;
pub mod record_failures;
pub mod server;
pub mod staged_pages;
pub mod sync_attempts;
pub mod sync_history;
pub mod sync_jobs;
pub mod sync_outcomes;
pub mod sync_progress;
pub mod sync_runs;
pub mod syncs;
pub mod users;
pub mod weather_hours;
pub mod workers;

use pool::timed;
pub use pool::{Address, Db, Route, Usage};

use sqlx::{
    Postgres, Transaction,
    migrate::{MigrateError, Migrator},
};
use std::{io, sync::LazyLock, time::Duration};

/// Where it is noted which migrations were applied. Not in `public`, which Supabase opens to browsers.
pub const MIGRATIONS_TABLE: &str = "paceline.schema_migrations";

/// Held by whoever migrates. Any number would do, as long as it stays the same.
const MIGRATIONS_LOCK: i64 = 0x7061_6365_6c69_6e65;

/// The migrations, embedded.
pub static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrator = sqlx::migrate!("../migrations");
    migrator.create_schema("paceline");
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    // sqlx's own lock belongs to a session, which a pooler does not have.
    migrator.set_locking(false);
    migrator
});

/// What a caller can do about a statement that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server is away, refuses, or cut the connection: nothing is known of the statement. Try again later.
    #[error("Postgres is not reachable")]
    Unreachable(#[source] sqlx::Error),
    /// A time limit, a lock, a deadlock or a full disk ended the statement; nothing of it stayed. Try
    /// again after a while.
    #[error("a statement took too long, was in another's way, or found no room")]
    Busy(#[source] sqlx::Error),
    /// The data broke a rule of the schema; the same statement will fail again.
    #[error("Postgres refused a value")]
    Refused(#[source] sqlx::Error),
    /// Anything else.
    #[error("a statement failed")]
    Other(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Io(_) | E::Tls(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed => {
                Self::Unreachable(error)
            }
            // Not a lost connection: the same may well happen again at once.
            E::Protocol(_) => Self::Busy(error),
            E::Database(db) => match db.code().as_deref() {
                // 08: connection; 57P: shutdown.
                Some(code) if code.starts_with("08") || code.starts_with("57P") => {
                    Self::Unreachable(error)
                }
                // Too many connections; idle in a transaction for too long.
                Some("53300" | "25P03") => Self::Unreachable(error),
                // A full disk or memory, a time limit, a lock, a deadlock.
                Some(code) if code.starts_with("53") => Self::Busy(error),
                Some("57014" | "55P03" | "40P01" | "40001") => Self::Busy(error),
                Some(code) if code.starts_with("22") || code.starts_with("23") => {
                    Self::Refused(error)
                }
                _ => Self::Other(error),
            },
            _ => Self::Other(error),
        }
    }
}

impl Error {
    /// What Postgres said, without the statement or its values.
    #[must_use]
    pub fn reason(&self) -> String {
        let (Self::Unreachable(e) | Self::Busy(e) | Self::Refused(e) | Self::Other(e)) = self;
        match e {
            sqlx::Error::Database(db) => db.message().to_owned(),
            other => other.to_string(),
        }
    }
}

/// A transaction with limits, so that it keeps no row from anybody for long.
///
/// The server ends it when its process freezes in it, or when it waits for others. What writes for a
/// job as its owner takes [`fenced::Fenced`] instead.
pub async fn begin(db: &Db) -> Result<Transaction<'static, Postgres>, Error> {
    const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '5s'; \
                         set local statement_timeout = '10s'; set local lock_timeout = '10s'";
    Ok(db.begin_with(BEGIN).await?)
}

/// How long an answer may take: a little more than the server's own limit for a statement.
const ANSWER: Duration = Duration::from_secs(12);

/// The same for a short statement that something waits for.
const SHORT_ANSWER: Duration = Duration::from_secs(4);

/// Gives up a statement of which nothing is heard: [`Error::Unreachable`]. A peer that vanished is otherwise
/// believed in by the kernel for a quarter of an hour.
pub fn answered<T, E: From<Error>>(
    statement: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    answered_within(ANSWER, statement)
}

/// The same, sooner: for short statements that something waits for.
pub fn answered_soon<T, E: From<Error>>(
    statement: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    answered_within(SHORT_ANSWER, statement)
}

fn answered_within<T, E: From<Error>>(
    limit: Duration,
    statement: impl Future<Output = Result<T, E>>,
) -> impl Future<Output = Result<T, E>> {
    // Some of them are large, and lie in the futures of loops that run as long as the process.
    let statement = Box::pin(statement);
    async move {
        tokio::time::timeout(limit, statement).await.unwrap_or_else(|_elapsed| {
            Err(Error::from(sqlx::Error::from(io::Error::from(io::ErrorKind::TimedOut))).into())
        })
    }
}

/// Brings the schema to this binary's version, in one transaction: all of it or nothing. Safe when
/// several start at once; forward only.
pub async fn migrate(db: &Db) -> Result<(), MigrateError> {
    let mut tx = db.begin().await?;
    sqlx::query!("select pg_advisory_xact_lock($1)", MIGRATIONS_LOCK).execute(&mut *tx).await?;
    MIGRATOR.run_direct(None, &mut *tx, false).await?;
    tx.commit().await?;
    Ok(())
}

/// Whether the schema is at this binary's version or later.
pub async fn is_migrated(db: &Db) -> Result<bool, Error> {
    let newest = MIGRATOR.iter().map(|m| m.version).max().unwrap_or(0);
    let applied = sqlx::query_scalar::<_, i64>(
        "select coalesce(max(version), 0) from paceline.schema_migrations where success",
    )
    .fetch_one(db)
    .await;
    match applied {
        Ok(version) => Ok(version >= newest),
        // Neither the table nor its schema is there yet.
        Err(sqlx::Error::Database(e)) if matches!(e.code().as_deref(), Some("42P01" | "3F000")) => {
            Ok(false)
        }
        Err(e) => Err(e.into()),
    }
}
