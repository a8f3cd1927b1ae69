//! Pages, batches and counts of jobs. First ids, each probe by its index; then the rows of those that count.

use super::{
    Filter, Range, SearchError,
    filter::{Probe, Side},
};
use crate::{JobId, UserId, WorkerId, job_state::JobState};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A job as a list shows it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The syncId.
    pub id: JobId,
    /// Whose.
    pub user: UserId,
    /// The same by his subject.
    pub subject: String,
    /// From where.
    pub provider: String,
    /// What.
    pub job_type: String,
    /// `sync`, or another kind of work.
    pub kind: String,
    /// How urgent: 4 webhook, 3 interactive, 2 scheduled, 1 backfill.
    pub class: i16,
    /// Where in its life.
    pub state: JobState,
    /// Where in the pipeline.
    pub phase: String,
    /// Attempts begun, less those given back.
    pub attempt: i16,
    /// Failed attempts that may be retried.
    pub max_retries: i16,
    /// Leases lost at one checkpoint.
    pub crashes: i16,
    /// Whether an attempt failed and no checkpoint was reached since.
    pub retrying: bool,
    /// Why it is parked.
    pub waiting_for: Option<String>,
    /// Until when.
    pub waiting_until: Option<DateTime<Utc>>,
    /// When somebody wished its end.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Who has it.
    pub worker: Option<WorkerId>,
    /// The newest failure, as stored.
    pub last_error: Option<Value>,
    /// The failure's kind.
    pub fingerprint: Option<String>,
    /// Records that are through.
    pub processed: i32,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When a worker first had it.
    pub started_at: Option<DateTime<Utc>>,
    /// When something last happened.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

macro_rules! live {
    ($what:ident, $head:tt, $tail:tt, $probe:expr, $limit:expr) => {
        sqlx::$what!(
            $head
                + r#" from paceline.sync_jobs j left join paceline.sync_runs r on r.job_id = j.id
             where j.id >= $1 and j.id < $2
               and ($3::text is null or ($3 = 'running' and j.worker is not null and r.worker is not null)
                    or ($3 = 'waiting' and j.waiting_for is not null)
                    or ($3 = 'queued' and j.worker is null and j.waiting_for is null))
               and ($4::text is null or j.provider = $4)
               and ($5::uuid[] is null or j.user_id = any($5))
               and ($6::text is null or r.last_error ->> 'code' = $6)
               and ($7::text is null or r.last_error ->> 'fingerprint' = $7)
               and ($8::text is null or r.last_error ->> 'message' ilike $8)"#
                + $tail,
            $probe.range.from,
            $probe.range.to,
            $probe.state,
            $probe.provider,
            $probe.users.as_deref() as Option<&[Uuid]>,
            $probe.code.as_deref(),
            $probe.fingerprint.as_deref(),
            $probe.message.as_deref(),
            $limit
        )
    };
}

macro_rules! ended {
    ($what:ident, $head:tt, $tail:tt, $probe:expr, $limit:expr) => {
        sqlx::$what!(
            $head
                + r#" from paceline.sync_history j
             where j.id >= $1 and j.id < $2
               and ($3::text is null or j.status = $3)
               and ($4::text is null or j.provider = $4)
               and ($5::uuid[] is null or j.user_id = any($5))
               and ($6::text is null or j.last_error ->> 'code' = $6)
               and ($7::text is null or j.last_error ->> 'fingerprint' = $7)
               and ($8::text is null or j.last_error ->> 'message' ilike $8)"#
                + $tail,
            $probe.range.from,
            $probe.range.to,
            $probe.state,
            $probe.provider,
            $probe.users.as_deref() as Option<&[Uuid]>,
            $probe.code.as_deref(),
            $probe.fingerprint.as_deref(),
            $probe.message.as_deref(),
            $limit
        )
    };
}

/// The newest `limit` of a probe.
async fn newest(
    tx: &mut PgConnection,
    probe: &Probe,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    match probe.side {
        Side::Live => {
            live!(query_scalar, "select j.id", " order by j.id desc limit $9", probe, limit)
                .fetch_all(tx)
                .await
        }
        Side::Ended => {
            ended!(query_scalar, "select j.id", " order by j.id desc limit $9", probe, limit)
                .fetch_all(tx)
                .await
        }
    }
}

/// The oldest `limit` of a probe.
async fn oldest(
    tx: &mut PgConnection,
    probe: &Probe,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    match probe.side {
        Side::Live => {
            live!(query_scalar, "select j.id", " order by j.id limit $9", probe, limit)
                .fetch_all(tx)
                .await
        }
        Side::Ended => {
            ended!(query_scalar, "select j.id", " order by j.id limit $9", probe, limit)
                .fetch_all(tx)
                .await
        }
    }
}

