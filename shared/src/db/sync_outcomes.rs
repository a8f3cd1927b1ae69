//! How a claimed job leaves its worker: it ends, or it goes back into the queue. Both in batches,
//! each statement fenced by (id, epoch, worker) under the lock of the `sync_runs` row.

use super::{Db, Error};
use crate::{JobId, WorkerId, failure::Failure, job_state::JobState};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// The right to write for a job: one claim by one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// Which claim.
    pub epoch: i64,
    /// Whose.
    pub worker: WorkerId,
}

/// How a job left its worker.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All is stored.
    Completed,
    /// No attempt is left, or none can help.
    Failed(Failure),
    /// Its user asked for it.
    Cancelled,
    /// Handed back through no fault of its own; the attempt is given back.
    Released,
    /// Waits for a time that somebody named; the attempt is given back.
    Parked {
        /// Why: `rate_limit`, `quota_exceeded`.
        reason: &'static str,
        /// Until when.
        until: DateTime<Utc>,
        /// For the user to read.
        message: String,
    },
    /// Failed; tried again after a while.
    Retry {
        /// What happened.
        failure: Failure,
        /// How long to wait.
        after: Duration,
    },
}

/// Settles outcomes in one transaction and answers which of the leases were still held.
pub async fn settle(db: &Db, outcomes: &[(Lease, Outcome)]) -> Result<Vec<JobId>, Error> {
    let mut tx = super::begin(db).await?;
    let (back, mut ended): (Vec<_>, Vec<_>) =
        outcomes.iter().partition_map(|(lease, outcome)| match outcome {
            Outcome::Completed => Err(End::new(*lease, JobState::Completed, None)),
            Outcome::Cancelled => Err(End::new(*lease, JobState::Cancelled, None)),
            Outcome::Failed(failure) => Err(End::new(*lease, JobState::Failed, Some(failure))),
            Outcome::Released => Ok(Back { lease: *lease, why: Why::Released }),
            Outcome::Parked { reason, until, message } => {
                Ok(Back { lease: *lease, why: Why::Parked { reason, until: *until, message } })
            }
            Outcome::Retry { failure, after } => {
                Ok(Back { lease: *lease, why: Why::Retry { failure, after: *after } })
            }
        });
    let mut held = Vec::with_capacity(outcomes.len());
    for (job, went) in put_back(&mut tx, &back).await? {
        match went {
            Went::Back => held.push(job),
            // Cancel is asked for once and forgotten by nothing.
            Went::Cancelled => {
                let lease = back.iter().find(|b| b.lease.job == job).map(|b| b.lease);
                ended.extend(lease.map(|lease| End::new(lease, JobState::Cancelled, None)));
            }
        }
    }
    held.extend(end(&mut tx, &ended).await?);
    tx.commit().await?;
    Ok(held)
}

trait PartitionMap: Iterator + Sized {
    fn partition_map<A, B>(self, f: impl Fn(Self::Item) -> Result<A, B>) -> (Vec<A>, Vec<B>) {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for item in self {
            match f(item) {
                Ok(a) => left.push(a),
                Err(b) => right.push(b),
            }
        }
        (left, right)
    }
}
impl<I: Iterator> PartitionMap for I {}

/// A job that ends.
#[derive(Debug)]
pub(super) struct End {
    lease: Lease,
    state: JobState,
    failure: Option<Value>,
}

impl End {
    pub(super) fn new(lease: Lease, state: JobState, failure: Option<&Failure>) -> Self {
        Self { lease, state, failure: failure.map(|f| serde_json::json!(f)) }
    }
}

/// A job that goes back.
#[derive(Debug)]
pub(super) struct Back<'a> {
    pub(super) lease: Lease,
    pub(super) why: Why<'a>,
}

#[derive(Debug)]
pub(super) enum Why<'a> {
    Released,
    Crashed { crashes: i16 },
    Parked { reason: &'a str, until: DateTime<Utc>, message: &'a str },
    Retry { failure: &'a Failure, after: Duration },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Went {
    Back,
    /// Not yet: a cancel stands on it, so the caller must [`end`] it.
    Cancelled,
}

fn leases<'a>(leases: impl Iterator<Item = &'a Lease>) -> (Vec<Uuid>, Vec<i64>, Vec<Uuid>) {
    let (mut ids, mut epochs, mut workers) = (vec![], vec![], vec![]);
    for lease in leases {
        ids.push(lease.job.0);
        epochs.push(lease.epoch);
        workers.push(lease.worker.0);
    }
    (ids, epochs, workers)
}

