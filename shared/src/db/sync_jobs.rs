//! `sync_jobs`: live jobs, from enqueue to claim, and what people do to them: cancel and retry.
//!
//! How a claimed job ends is in [`super::sync_outcomes`]; what its owner writes is in
//! [`super::fenced`] and [`super::sync_runs`].

use super::Error;
use crate::{
    ConnectionId, JobId, JobType, Provider, UserId, WorkerId,
    job_state::JobState,
    sync_spec::{Class, PAYLOAD_VERSION, SyncOptions},
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool, postgres::types::PgRange, types::Json};
use uuid::Uuid;

/// A sync to be queued.
#[derive(Clone, Debug)]
pub struct NewSync {
    /// For whom.
    pub user: UserId,
    /// Through which link.
    pub connection: ConnectionId,
    /// From where.
    pub provider: Provider,
    /// What.
    pub job_type: JobType,
    /// How urgent.
    pub class: Class,
    /// Start times asked for.
    pub range: PgRange<DateTime<Utc>>,
    /// How.
    pub options: SyncOptions,
}

/// What became of an enqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is queued.
    New(JobId),
    /// The user already has this one under way with the provider.
    Live(JobId),
}

/// Queues a sync with its progress row, in the caller's transaction. Wake the workers after the commit.
pub async fn enqueue(tx: &mut PgConnection, sync: &NewSync) -> Result<Enqueued, Error> {
    loop {
        let queued = sqlx::query_scalar!(
            r#"with job as (
                 insert into paceline.sync_jobs
                   (id, user_id, connection_id, provider, kind, job_type, class, time_range,
                    run_at, sort_at, max_retries, payload, payload_version)
                 select $1, $2, $3, $4, 'sync', $5, $6, $7, t.now,
                        t.now - $6::smallint * interval '30 minutes'
                          + (select count(*) from paceline.sync_jobs where user_id = $2 and class = $6) * interval '1 second',
                        $8, $9, $10
                   from (select clock_timestamp() as now) t
                 on conflict (user_id, provider, slot) do nothing
                 returning id, user_id, provider, job_type, created_at),
               progress as (
                 insert into public.sync_progress (id, uid, external_id, provider, job_type, created_at, updated_at)
                 select job.id, job.user_id, u.external_id, job.provider, job.job_type, job.created_at, job.created_at
                   from job join paceline.users u on u.id = job.user_id)
               select id as "id: JobId" from job"#,
            JobId::fresh().0,
            sync.user.0,
            sync.connection.0,
            sync.provider.as_str(),
            sync.job_type.as_str(),
            sync.class.rank(),
            sync.range,
            sync.options.max_retries,
            Json(&sync.options) as _,
            PAYLOAD_VERSION
        )
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(id) = queued {
            return Ok(Enqueued::New(id));
        }
        let live = sqlx::query_scalar!(
            r#"select id as "id: JobId" from paceline.sync_jobs where user_id = $1 and provider = $2 and slot = 0"#,
            sync.user.0,
            sync.provider.as_str()
        )
        .fetch_optional(&mut *tx)
        .await?;
        // None: the one in the way has ended since; the place is free.
        if let Some(id) = live {
            return Ok(Enqueued::Live(id));
        }
    }
}

/// A job in the hands of a worker. What is JSON here is not read yet: one bad row must not spoil the
/// claim of its neighbours.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The job.
    pub id: JobId,
    /// The lease's epoch.
    pub epoch: i64,
    /// For whom.
    pub user: UserId,
    /// Through which link.
    pub connection: ConnectionId,
    /// From where.
    pub provider: Provider,
    /// What, as stored.
    pub job_type: String,
    /// Start times asked for.
    pub range: PgRange<DateTime<Utc>>,
    /// This attempt, from 1.
    pub attempt: i16,
    /// Failed attempts that may be retried.
    pub max_retries: i16,
    /// How, as stored.
    pub payload: Value,
    /// Where to go on, as stored.
    pub checkpoint: Value,
    /// What was counted so far, as stored.
    pub counts: Value,
    /// Its place in the queue.
    pub sort_at: DateTime<Utc>,
}

/// A place in the queue after which a claim looks on. Skips what was claimed before it and the dead rows there.
#[derive(Clone, Copy, Debug)]
pub struct Cursor(DateTime<Utc>, Uuid);

