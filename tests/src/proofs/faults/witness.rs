//! Looks on from inside the database: triggers note every claim with its time, and every write for a
//! job by a process that is not its owner. What a transaction did that was rolled back leaves no note.
//!
//! A process is known by `proof.worker`, a setting that its URL gives to each of its sessions.

use anyhow::Result;
use chrono::{DateTime, Utc};
use paceline_shared::db::Db;
use uuid::Uuid;

const TRIGGERS: &str = include_str!("witness.sql");

/// A job that a process had when something befell it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(super) struct Held {
    pub(super) job: Uuid,
    pub(super) epoch: i64,
}

/// Lets the database take notes.
pub(super) async fn install(db: &Db) -> Result<()> {
    sqlx::raw_sql(TRIGGERS).execute(db).await?;
    Ok(())
}

/// The jobs of a process, by the name that its sessions have.
pub(super) async fn held(db: &Db, name: &str) -> Result<Vec<Held>> {
    let held = sqlx::query_as(
        "select job_id as job, lease_epoch as epoch from paceline.sync_runs
          where worker = any(array(select distinct worker from proof.claims where session = $1))",
    );
    Ok(held.bind(name).fetch_all(db).await?)
}

/// How many jobs of a process are locked by a transaction at this moment.
pub(super) async fn locked(db: &Db, name: &str) -> Result<usize> {
    let held = held(db, name).await?;
    let ids: Vec<Uuid> = held.iter().map(|held| held.job).collect();
    let free: Vec<Uuid> = sqlx::query_scalar(
        "select job_id from paceline.sync_runs where job_id = any($1) for update skip locked",
    )
    .bind(&ids)
    .fetch_all(db)
    .await?;
    Ok(ids.len().saturating_sub(free.len()))
}

/// The processes that are inside a transaction of a job at this moment.
pub(super) async fn in_transaction(db: &Db) -> Result<Vec<String>> {
    let found = sqlx::query_scalar(
        "select s.session from pg_stat_activity a join proof.sessions s on s.pid = a.pid
          where a.datname = current_database() and a.state = 'idle in transaction'
            and a.application_name = 'paceline-worker'",
    );
    Ok(found.fetch_all(db).await?)
}

/// Postgres's time.
pub(super) async fn now(db: &Db) -> Result<DateTime<Utc>> {
    Ok(sqlx::query_scalar("select clock_timestamp()").fetch_one(db).await?)
}

/// When each of these jobs was claimed again after it was lost, in seconds since `lost`. A job that
/// ended without another claim had ended before.
pub(super) async fn claimed_again_s(
    db: &Db,
    lost: DateTime<Utc>,
    held: &[Held],
) -> Result<Vec<f64>> {
    let (jobs, epochs): (Vec<Uuid>, Vec<i64>) = held.iter().map(|h| (h.job, h.epoch)).unzip();
    let again = sqlx::query_scalar(
        "select extract(epoch from min(c.at) - $1)::float8
           from unnest($2::uuid[], $3::bigint[]) as h(job, epoch)
           join proof.claims c on c.job = h.job and c.epoch > h.epoch group by h.job",
    );
    Ok(again.bind(lost).bind(&jobs).bind(&epochs).fetch_all(db).await?)
}

/// How many of these syncs somebody has now.
pub(super) async fn running(db: &Db, syncs: &[Uuid]) -> Result<usize> {
    let running = sqlx::query_scalar(
        "select count(*) from paceline.sync_runs where job_id = any($1) and worker is not null",
    );
    let running: i64 = running.bind(syncs).fetch_one(db).await?;
    Ok(usize::try_from(running)?)
}

/// Whether a process has claimed anything after an instant.
pub(super) async fn has_claimed(db: &Db, name: &str, since: DateTime<Utc>) -> Result<bool> {
    let claimed = sqlx::query_scalar(
        "select exists (select from proof.claims where session = $1 and at > $2)",
    );
    Ok(claimed.bind(name).bind(since).fetch_one(db).await?)
}

/// How many claims there were after an instant.
pub(super) async fn claims_since(db: &Db, since: DateTime<Utc>) -> Result<usize> {
    let claims = sqlx::query_scalar("select count(*) from proof.claims where at > $1");
    let claims: i64 = claims.bind(since).fetch_one(db).await?;
    Ok(usize::try_from(claims)?)
}

/// The first thing that a worker did after an instant, in seconds since then; `None`: nothing yet.
pub(super) async fn first_work_s(db: &Db, since: DateTime<Utc>) -> Result<Option<f64>> {
    let first = sqlx::query_scalar(
        "select extract(epoch from least(
            (select min(at) from proof.claims where at > $1),
            (select min(checkpoint_at) from paceline.sync_runs where checkpoint_at > $1),
            (select min(finished_at) from paceline.sync_history where finished_at > $1)) - $1)::float8",
    );
    Ok(first.bind(since).fetch_one(db).await?)
}

/// Writes that were accepted for a job from a process that did not own it.
pub(super) async fn stale_writes(db: &Db) -> Result<Vec<String>> {
    let notes = sqlx::query_scalar(
        "select format('%s: %s of %s by %s, owner %s', at, act, job, session, owner)
           from proof.stale order by at",
    );
    Ok(notes.fetch_all(db).await?)
}

/// Claims beyond the first of an epoch.
pub(super) async fn double_claims(db: &Db) -> Result<i64> {
    let doubles = sqlx::query_scalar(
        "select (count(*) - count(distinct (job, epoch)))::bigint from proof.claims",
    );
    Ok(doubles.fetch_one(db).await?)
}