/// Puts jobs back. Answers for each lease that is still held how it went.
pub(super) async fn put_back(
    tx: &mut PgConnection,
    back: &[Back<'_>],
) -> Result<Vec<(JobId, Went)>, Error> {
    if back.is_empty() {
        return Ok(vec![]);
    }
    let (ids, epochs, workers) = leases(back.iter().map(|b| &b.lease));
    let (mut reasons, mut untils, mut delays, mut messages, mut failures, mut crashes) =
        (vec![], vec![], vec![], vec![], vec![], vec![]);
    for Back { why, .. } in back {
        let (reason, until, delay, message, failure, crash) = match why {
            Why::Released => (None, None, 0.0, None, None, None),
            Why::Crashed { crashes } => (None, None, 0.0, None, None, Some(*crashes)),
            Why::Parked { reason, until, message } => {
                (Some(*reason), Some(*until), 0.0, Some(*message), None, None)
            }
            Why::Retry { failure, after } => (
                Some("retry"),
                None,
                after.as_secs_f64(),
                Some(failure.message.as_str()),
                Some(serde_json::json!(failure)),
                None,
            ),
        };
        reasons.push(reason);
        untils.push(until);
        delays.push(delay);
        messages.push(message);
        failures.push(failure);
        crashes.push(crash);
    }
    let rows = sqlx::query!(
        r#"with asked as (
             select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::timestamptz[], $6::float8[],
                                  $7::text[], $8::jsonb[], $9::smallint[])
               as a(id, epoch, worker, waiting_for, until, delay_s, message, failure, crashes)),
           mine as materialized (
             select a.*, coalesce(a.until, clock_timestamp() + make_interval(secs => a.delay_s)) as due
               from asked a cross join lateral (
                 select from paceline.sync_runs r
                  where r.job_id = a.id and r.lease_epoch = a.epoch and r.worker = a.worker for update) held),
           job as (
             update paceline.sync_jobs j
                set worker = null, waiting_for = mine.waiting_for, crashes = coalesce(mine.crashes, j.crashes),
                    run_at = case when mine.waiting_for is null then j.run_at else mine.due end,
                    attempt = case when mine.failure is null then greatest(j.attempt - 1, 0) else j.attempt end
               from mine where j.id = mine.id and j.cancel_requested_at is null
             returning j.id, j.user_id, j.provider, j.job_type, j.attempt),
           run as (
             update paceline.sync_runs r
                set worker = null, last_activity_at = clock_timestamp(),
                    retrying = r.retrying or mine.failure is not null,
                    retries = r.retries + (mine.failure is not null)::integer,
                    error_count = r.error_count + (mine.failure is not null)::integer,
                    last_error = coalesce(mine.failure, r.last_error)
               from mine join job on job.id = mine.id where r.job_id = mine.id
             returning r.job_id, r.phase),
           report as (
             insert into paceline.sync_attempts
               (id, job_id, user_id, provider, job_type, attempt, phase, code, message, context)
             select gen_random_uuid(), job.id, job.user_id, job.provider, job.job_type, job.attempt, run.phase,
                    mine.failure ->> 'code', mine.failure ->> 'message', coalesce(mine.failure -> 'context', '{}')
               from job join mine on mine.id = job.id join run on run.job_id = job.id
              where mine.failure is not null),
           progress as (
             update public.sync_progress p
                set status = case when mine.waiting_for is null then 'queued' else 'waiting' end,
                    waiting = case when mine.waiting_for is not null
                                then jsonb_build_object('reason', mine.waiting_for, 'resetAt', mine.due) end,
                    message = mine.message, rev = p.rev + 1, updated_at = clock_timestamp()
               from mine join job on job.id = mine.id where p.id = mine.id)
           select mine.id as "id!: JobId", job.id is not null as "back!" from mine left join job on job.id = mine.id"#,
        &ids,
        &epochs,
        &workers,
        &reasons as &[Option<&str>],
        &untils as &[Option<DateTime<Utc>>],
        &delays,
        &messages as &[Option<&str>],
        &failures as &[Option<Value>],
        &crashes as &[Option<i16>]
    )
    .fetch_all(tx)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, if row.back { Went::Back } else { Went::Cancelled }))
        .collect())
}