impl Cursor {
    /// Before every job.
    pub const START: Self = Self(DateTime::<Utc>::MIN_UTC, Uuid::nil());

    /// Just behind a claimed job.
    #[must_use]
    pub const fn behind(job: &Claimed) -> Self {
        Self(job.sort_at, job.id.0)
    }
}

/// Takes up to `limit` jobs of a provider, first come first, each with a fresh lease. One statement.
pub async fn claim(
    db: &PgPool,
    worker: WorkerId,
    provider: Provider,
    limit: i64,
    after: Cursor,
) -> Result<Vec<Claimed>, Error> {
    // The year 262144 before Christ is no timestamp of Postgres.
    let after_at = (after.0 > DateTime::<Utc>::MIN_UTC).then_some(after.0);
    Ok(sqlx::query_as!(
        Claimed,
        r#"with up as (
             update paceline.sync_jobs set attempt = attempt + 1, lease_epoch = lease_epoch + 1, worker = $1
              where id = any(array(
                select id from paceline.sync_jobs
                 where provider = $2 and waiting_for is null and worker is null and payload_version <= $3
                   and (sort_at, id) > (coalesce($4, '-infinity'::timestamptz), $5)
                 order by sort_at, id limit $6 for update skip locked))
             returning *),
           run as (
             insert into paceline.sync_runs as r
               (job_id, lease_epoch, worker, beat_at, started_at, last_activity_at, phase_times)
             select id, lease_epoch, worker, t.now, t.now, t.now,
                    jsonb_build_object('fetch', jsonb_build_object('start', t.now))
               from up, (select clock_timestamp() as now) t
             on conflict (job_id) do update
               set lease_epoch = excluded.lease_epoch, worker = excluded.worker, beat_at = excluded.beat_at,
                   claimed_checkpoint_at = r.checkpoint_at, last_activity_at = excluded.last_activity_at
             returning job_id, checkpoint, counts),
           progress as (
             update public.sync_progress
                set status = 'running', waiting = null, phase = coalesce(phase, 'fetch'), rev = rev + 1,
                    started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
              where id = any(array(select id from up)))
           select up.id as "id: JobId", up.lease_epoch as epoch, up.user_id as "user: UserId",
                  up.connection_id as "connection: ConnectionId", up.provider as "provider: Provider",
                  up.job_type, up.time_range as "range", up.attempt, up.max_retries,
                  up.payload, run.checkpoint, run.counts,
                  up.sort_at
             from up join run on run.job_id = up.id
            order by up.sort_at, up.id"#,
        worker.0,
        provider.as_str(),
        PAYLOAD_VERSION,
        after_at,
        after.1,
        limit
    )
    .fetch_all(db)
    .await?)
}

/// Puts parked jobs whose time has come back into the queue; answers how many.
pub async fn promote(db: &PgPool) -> Result<u64, Error> {
    let due = sqlx::query!(
        "with due as (
           update paceline.sync_jobs set waiting_for = null
            where id = any(array(
              select id from paceline.sync_jobs
               where waiting_for is not null and run_at <= clock_timestamp()
               order by run_at limit 1000 for update skip locked))
           returning id)
         update public.sync_progress p
            set status = 'queued', waiting = null, rev = rev + 1, updated_at = clock_timestamp()
          where p.id = any(array(select id from due))"
    )
    .execute(db)
    .await?;
    Ok(due.rows_affected())
}

/// Those of the jobs that have not ended.
pub async fn still_live(db: &PgPool, jobs: &[JobId]) -> Result<Vec<JobId>, Error> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    Ok(sqlx::query_scalar!(
        r#"select id as "id: JobId" from paceline.sync_jobs where id = any($1)"#,
        &ids
    )
    .fetch_all(db)
    .await?)
}

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// It has ended.
    Done,
    /// Its worker was asked; nothing forgets it.
    Asked,
    /// It had ended before.
    Ended(JobState),
    /// The user has no such sync.
    NotFound,
}

