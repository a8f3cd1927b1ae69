//! `workers`: a row for each worker process, which [`super::sync_runs::beat`] makes and renews. How leases
//! stand is none of its business.

use super::Error;
use crate::{Provider, WorkerId};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use std::time::Duration;

/// A process that was silent for so long is lost: a usual lease.
pub const SILENCE: Duration = Duration::from_secs(13);

/// What a process says of itself with each beat.
#[derive(Clone, Debug)]
pub struct Presence<'a> {
    /// This life of the process.
    pub id: WorkerId,
    /// For people; no identity.
    pub label: &'a str,
    /// The machine's name.
    pub host: &'a str,
    /// The process's id on that machine.
    pub pid: i32,
    /// Whose jobs it takes.
    pub providers: &'a [String],
    /// Jobs at a time.
    pub slots: i32,
    /// The newest payload that it can read.
    pub payload_version: i32,
    /// Its release.
    pub version: &'a str,
    /// Jobs that it has now.
    pub jobs: i32,
    /// Memory that it occupies, in bytes; 0 where that is not known.
    pub rss_bytes: i64,
    /// Whether notifications reach it.
    pub listening: bool,
    /// Whether it takes no more jobs because it shall end.
    pub draining: bool,
}

/// A process ends as it should.
pub async fn stop(db: impl PgExecutor<'_>, id: WorkerId) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.workers set stopped_at = clock_timestamp(), jobs = 0, beat_at = clock_timestamp() where id = $1",
        id.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// How a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    /// It beats and takes jobs.
    Alive,
    /// It beats, takes no more jobs, and ends when those that it has are finished or handed back.
    Draining,
    /// It ended as it should.
    Stopped,
    /// It fell silent without a word.
    Lost,
}

/// A process as an operator sees it.
#[derive(Clone, Debug)]
pub struct Worker {
    /// This life of the process.
    pub id: WorkerId,
    /// For people; several may share one.
    pub label: String,
    /// The machine's name.
    pub host: String,
    /// The process's id on that machine.
    pub pid: i32,
    /// Its release.
    pub version: String,
    /// The newest payload that it can read.
    pub payload_version: i32,
    /// Whose jobs it takes.
    pub providers: Vec<String>,
    /// Jobs at a time.
    pub slots: i32,
    /// Jobs that it had at its last beat.
    pub jobs: i32,
    /// Memory that it occupied at its last beat, in bytes; 0 where that is not known.
    pub rss_bytes: i64,
    /// Whether notifications reach it; else it polls.
    pub listening: bool,
    /// Whether it drains, or was asked to.
    pub draining: bool,
    /// How it stands.
    pub state: State,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it last gave a sign of life.
    pub beat_at: DateTime<Utc>,
    /// When it ended, if it did as it should.
    pub stopped_at: Option<DateTime<Utc>>,
    /// When somebody asked it to drain.
    pub drain_requested_at: Option<DateTime<Utc>>,
    /// Who did.
    pub drain_requested_by: Option<String>,
}

/// All processes of the last 24 hours: those that are there first, the youngest of them first.
pub async fn list(db: impl PgExecutor<'_>) -> Result<Vec<Worker>, Error> {
    Ok(sqlx::query_as!(
        Worker,
        r#"select id as "id: WorkerId", label, host, pid, version, payload_version, providers, slots, jobs, rss_bytes,
                  listening, draining or drain_requested_at is not null as "draining!",
                  case when stopped_at is not null then 'stopped'
                       when beat_at < clock_timestamp() - make_interval(secs => $1) then 'lost'
                       when draining or drain_requested_at is not null then 'draining'
                       else 'alive' end as "state!: State",
                  started_at, beat_at, stopped_at, drain_requested_at, drain_requested_by
             from paceline.workers
            order by stopped_at is not null or beat_at < clock_timestamp() - make_interval(secs => $1),
                     started_at desc, id"#,
        SILENCE.as_secs_f64()
    )
    .fetch_all(db)
    .await?)
}

/// Whether somebody waits since `since`, for longer than `patience`, for work that no process is there to do.
pub async fn is_nobody_there(
    db: impl PgExecutor<'_>,
    provider: Provider,
    since: DateTime<Utc>,
    patience: Duration,
) -> Result<bool, Error> {
    Ok(sqlx::query_scalar!(
        r#"select $2 < clock_timestamp() - make_interval(secs => $3) and not exists (
             select from paceline.workers
              where stopped_at is null and not draining and drain_requested_at is null
                and beat_at >= clock_timestamp() - make_interval(secs => $4) and $1 = any(providers)) as "nobody!""#,
        provider.as_str(),
        since,
        patience.as_secs_f64(),
        SILENCE.as_secs_f64()
    )
    .fetch_one(db)
    .await?)
}

/// What became of the wish that a process drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// It will find the wish with its next beat.
    Asked,
    /// Somebody asked before.
    AlreadyAsked,
    /// It has ended already.
    Stopped,
    /// Nobody of this id was there in the last 24 hours.
    Unknown,
}

/// Asks a process to finish or hand back what it has, and to end. One that fell silent drains when it wakes up.
pub async fn request_drain(
    tx: &mut PgConnection,
    id: WorkerId,
    actor: &str,
) -> Result<Drain, Error> {
    let row = sqlx::query!(
        r#"select stopped_at is not null as "stopped!", drain_requested_at is not null as "asked!"
             from paceline.workers where id = $1 for update"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    match row {
        None => return Ok(Drain::Unknown),
        Some(row) if row.stopped => return Ok(Drain::Stopped),
        Some(row) if row.asked => return Ok(Drain::AlreadyAsked),
        Some(_) => {}
    }
    sqlx::query!(
        "update paceline.workers set drain_requested_at = clock_timestamp(), drain_requested_by = $2 where id = $1",
        id.0,
        actor
    )
    .execute(&mut *tx)
    .await?;
    Ok(Drain::Asked)
}

/// Forgets processes that ended or fell silent a day ago.
pub async fn forget_old(db: impl PgExecutor<'_>) -> Result<u64, Error> {
    let gone = sqlx::query!(
        "delete from paceline.workers where beat_at < clock_timestamp() - interval '24 hours'"
    )
    .execute(db)
    .await?;
    Ok(gone.rows_affected())
}
