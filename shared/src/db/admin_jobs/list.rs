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

/// One statement over the jobs that a probe finds, of either side: what differs are the tables and where in them a
/// condition is looked up.
macro_rules! look {
    ($what:ident, $head:literal, $tail:literal, $fetch:ident, $tx:expr, $probe:expr, $limit:expr) => {
        match $probe.side {
            Side::Live => look!(
                @side $what, $head, $tail, $probe, $limit,
                " from paceline.sync_jobs j left join paceline.sync_runs r on r.job_id = j.id",
                "(($3 = 'running' and j.worker is not null and r.worker is not null)
                  or ($3 = 'waiting' and j.waiting_for is not null)
                  or ($3 = 'queued' and j.worker is null and j.waiting_for is null))",
                "r.last_error ->> 'code'",
                "r.last_error ->> 'fingerprint'",
                "r.last_error ->> 'message'",
                "true"
            )
            .$fetch($tx)
            .await,
            // A message is looked for in what ended as was asked for, or else in what failed.
            Side::Ended => look!(
                @side $what, $head, $tail, $probe, $limit,
                " from paceline.sync_history j",
                "j.status = $3",
                "j.last_error ->> 'code'",
                "j.last_error ->> 'fingerprint'",
                "j.last_error ->> 'message'",
                "j.status = coalesce($3, 'failed')"
            )
            .$fetch($tx)
            .await,
        }
    };
    (@side $what:ident, $head:literal, $tail:literal, $probe:expr, $limit:expr, $from:literal, $state:literal,
     $code:literal, $fingerprint:literal, $message:literal, $has_message:literal) => {
        sqlx::$what!(
            $head
                + $from
                + " where j.id >= $1 and j.id < $2 and ($3::text is null or "
                + $state
                + ") and ($4::text is null or j.provider = $4) and ($5::uuid[] is null or j.user_id = any($5)) \
                   and ($6::text is null or "
                + $code
                + " = $6) and ($7::text is null or "
                + $fingerprint
                + " = $7) and ($8::text is null or "
                + $message
                + " ilike $8) and ($9::text is null or not ("
                + $has_message
                + " and coalesce("
                + $message
                + " ilike $9, false))) and ($10::uuid[] is null or not j.user_id = any($10))"
                + $tail,
            $probe.range.from,
            $probe.range.to,
            $probe.state,
            $probe.provider,
            $probe.users.as_deref() as Option<&[Uuid]>,
            $probe.code.as_deref(),
            $probe.fingerprint.as_deref(),
            $probe.message.as_deref(),
            $probe.but_not.message.as_deref(),
            $probe.but_not.users.as_deref() as Option<&[Uuid]>,
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
    look!(query_scalar, "select j.id", " order by j.id desc limit $11", fetch_all, tx, probe, limit)
}

/// The oldest `limit` of a probe.
async fn oldest(
    tx: &mut PgConnection,
    probe: &Probe,
    limit: i64,
) -> Result<Vec<Uuid>, sqlx::Error> {
    look!(query_scalar, "select j.id", " order by j.id limit $11", fetch_all, tx, probe, limit)
}

/// The newest of a probe behind `passed` others.
async fn behind(
    tx: &mut PgConnection,
    probe: &Probe,
    passed: i64,
) -> Result<Option<Uuid>, sqlx::Error> {
    look!(
        query_scalar,
        "select j.id",
        " order by j.id desc offset $11 limit 1",
        fetch_optional,
        tx,
        probe,
        passed
    )
}

/// How many a probe finds.
async fn number(tx: &mut PgConnection, probe: &Probe) -> Result<i64, sqlx::Error> {
    look!(query_scalar, r#"select count(*) as "n!""#, " limit $11", fetch_one, tx, probe, 1)
}

/// Jobs that a page looks at where no index leads to those that match.
pub const LOOKED_AT: i64 = 10_000;

/// A page of jobs.
#[derive(Clone, Debug)]
pub struct Page {
    /// They match; the newest first.
    pub jobs: Vec<Job>,
    /// Where the search ended before its range did, for what it looks for is in no index: the next page begins
    /// behind this job, however few there are on this one. `None`: the whole range was searched.
    pub searched_to: Option<JobId>,
}

/// The newest jobs that match, within the range.
pub async fn page(
    tx: &mut PgConnection,
    filter: &Filter,
    within: Range,
    limit: i64,
) -> Result<Page, SearchError> {
    let probes = filter.probes(tx, within).await?;
    let mut end = None;
    for wide in probes.iter().filter_map(Probe::without_what_has_no_index) {
        end = end.max(behind(tx, &wide, LOOKED_AT - 1).await?);
    }
    let mut found = BTreeSet::new();
    for mut probe in probes {
        probe.range.from = probe.range.from.max(end.unwrap_or_default());
        found.extend(newest(tx, &probe, limit).await?);
    }
    let most = usize::try_from(limit).unwrap_or(0);
    let ids: Vec<Uuid> = found.into_iter().rev().take(most).collect();
    Ok(Page { jobs: rows(tx, &ids).await?, searched_to: end.map(JobId) })
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
    let mut sum = 0;
    for probe in filter.probes(tx, within).await?.iter().filter(|probe| probe.side == side) {
        sum += number(tx, probe).await?;
    }
    Ok(sum)
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
