//! How people queue ended jobs again.

use crate::{JobId, Provider, UserId, db::Error, job_state::JobState};
use sqlx::PgConnection;

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
               (job_id, provider, lease_epoch, beat_at, phase, checkpoint, retrying, estimated_total, counts, phase_times,
                error_count, last_error, retries, last_page, started_at, last_activity_at)
             select id, provider, lease_epoch, t.now,
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
