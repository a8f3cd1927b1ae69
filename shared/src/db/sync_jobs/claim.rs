//! How workers take jobs, and how parked ones come back into the queue.

use crate::{
    ConnectionId, JobId, Provider, UserId, WorkerId,
    db::{Db, Error},
    sync_spec::PAYLOAD_VERSION,
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::postgres::types::PgRange;
use uuid::Uuid;

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
    db: &Db,
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
               (job_id, provider, lease_epoch, worker, beat_at, started_at, last_activity_at, phase_times)
             select id, provider, lease_epoch, worker, t.now, t.now, t.now,
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
pub async fn promote(db: &Db) -> Result<u64, Error> {
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