/// Ends jobs: out of the hot tables, into history. Answers which leases were still held.
pub(super) async fn end(tx: &mut PgConnection, ends: &[End]) -> Result<Vec<JobId>, Error> {
    if ends.is_empty() {
        return Ok(vec![]);
    }
    let (ids, epochs, workers) = leases(ends.iter().map(|e| &e.lease));
    let states: Vec<&str> = ends.iter().map(|e| e.state.as_str()).collect();
    let failures: Vec<Option<Value>> = ends.iter().map(|e| e.failure.clone()).collect();
    Ok(sqlx::query_scalar!(
        r#"with asked as (
             select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::jsonb[])
               as a(id, epoch, worker, state, failure)),
           mine as materialized (
             select a.* from asked a cross join lateral (
               select from paceline.sync_runs r
                where r.job_id = a.id and r.lease_epoch = a.epoch and r.worker = a.worker for update) held),
           job as (delete from paceline.sync_jobs where id = any(array(select id from mine)) returning *),
           run as (delete from paceline.sync_runs where job_id = any(array(select id from mine)) returning *),
           ended as (
             insert into paceline.sync_history
               (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase,
                checkpoint, attempt, max_retries, crashes, payload, payload_version, lease_epoch, estimated_total,
                counts, phase_times, error_count, last_error, retries, last_page, created_at, started_at,
                last_activity_at, finished_at)
             select j.id, j.user_id, j.connection_id, j.provider, j.slot, j.kind, j.job_type, j.class, j.time_range,
                    mine.state, r.phase, r.checkpoint, j.attempt, j.max_retries, j.crashes, j.payload,
                    j.payload_version, j.lease_epoch, r.estimated_total, r.counts, r.phase_times,
                    r.error_count + (mine.failure is not null)::integer, coalesce(mine.failure, r.last_error),
                    r.retries, r.last_page, j.created_at, r.started_at, t.now, t.now
               from mine join job j on j.id = mine.id join run r on r.job_id = mine.id,
                    (select clock_timestamp() as now) t),
           pages as (
             delete from paceline.staged_pages
              where job_id = any(array(select id from mine where state <> 'failed'))),
           report as (
             insert into paceline.sync_attempts
               (id, job_id, user_id, provider, job_type, attempt, phase, code, message, context)
             select gen_random_uuid(), job.id, job.user_id, job.provider, job.job_type, job.attempt, run.phase,
                    mine.failure ->> 'code', mine.failure ->> 'message', coalesce(mine.failure -> 'context', '{}')
               from mine join job on job.id = mine.id join run on run.job_id = mine.id
              where mine.failure is not null),
           resolved as (
             update paceline.sync_attempts a set resolved_at = clock_timestamp()
              where a.resolved_at is null and a.job_id = any(array(
                select run.job_id from run join mine on mine.id = run.job_id
                 where run.error_count > 0 and mine.state = 'completed'))),
           progress as (
             update public.sync_progress p
                set status = mine.state, phase = run.phase, counts = run.counts, waiting = null,
                    percent = case when mine.state = 'completed' then 100 else p.percent end,
                    message = mine.failure ->> 'message', error = mine.failure, rev = p.rev + 1,
                    updated_at = clock_timestamp(), finished_at = clock_timestamp()
               from mine join run on run.job_id = mine.id where p.id = mine.id)
           select id as "id!: JobId" from mine"#,
        &ids,
        &epochs,
        &workers,
        &states as &[&str],
        &failures as &[Option<Value>]
    )
    .fetch_all(tx)
    .await?)
}

/// Ends a job that no worker has, under the lock that its caller took on the `sync_jobs` row.
pub(super) async fn cancel_idle(tx: &mut PgConnection, job: JobId) -> Result<(), Error> {
    sqlx::query!(
        r#"with job as (delete from paceline.sync_jobs where id = $1 and worker is null returning *),
           run as (delete from paceline.sync_runs where job_id = any(array(select id from job)) returning *),
           pages as (delete from paceline.staged_pages where job_id = any(array(select id from job))),
           ended as (
             insert into paceline.sync_history
               (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase,
                checkpoint, attempt, max_retries, crashes, payload, payload_version, lease_epoch, estimated_total,
                counts, phase_times, error_count, last_error, retries, last_page, created_at, started_at,
                last_activity_at, finished_at)
             select j.id, j.user_id, j.connection_id, j.provider, j.slot, j.kind, j.job_type, j.class, j.time_range,
                    'cancelled', coalesce(r.phase, 'fetch'), coalesce(r.checkpoint, '{"phase": "fetch", "next_page": 1}'),
                    j.attempt, j.max_retries, j.crashes, j.payload, j.payload_version, j.lease_epoch, r.estimated_total,
                    coalesce(r.counts, '{}'), coalesce(r.phase_times, '{}'), coalesce(r.error_count, 0), r.last_error,
                    coalesce(r.retries, 0), coalesce(r.last_page, 0), j.created_at, r.started_at, t.now, t.now
               from job j left join run r on r.job_id = j.id, (select clock_timestamp() as now) t)
           update public.sync_progress
              set status = 'cancelled', waiting = null, message = null, rev = rev + 1,
                  updated_at = clock_timestamp(), finished_at = clock_timestamp()
            where id = any(array(select id from job))"#,
        job.0
    )
    .execute(tx)
    .await?;
    Ok(())
}
