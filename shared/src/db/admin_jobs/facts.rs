//! What there is to know about why a job is where it is. What it means is said elsewhere, by a pure
//! function.

use super::SearchError;
use crate::{
    JobId, Provider, UserId, WorkerId,
    db::lanes::{self, Lane},
    db::workers::{self, Worker},
    job_state::JobState,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Everything that has a say in whether a live job runs.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When these were the facts, by the database's clock.
    pub now: DateTime<Utc>,
    /// From where.
    pub provider: Provider,
    /// How urgent: 4 webhook, 3 interactive, 2 scheduled, 1 backfill.
    pub class: i16,
    /// Whether it is about an account itself: slots are kept for it, and no lane holds it back.
    pub kept: bool,
    /// Where in its life.
    pub state: JobState,
    /// Why it is parked.
    pub waiting_for: Option<String>,
    /// When it is due, while it is parked.
    pub run_at: DateTime<Utc>,
    /// Attempts begun.
    pub attempt: i16,
    /// The newest failure's code.
    pub error_code: Option<String>,
    /// When somebody wished its end.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Leases lost at one checkpoint.
    pub crashes: i16,
    /// The shape of its payload.
    pub payload_version: i32,
    /// Who has it.
    pub lease: Option<Lease>,
    /// The lanes.
    pub lanes: Vec<Lane>,
    /// Jobs of its provider that run.
    pub running_in_lane: i64,
    /// Processes of the last 24 hours.
    pub workers: Vec<Worker>,
    /// What comes first.
    pub ahead: Ahead,
}

/// The lease of a running job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The process.
    pub worker: WorkerId,
    /// Which claim.
    pub epoch: i64,
    /// When a worker first had the job.
    pub started_at: DateTime<Utc>,
    /// The owner's last sign of life.
    pub beat_at: DateTime<Utc>,
    /// When its work last moved.
    pub checkpoint_at: Option<DateTime<Utc>>,
    /// When it was reported that it does not move.
    pub stuck_reported_at: Option<DateTime<Utc>>,
}

/// Jobs that are claimed before this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ahead {
    /// How many, counted up to [`Ahead::COUNTED`] + 1.
    pub jobs: i64,
    /// Those of the same user among them.
    pub same_user: i64,
}

impl Ahead {
    /// No more are counted.
    pub const COUNTED: i64 = 10_000;
}

/// The facts about a live job; `None`: there is no live one of this id.
pub async fn facts(tx: &mut PgConnection, id: JobId) -> Result<Option<Facts>, SearchError> {
    let job = sqlx::query!(
        r#"select clock_timestamp() as "now!", j.user_id as "user: UserId", j.provider as "provider: Provider", j.class,
                  j.slot < 0 as "kept!",
                  case when j.worker is not null then 'running' when j.waiting_for is not null then 'waiting'
                       else 'queued' end as "state!: JobState",
                  j.waiting_for, j.run_at, j.sort_at, j.attempt, r.last_error ->> 'code' as error_code,
                  j.cancel_requested_at, j.crashes, j.payload_version, j.worker as "worker: WorkerId",
                  j.lease_epoch, r.started_at as "started_at?", r.beat_at as "beat_at?", r.checkpoint_at,
                  r.stuck_reported_at
             from paceline.sync_jobs j left join paceline.sync_runs r on r.job_id = j.id
            where j.id = $1"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(job) = job else { return Ok(None) };
    let running = sqlx::query_scalar!(
        r#"select count(*) as "n!" from paceline.sync_runs where provider = $1 and worker is not null"#,
        job.provider.as_str()
    )
    .fetch_one(&mut *tx)
    .await?;
    let ahead = if job.state == JobState::Queued && !job.kept {
        sqlx::query_as!(
            Ahead,
            r#"select count(*) as "jobs!", count(*) filter (where user_id = $4) as "same_user!"
                 from (select user_id from paceline.sync_jobs
                        where provider = $1 and slot >= 0 and waiting_for is null and worker is null
                          and (sort_at, id) < ($2, $3)
                        limit $5) a"#,
            job.provider.as_str(),
            job.sort_at,
            id.0,
            job.user.0,
            Ahead::COUNTED + 1
        )
        .fetch_one(&mut *tx)
        .await?
    } else {
        Ahead::default()
    };
    let lease = match (job.worker, job.started_at, job.beat_at) {
        (Some(worker), Some(started_at), Some(beat_at)) => Some(Lease {
            worker,
            epoch: job.lease_epoch,
            started_at,
            beat_at,
            checkpoint_at: job.checkpoint_at,
            stuck_reported_at: job.stuck_reported_at,
        }),
        _ => None,
    };
    Ok(Some(Facts {
        now: job.now,
        provider: job.provider,
        class: job.class,
        kept: job.kept,
        state: job.state,
        waiting_for: job.waiting_for,
        run_at: job.run_at,
        attempt: job.attempt,
        error_code: job.error_code,
        cancel_requested_at: job.cancel_requested_at,
        crashes: job.crashes,
        payload_version: job.payload_version,
        lease,
        lanes: lanes::read(&mut *tx).await?,
        running_in_lane: running,
        workers: workers::list(&mut *tx).await?,
        ahead,
    }))
}
