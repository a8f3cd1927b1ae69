//! How jobs come into the queue, each with its progress row.

use super::hold;
use crate::{
    ConnectionId, JobId, JobType, Provider, UserId,
    db::{Error, timed},
    sync_spec::{Class, JobKind, PAYLOAD_VERSION, SyncOptions},
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, postgres::types::PgRange, types::Json};
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
    /// The request that asks for it; on every log line of its workers.
    pub trace: Option<Uuid>,
    /// Who asks, where it is not the user himself.
    pub requested_by: Option<String>,
}

/// What happens when the user has a live sync with the provider already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenLive {
    /// Nothing: whoever asks hears of it. For people.
    Refuse,
    /// The range joins those that are synced after it. For webhooks, schedules and stale dashboards.
    Merge,
}

/// What became of an enqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is queued.
    New(JobId),
    /// This one, live already, brings the range, or a follow-up of it does, with the usual options; only what is
    /// new in it, if that was asked.
    Merged(JobId),
    /// This one is in the way, and nothing was changed. To a merge this happens only while a cancelled job
    /// still runs, or one of another type or connection: ask again when it has ended.
    Live(JobId),
}

/// Queues a sync with its progress row, in the caller's transaction. Wake the workers after the commit.
pub async fn enqueue(
    tx: &mut PgConnection,
    sync: &NewSync,
    when_live: WhenLive,
) -> Result<Enqueued, Error> {
    loop {
        if let Some(id) = timed("enqueue", insert(tx, sync)).await? {
            return Ok(Enqueued::New(id));
        }
        if when_live == WhenLive::Merge
            && let Some(id) = merge(tx, sync).await?
        {
            return Ok(Enqueued::Merged(id));
        }
        let live = sqlx::query!(
            r#"select id as "id: JobId",
                      cancel_requested_at is null and kind = $3 and job_type = $4 and connection_id = $5 as "takes!"
                 from paceline.sync_jobs where user_id = $1 and provider = $2 and slot = 0"#,
            sync.user.0,
            sync.provider.as_str(),
            JobKind::Sync.as_str(),
            sync.job_type.as_str(),
            sync.connection.0
        )
        .fetch_optional(&mut *tx)
        .await?;
        // None: the one in the way has ended since; the place is free. One that would take the range came
        // only after the last look: try again.
        if let Some(live) = live
            && !(when_live == WhenLive::Merge && live.takes)
        {
            return Ok(Enqueued::Live(live.id));
        }
    }
}

/// None: somebody else has the place.
async fn insert(tx: &mut PgConnection, sync: &NewSync) -> Result<Option<JobId>, Error> {
    let queued = sqlx::query!(
        r#"with job as (
             insert into paceline.sync_jobs
               (id, user_id, connection_id, provider, kind, job_type, class, time_range,
                run_at, sort_at, max_retries, payload, payload_version, trace_id, requested_by)
             select $1, $2, $3, $4, $11, $5, $6, $7, t.now,
                    t.now - $6::smallint * interval '30 minutes'
                      + (select count(*) from paceline.sync_jobs where user_id = $2 and class = $6)
                        * (select step from paceline.lanes where lane = $4),
                    $8, $9, $10, $12, $13
               from (select clock_timestamp() as now) t
             on conflict (user_id, provider, slot) do nothing
             returning id, user_id, provider, job_type, class, created_at),
           progress as (
             insert into public.sync_progress (id, uid, external_id, provider, job_type, created_at, updated_at)
             select job.id, job.user_id, u.external_id, job.provider, job.job_type, job.created_at, job.created_at
               from job join paceline.users u on u.id = job.user_id)
           select job.id as "id: JobId", job.created_at, h.reason as "reason?", h.until
             from job left join lateral paceline.lane_hold(job.provider, job.class) h on true"#,
        JobId::fresh().0,
        sync.user.0,
        sync.connection.0,
        sync.provider.as_str(),
        sync.job_type.as_str(),
        sync.class.rank(),
        sync.range,
        sync.options.max_retries,
        Json(&sync.options) as _,
        PAYLOAD_VERSION,
        JobKind::Sync.as_str(),
        sync.trace,
        sync.requested_by
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(queued) = queued else { return Ok(None) };
    if let Some(reason) = queued.reason {
        let (id, now) = (queued.id.0, queued.created_at);
        hold::explain(tx, &[id], sync.provider, &reason, queued.until, now).await?;
    }
    Ok(Some(queued.id))
}

/// Puts the range aside for after the live sync. None: there is none that can take it.
///
/// A range that the live sync reads anyway needs no second look only if the first has not begun: no worker
/// ever had the job (its epoch says so, under the lock that a claim needs too), and it leaves nothing out that was
/// asked for. What is read by now may have changed since.
async fn merge(tx: &mut PgConnection, sync: &NewSync) -> Result<Option<JobId>, Error> {
    Ok(sqlx::query_scalar!(
        r#"update paceline.sync_jobs
              set (follow_up, follow_up_new) = (
                select case when apart and not $7 then coalesce(follow_up, '{}') + tstzmultirange($4) else follow_up end,
                       case when apart and $7 then coalesce(follow_up_new, '{}') + tstzmultirange($4) else follow_up_new end
                  from (select '{batchSize,maxRetries,timeoutSeconds,onlyNew}'::text[] as keys) k,
                       lateral (
                         select not (lease_epoch = 0 and time_range @> $4::tstzrange
                                     and ($7::boolean or payload -> 'onlyNew' is distinct from 'true')
                                     and payload - keys in ($8::jsonb - keys, $9::jsonb - keys)) as apart) a)
            where user_id = $1 and provider = $2 and slot = 0 and kind = $6 and job_type = $3 and connection_id = $5
              and cancel_requested_at is null
           returning id as "id: JobId""#,
        sync.user.0,
        sync.provider.as_str(),
        sync.job_type.as_str(),
        sync.range,
        sync.connection.0,
        JobKind::Sync.as_str(),
        sync.options.only_new,
        Json(&sync.options) as _,
        Json(SyncOptions::default()) as _
    )
    .fetch_optional(tx)
    .await?)
}