/// Cancels a user's sync. After [`Cancel::Asked`] tell the workers.
pub async fn cancel(db: &PgPool, user: UserId, job: JobId) -> Result<Cancel, Error> {
    let mut tx = super::begin(db).await?;
    let owned = sqlx::query_scalar!(
        r#"update paceline.sync_jobs set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
            where id = $1 and user_id = $2 returning worker is not null as "owned!""#,
        job.0,
        user.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let outcome = match owned {
        Some(true) => Cancel::Asked,
        Some(false) => {
            super::sync_outcomes::cancel_idle(&mut tx, job).await?;
            Cancel::Done
        }
        None => super::syncs::find(&mut *tx, user, job)
            .await?
            .map_or(Cancel::NotFound, |sync| Cancel::Ended(sync.state)),
    };
    tx.commit().await?;
    Ok(outcome)
}

/// What became of a wish to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It is queued again, with the same id.
    Queued(Provider),
    /// Another one of the same user and provider is under way; or this one is.
    Live(JobId),
    /// It completed; there is nothing to retry.
    Completed,
    /// The user has no such sync.
    NotFound,
}

/// Queues an ended sync again, in the caller's transaction. A failed one goes on from its
/// checkpoint; a cancelled one begins anew, for its pages are gone.
pub async fn retry(tx: &mut PgConnection, user: UserId, job: JobId) -> Result<Retry, Error> {
    let ended = sqlx::query!(
        r#"select provider as "provider: Provider", status as "state: JobState"
             from paceline.sync_history where id = $1 and user_id = $2 for update"#,
        job.0,
        user.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(ended) = ended else {
        let live = sqlx::query_scalar!(
            "select true from paceline.sync_jobs where id = $1 and user_id = $2",
            job.0,
            user.0
        )
        .fetch_optional(&mut *tx)
        .await?;
        return Ok(live.map_or(Retry::NotFound, |_| Retry::Live(job)));
    };
    if ended.state == JobState::Completed {
        return Ok(Retry::Completed);
    }
    let queued = sqlx::query_scalar!(
        r#"with h as (select * from paceline.sync_history where id = $1),
           job as (
             insert into paceline.sync_jobs
               (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, run_at, sort_at,
                lease_epoch, max_retries, payload, payload_version, created_at)
             select id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, t.now,
                    t.now - class * interval '30 minutes', lease_epoch, max_retries, payload, payload_version, created_at
               from h, (select clock_timestamp() as now) t
             on conflict do nothing returning id),
           run as (
             insert into paceline.sync_runs
               (job_id, lease_epoch, beat_at, phase, checkpoint, retrying, estimated_total, counts, phase_times,
                error_count, last_error, retries, last_page, started_at, last_activity_at)
             select id, lease_epoch, t.now,
                    case when kept then phase else 'fetch' end,
                    case when kept then checkpoint else '{"phase": "fetch", "next_page": 1}' end,
                    true, case when kept then estimated_total end, case when kept then counts else '{}' end,
                    case when kept then phase_times else jsonb_build_object('fetch', jsonb_build_object('start', t.now)) end,
                    error_count, last_error, retries + 1, case when kept then last_page else 0 end,
                    coalesce(started_at, t.now), t.now
               from (select *, status = 'failed' as kept from h) h, (select clock_timestamp() as now) t
              where exists (select from job)),
           gone as (delete from paceline.sync_history where id = $1 and exists (select from job)),
           failures as (
             delete from paceline.record_failures
              where job_id = any(array(select id from h where status = 'cancelled' and exists (select from job)))),
           -- The row may have been forgotten since.
           progress as (
             insert into public.sync_progress as p
               (id, uid, external_id, provider, job_type, created_at, started_at)
             select h.id, h.user_id, u.external_id, h.provider, h.job_type, h.created_at, h.started_at
               from h join paceline.users u on u.id = h.user_id where exists (select from job)
             on conflict (id) do update
                set status = 'queued', waiting = null, error = null, finished_at = null, message = null,
                    percent = case when p.status = 'cancelled' then 0 else p.percent end,
                    rev = p.rev + 1, updated_at = clock_timestamp())
           select id as "id: JobId" from job"#,
        job.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    if queued.is_some() {
        return Ok(Retry::Queued(ended.provider));
    }
    let live = sqlx::query_scalar!(
        r#"select id as "id: JobId" from paceline.sync_jobs where user_id = $1 and provider = $2 and slot = 0"#,
        user.0,
        ended.provider.as_str()
    )
    .fetch_optional(&mut *tx)
    .await?;
    Ok(Retry::Live(live.unwrap_or(job)))
}
