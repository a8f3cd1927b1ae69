//! What comes after a job: ranges that were asked for while it was live become a job of their own when
//! it ends. [`super::enqueue`] puts them aside, the end of the job calls [`follow`] in its transaction.

use super::hold;
use crate::{
    JobId, Provider,
    db::Error,
    sync_spec::{Class, PAYLOAD_VERSION, SyncOptions},
};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

/// A job that followed another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowUp {
    /// The new one.
    pub job: JobId,
    /// Whose workers have something to do.
    pub provider: Provider,
}

/// Queues a job for the first of the ranges put aside for each ended job, with the rest put aside for
/// after it. Their places are free: they ended in this transaction. Through a link that no sync can use nothing
/// follows: it would fail, and whoever connects the account again gets what is new anyway.
///
/// A sync that follows keeps everything, whatever its predecessor left out: nobody who asked for its range
/// asked for less. Ranges of which only the news were asked for come last and read no more. A slice follows as it was.
pub(in crate::db) async fn follow(
    tx: &mut PgConnection,
    ended: &[JobId],
) -> Result<Vec<FollowUp>, Error> {
    if ended.is_empty() {
        return Ok(vec![]);
    }
    let before: Vec<Uuid> = ended.iter().map(|job| job.0).collect();
    let after: Vec<Uuid> = ended.iter().map(|_| JobId::fresh().0).collect();
    let usual = SyncOptions::default();
    let only_new = SyncOptions { only_new: true, ..SyncOptions::default() };
    let rows = sqlx::query!(
        r#"with due as (
             select n.id, h.user_id, h.connection_id, h.provider, h.slot, h.kind, h.job_type, h.trace_id,
                    case when h.slot = 0 then greatest(h.class, $3) else h.class end as class,
                    case when h.slot = 0 then $4 else h.max_retries end as max_retries,
                    case when h.slot <> 0 then h.payload when whole.range is null then $7 else $5 end as payload,
                    case when h.slot = 0 then $6 else h.payload_version end as payload_version,
                    first.range,
                    nullif(h.follow_up - tstzmultirange(first.range), '{}') as rest,
                    case when whole.range is null then nullif(h.follow_up_new - tstzmultirange(first.range), '{}')
                         else h.follow_up_new end as rest_new
               from unnest($1::uuid[], $2::uuid[]) as n(before, id)
               join paceline.sync_history h on h.id = n.before
               join paceline.connections c on c.id = h.connection_id and c.state in ('active', 'limited')
               left join lateral (select range from unnest(h.follow_up) as range limit 1) whole on true
               left join lateral (select range from unnest(h.follow_up_new) as range limit 1) news on true
              cross join lateral (select coalesce(whole.range, news.range) as range) first
              where first.range is not null),
           job as (
             insert into paceline.sync_jobs
               (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, follow_up, follow_up_new, run_at, sort_at,
                max_retries, payload, payload_version, trace_id, requested_by)
             select id, user_id, connection_id, provider, slot, kind, job_type, class, range, rest, rest_new, t.now,
                    t.now - class * interval '30 minutes'
                      + (select count(*) from paceline.sync_jobs o where o.user_id = due.user_id and o.class = due.class)
                        * (select step from paceline.lanes where lane = due.provider),
                    max_retries, payload, payload_version, trace_id, 'follow_up'
               from due, (select clock_timestamp() as now) t
             returning id, user_id, provider, job_type, class, created_at),
           progress as (
             insert into public.sync_progress (id, uid, external_id, provider, job_type, created_at, updated_at)
             select job.id, job.user_id, u.external_id, job.provider, job.job_type, job.created_at, job.created_at
               from job join paceline.users u on u.id = job.user_id)
           select id as "job: JobId", provider as "provider: Provider", class from job"#,
        &before,
        &after,
        Class::Scheduled.rank(),
        usual.max_retries,
        Json(&usual) as _,
        PAYLOAD_VERSION,
        Json(&only_new) as _
    )
    .fetch_all(&mut *tx)
    .await?;
    let places: Vec<_> = rows.iter().map(|row| (row.job, row.provider, row.class)).collect();
    hold::show(tx, &places).await?;
    Ok(rows.into_iter().map(|row| FollowUp { job: row.job, provider: row.provider }).collect())
}
