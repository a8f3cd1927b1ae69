//! How jobs come into the queue, each with its progress row.

use crate::{
    ConnectionId, JobId, JobType, Provider, UserId,
    db::Error,
    sync_spec::{Class, PAYLOAD_VERSION, SyncOptions},
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, postgres::types::PgRange, types::Json};

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