/// How many a probe finds.
async fn number(tx: &mut PgConnection, probe: &Probe) -> Result<i64, sqlx::Error> {
    match probe.side {
        Side::Live => {
            live!(query_scalar, r#"select count(*) as "n!""#, " limit $9", probe, 1)
                .fetch_one(tx)
                .await
        }
        Side::Ended => {
            ended!(query_scalar, r#"select count(*) as "n!""#, " limit $9", probe, 1)
                .fetch_one(tx)
                .await
        }
    }
}

/// The newest jobs that match, within the range.
pub async fn page(
    tx: &mut PgConnection,
    filter: &Filter,
    within: Range,
    limit: i64,
) -> Result<Vec<Job>, SearchError> {
    let mut found = BTreeSet::new();
    for probe in filter.probes(tx, within).await? {
        found.extend(newest(tx, &probe, limit).await?);
    }
    let most = usize::try_from(limit).unwrap_or(0);
    let ids: Vec<Uuid> = found.into_iter().rev().take(most).collect();
    Ok(rows(tx, &ids).await?)
}

/// The ids of the oldest jobs that match on one side, within the range, oldest first.
pub async fn after(
    tx: &mut PgConnection,
    filter: &Filter,
    side: Side,
    within: Range,
    limit: i64,
) -> Result<Vec<JobId>, SearchError> {
    let mut found = BTreeSet::new();
    for probe in filter.probes(tx, within).await?.iter().filter(|probe| probe.side == side) {
        found.extend(oldest(tx, probe, limit).await?);
    }
    let most = usize::try_from(limit).unwrap_or(0);
    Ok(found.into_iter().take(most).map(JobId).collect())
}

/// How many jobs match on one side, within the range.
pub async fn count(
    tx: &mut PgConnection,
    filter: &Filter,
    side: Side,
    within: Range,
) -> Result<i64, SearchError> {
    let probes = filter.probes(tx, within).await?;
    let probes: Vec<&Probe> = probes.iter().filter(|probe| probe.side == side).collect();
    if let [one] = probes.as_slice() {
        return Ok(number(tx, one).await?);
    }
    // What two probes find counts once.
    let mut found = BTreeSet::new();
    for probe in probes {
        found.extend(oldest(tx, probe, i64::MAX).await?);
    }
    Ok(i64::try_from(found.len()).unwrap_or(i64::MAX))
}

/// The jobs with these ids, newest first, wherever they are by now.
pub async fn rows(tx: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Job>, sqlx::Error> {
    let mut jobs = sqlx::query_as!(
        Job,
        r#"select j.id as "id!: JobId", j.user_id as "user!: UserId", coalesce(u.external_id, '') as "subject!",
                  j.provider as "provider!", j.job_type as "job_type!", j.kind as "kind!", j.class as "class!",
                  case when j.worker is not null then 'running' when j.waiting_for is not null then 'waiting'
                       else 'queued' end as "state!: JobState",
                  coalesce(r.phase, 'fetch') as "phase!", j.attempt as "attempt!", j.max_retries as "max_retries!",
                  j.crashes as "crashes!", coalesce(r.retrying, false) as "retrying!", j.waiting_for,
                  case when j.waiting_for is not null then j.run_at end as waiting_until, j.cancel_requested_at,
                  j.worker as "worker: WorkerId", r.last_error, r.last_error ->> 'fingerprint' as fingerprint,
                  coalesce(paceline.processed(r.counts), 0) as "processed!", j.created_at as "created_at!", r.started_at,
                  coalesce(r.last_activity_at, j.created_at) as "updated_at!", null::timestamptz as finished_at
             from paceline.sync_jobs j
             left join paceline.sync_runs r on r.job_id = j.id
             left join paceline.users u on u.id = j.user_id
            where j.id = any($1)
           union all
           select h.id, h.user_id, coalesce(u.external_id, ''), h.provider, h.job_type, h.kind, h.class, h.status,
                  h.phase, h.attempt, h.max_retries, h.crashes, false, null, null, null, null, h.last_error,
                  h.last_error ->> 'fingerprint', paceline.processed(h.counts), h.created_at, h.started_at, h.finished_at, h.finished_at
             from paceline.sync_history h left join paceline.users u on u.id = h.user_id
            where h.id = any($1)"#,
        ids
    )
    .fetch_all(tx)
    .await?;
    jobs.sort_unstable_by_key(|job| std::cmp::Reverse(job.id));
    Ok(jobs)
}
