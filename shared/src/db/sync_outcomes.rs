//! How a claimed job leaves its worker: it ends, or it goes back into the queue. Both in batches,
//! each statement fenced by (id, epoch, worker) under the lock of the `sync_runs` row.

use super::{
    Db, Error, sync_attempts,
    sync_jobs::{FollowUp, follow},
};
use crate::{JobId, WorkerId, failure::Failure, job_state::JobState};
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
    /// Waits for a time that somebody named; the attempt is given back. How long that is, and not when: the
    /// clocks of workers are not Postgres's.
    Parked {
        /// Why: `rate_limit`, `quota_exceeded`, `breaker_open`, `preparing`.
        reason: &'static str,
        /// How long to wait.
        after: Duration,
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

/// What came of a batch of outcomes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Whose lease was still held: their outcomes are committed.
    pub held: Vec<JobId>,
    /// Jobs that were queued because others ended. Wake the workers of their providers.
    pub follow_ups: Vec<FollowUp>,
}

/// Settles outcomes in one transaction and answers which of the leases were still held.
pub async fn settle(db: &Db, outcomes: &[(Lease, Outcome)]) -> Result<Settled, Error> {
    super::timed("settle", settle_all(db, outcomes)).await
}

async fn settle_all(db: &Db, outcomes: &[(Lease, Outcome)]) -> Result<Settled, Error> {
    let mut tx = super::begin(db).await?;
    // In the order of the keys: neighbours lie on the same pages, and two of these take rows in one order.
    let mut outcomes: Vec<&(Lease, Outcome)> = outcomes.iter().collect();
    outcomes.sort_unstable_by_key(|(lease, _)| lease.job);
    let (back, mut ended): (Vec<_>, Vec<_>) =
        outcomes.iter().partition_map(|(lease, outcome)| match outcome {
            Outcome::Completed => Err(End::new(*lease, JobState::Completed, None)),
            Outcome::Cancelled => Err(End::new(*lease, JobState::Cancelled, None)),
            Outcome::Failed(failure) => Err(End::new(*lease, JobState::Failed, Some(failure))),
            Outcome::Released => Ok(Back { lease: *lease, why: Why::Released }),
            Outcome::Parked { reason, after, message } => {
                Ok(Back { lease: *lease, why: Why::Parked { reason, after: *after, message } })
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
    let mut settled = end(&mut tx, &ended).await?;
    settled.held.append(&mut held);
    tx.commit().await?;
    Ok(settled)
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
    failure: Option<Failure>,
}

impl End {
    pub(super) fn new(lease: Lease, state: JobState, failure: Option<&Failure>) -> Self {
        Self { lease, state, failure: failure.cloned() }
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
    Parked { reason: &'a str, after: Duration, message: &'a str },
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
    let failed: Vec<(Lease, &Failure)> = back
        .iter()
        .filter_map(|b| match b.why {
            Why::Retry { failure, .. } => Some((b.lease, failure)),
            _ => None,
        })
        .collect();
    let mut kept = sync_attempts::kept_as(tx, &failed).await?;
    let (ids, epochs, workers) = leases(back.iter().map(|b| &b.lease));
    let (mut reasons, mut delays, mut messages, mut failures, mut crashes) =
        (vec![], vec![], vec![], vec![], vec![]);
    for Back { lease, why } in back {
        let (reason, delay, message, failure, crash) = match why {
            Why::Released => (None, 0.0, None, None, None),
            Why::Crashed { crashes } => (None, 0.0, None, None, Some(*crashes)),
            Why::Parked { reason, after, message } => {
                (Some(*reason), after.as_secs_f64(), Some(*message), None, None)
            }
            Why::Retry { failure, after } => (
                Some("retry"),
                after.as_secs_f64(),
                Some(failure.message.as_str()),
                kept.remove(lease),
                None,
            ),
        };
        reasons.push(reason);
        delays.push(delay);
        messages.push(message);
        failures.push(failure);
        crashes.push(crash);
    }
    let rows = sqlx::query!(
        r#"with asked as (
             select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::text[], $5::float8[],
                                  $6::text[], $7::jsonb[], $8::smallint[])
               as a(id, epoch, worker, waiting_for, delay_s, message, failure, crashes)),
           mine as materialized (
             select a.*, clock_timestamp() + make_interval(secs => a.delay_s) as due, held.moved
               from asked a cross join lateral (
                 select r.checkpoint_at is distinct from r.claimed_checkpoint_at as moved from paceline.sync_runs r
                  where r.job_id = a.id and r.lease_epoch = a.epoch and r.worker = a.worker for update) held),
           job as (
             update paceline.sync_jobs j
                set worker = null, waiting_for = mine.waiting_for,
                    crashes = coalesce(mine.crashes, case when mine.moved then 0 else j.crashes end),
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
               (id, job_id, user_id, provider, job_type, attempt, phase, code, message, context, fingerprint)
             select gen_random_uuid(), job.id, job.user_id, job.provider, job.job_type, job.attempt, run.phase,
                    mine.failure ->> 'code', mine.failure ->> 'message', coalesce(mine.failure -> 'context', '{}'),
                    coalesce(mine.failure ->> 'fingerprint', '')
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

/// Ends jobs: out of the hot tables, into history. What was put aside for after them is queued, also after a cancel:
/// who asked for it is not who wanted an end.
pub(super) async fn end(tx: &mut PgConnection, ends: &[End]) -> Result<Settled, Error> {
    if ends.is_empty() {
        return Ok(Settled::default());
    }
    let (ids, epochs, workers) = leases(ends.iter().map(|e| &e.lease));
    let states: Vec<&str> = ends.iter().map(|e| e.state.as_str()).collect();
    let failed: Vec<(Lease, &Failure)> =
        ends.iter().filter_map(|e| Some((e.lease, e.failure.as_ref()?))).collect();
    let mut kept = sync_attempts::kept_as(tx, &failed).await?;
    let failures: Vec<Option<Value>> = ends.iter().map(|e| kept.remove(&e.lease)).collect();
    let rows = sqlx::query!(
        r#"with run as (
             delete from paceline.sync_runs
              where job_id = any($1)
                and coalesce((job_id, lease_epoch, worker) in (
                      select id, epoch, worker from unnest($1, $2::bigint[], $3::uuid[]) as a(id, epoch, worker)), false)
             returning *),
           job as (delete from paceline.sync_jobs where id = any(array(select job_id from run)) returning *),
           mine as materialized (
             select j.*, a.state, a.failure, r.phase, r.checkpoint, r.estimated_total, r.counts, r.phase_times,
                    r.error_count + (a.failure is not null)::integer as error_count,
                    coalesce(a.failure, r.last_error) as last_error, r.retries, r.last_page, r.started_at,
                    r.last_page > 0 or r.counts <> '{}' as may_have_pages, clock_timestamp() as now
               from unnest($1::uuid[], $4::text[], $5::jsonb[]) as a(id, state, failure)
               join run r on r.job_id = a.id join job j on j.id = a.id),
           ended as (
             insert into paceline.sync_history
               (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase,
                checkpoint, attempt, max_retries, crashes, payload, payload_version, lease_epoch, estimated_total,
                counts, phase_times, error_count, last_error, retries, last_page, created_at, started_at,
                last_activity_at, finished_at, follow_up, follow_up_new, trace_id, requested_by)
             select id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, state, phase,
                    checkpoint, attempt, max_retries, crashes, payload, payload_version, lease_epoch, estimated_total,
                    counts, phase_times, error_count, last_error, retries, last_page, created_at, started_at,
                    now, now, follow_up, follow_up_new, trace_id, requested_by
               from mine),
           pages as (
             delete from paceline.staged_pages
              where job_id = any(array(select id from mine where may_have_pages and state <> 'failed'))),
           report as (
             insert into paceline.sync_attempts
               (id, job_id, user_id, provider, job_type, attempt, phase, code, message, context, fingerprint)
             select gen_random_uuid(), id, user_id, provider, job_type, attempt, phase,
                    failure ->> 'code', failure ->> 'message', coalesce(failure -> 'context', '{}'),
                    coalesce(failure ->> 'fingerprint', '')
               from mine where failure is not null),
           resolved as (
             update paceline.sync_attempts set resolved_at = clock_timestamp()
              where resolved_at is null
                and job_id = any(array(select id from mine where error_count > 0 and state = 'completed'))),
           progress as (
             update public.sync_progress p
                set status = mine.state, phase = mine.phase, counts = mine.counts, waiting = null,
                    percent = case when mine.state = 'completed' then 100 else p.percent end,
                    message = mine.failure ->> 'message', error = mine.failure, rev = p.rev + 1,
                    started_at = coalesce(p.started_at, mine.started_at), updated_at = mine.now, finished_at = mine.now
               from mine where p.id = mine.id)
           select id as "id!: JobId", num_nonnulls(follow_up, follow_up_new) > 0 as "follows!" from mine"#,
        &ids,
        &epochs,
        &workers,
        &states as &[&str],
        &failures as &[Option<Value>]
    )
    .fetch_all(&mut *tx)
    .await?;
    let followed: Vec<JobId> = rows.iter().filter(|row| row.follows).map(|row| row.id).collect();
    Ok(Settled {
        held: rows.iter().map(|row| row.id).collect(),
        follow_ups: follow(tx, &followed).await?,
    })
}

/// Ends those of the jobs that no worker has, as cancelled; answers which. Rows that somebody else holds are
/// passed by. As in [`end`], what was put aside for after them is queued; idle workers find it with their next poll.
pub(super) async fn cancel_idle(tx: &mut PgConnection, jobs: &[Uuid]) -> Result<Vec<JobId>, Error> {
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    let rows = sqlx::query!(
        r#"with job as (
             delete from paceline.sync_jobs where id = any(array(
               select id from paceline.sync_jobs where id = any($1) and worker is null order by id for update skip locked))
             returning *),
           run as (delete from paceline.sync_runs where job_id = any(array(select id from job)) returning *),
           pages as (delete from paceline.staged_pages where job_id = any(array(select id from job))),
           ended as (
             insert into paceline.sync_history
               (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase,
                checkpoint, attempt, max_retries, crashes, payload, payload_version, lease_epoch, estimated_total,
                counts, phase_times, error_count, last_error, retries, last_page, created_at, started_at,
                last_activity_at, finished_at, follow_up, follow_up_new, trace_id, requested_by)
             select j.id, j.user_id, j.connection_id, j.provider, j.slot, j.kind, j.job_type, j.class, j.time_range,
                    'cancelled', coalesce(r.phase, 'fetch'), coalesce(r.checkpoint, '{"phase": "fetch", "next_page": 1}'),
                    j.attempt, j.max_retries, j.crashes, j.payload, j.payload_version, j.lease_epoch, r.estimated_total,
                    coalesce(r.counts, '{}'), coalesce(r.phase_times, '{}'), coalesce(r.error_count, 0), r.last_error,
                    coalesce(r.retries, 0), coalesce(r.last_page, 0), j.created_at, r.started_at, t.now, t.now,
                    j.follow_up, j.follow_up_new, j.trace_id, j.requested_by
               from job j left join run r on r.job_id = j.id, (select clock_timestamp() as now) t),
           progress as (
             update public.sync_progress
                set status = 'cancelled', waiting = null, message = null, rev = rev + 1,
                    updated_at = clock_timestamp(), finished_at = clock_timestamp()
              where id = any(array(select id from job)))
           select id as "id: JobId", num_nonnulls(follow_up, follow_up_new) > 0 as "follows!" from job"#,
        jobs
    )
    .fetch_all(&mut *tx)
    .await?;
    let followed: Vec<JobId> = rows.iter().filter(|row| row.follows).map(|row| row.id).collect();
    follow(tx, &followed).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}
