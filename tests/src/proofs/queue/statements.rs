//! What statements cost and how often they ran, as `pg_stat_statements` counts them.

use anyhow::{Context, Result};
use sqlx::PgPool;

/// Statements of one purpose.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Spent {
    /// How often they ran.
    pub(crate) calls: f64,
    /// Milliseconds in the server.
    pub(crate) ms: f64,
}

/// Begins to count.
pub(crate) async fn reset(db: &PgPool) -> Result<()> {
    sqlx::raw_sql("create extension if not exists pg_stat_statements; select pg_stat_statements_reset()")
        .execute(db)
        .await
        .context("this figure needs pg_stat_statements: set shared_preload_libraries and install Postgres's contrib modules")?;
    Ok(())
}

/// What the statements that match a regular expression, and do not match the other, took since the reset.
pub(crate) async fn spent(db: &PgPool, like: &str, unlike: &str) -> Result<Spent> {
    let (calls, ms) = sqlx::query_as(
        "select coalesce(sum(calls), 0)::float8, coalesce(sum(total_exec_time + total_plan_time), 0)::float8
           from pg_stat_statements
          where dbid = (select oid from pg_database where datname = current_database())
            and query ~ $1 and query !~ $2",
    )
    .bind(like)
    .bind(unlike)
    .fetch_one(db)
    .await?;
    Ok(Spent { calls, ms })
}

/// What takes jobs.
pub(crate) const CLAIM: &str = "insert into paceline.sync_runs as";
/// What ends them.
pub(crate) const SETTLE: &str = "insert into paceline.sync_history";
/// What says so.
pub(crate) const NOTIFY: &str = "pg_notify";
