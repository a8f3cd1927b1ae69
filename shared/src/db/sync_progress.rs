//! `public.sync_progress`: a sync as its user sees it. The moves of a job write it in their own
//! statements; this file has what a running job publishes of itself.

use super::{
    Db, Error, answered, fenced::FenceError, housekeeping::made_before, sync_outcomes::Lease,
};
use crate::{
    JobId, Provider,
    job_state::JobState,
    progress::{Counts, Phase, percent},
};
use serde_json::{Value, json};
use sqlx::{PgConnection, types::Json};
use std::time::Duration;
use uuid::Uuid;

/// What a running job shows.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which attempt, from 1.
    pub attempt: i16,
    /// Where it is.
    pub phase: Phase,
    /// What it counted.
    pub counts: Counts,
    /// From where.
    pub provider: Provider,
}

impl Snapshot {
    /// The provider's own view: its steps, with their number where it is known, then exact totals.
    fn providers(&self) -> Value {
        let Counts { pages, pages_left, enriched, .. } = self.counts;
        let total = self.counts.to_process();
        let (current, total, more) = match self.phase {
            Phase::Fetch => (pages, pages_left.map(|left| pages + left), pages_left != Some(0)),
            Phase::Enrich => (enriched, Some(total), enriched < total),
            Phase::Store | Phase::Done => {
                (self.counts.processed(), Some(total), self.counts.processed() < total)
            }
        };
        let unit = if self.phase == Phase::Fetch { self.provider.step_unit() } else { "record" };
        json!([{
            "provider": self.provider, "stage": self.phase, "unit": unit, "current": current, "total": total,
            "more": more,
        }])
    }
}

/// Shows that a job runs, under its lease. To be said before the first thing that takes time.
pub async fn begin(db: &Db, lease: Lease) -> Result<(), FenceError> {
    let held = sqlx::query_scalar!(
        r#"with held as materialized (
             select started_at from paceline.sync_runs
              where job_id = $1 and lease_epoch = $2 and worker = $3 for no key update),
           progress as (
             update public.sync_progress p
                set status = 'running', waiting = null, message = null, phase = coalesce(p.phase, 'fetch'),
                    rev = p.rev + 1, started_at = coalesce(p.started_at, held.started_at),
                    updated_at = clock_timestamp()
               from held where p.id = $1)
           select exists (select from held) as "held!""#,
        lease.job.0,
        lease.epoch,
        lease.worker.0
    )
    .fetch_one(db);
    let held = answered(async { held.await.map_err(Error::from) }).await?;
    if held { Ok(()) } else { Err(FenceError::LeaseLost) }
}

/// Shows a running job's progress, in the transaction of its checkpoint.
pub(super) async fn publish(
    tx: &mut PgConnection,
    job: JobId,
    snapshot: &Snapshot,
) -> Result<(), Error> {
    sqlx::query!(
        "update public.sync_progress
            set status = 'running', phase = $2, counts = $3, percent = greatest(percent, $4), providers = $5,
                attempt = $6, waiting = null, message = null, error = null, rev = rev + 1, updated_at = clock_timestamp()
          where id = $1",
        job.0,
        snapshot.phase.as_str(),
        Json(snapshot.counts) as _,
        percent(JobState::Running, snapshot.phase, &snapshot.counts),
        snapshot.providers(),
        snapshot.attempt
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Groups syncs under one refresh of a dashboard, which is answered. One that is live under another refresh stays there,
/// and the others join it.
pub async fn group(tx: &mut PgConnection, syncs: &[JobId], fresh: Uuid) -> Result<Uuid, Error> {
    let ids: Vec<Uuid> = syncs.iter().map(|id| id.0).collect();
    Ok(sqlx::query_scalar!(
        r#"with known as (
             select refresh_id from public.sync_progress
              where id = any($1) and refresh_id is not null and finished_at is null order by id limit 1),
           joined as (
             update public.sync_progress set refresh_id = coalesce((select refresh_id from known), $2)
              where id = any($1) and refresh_id is distinct from coalesce((select refresh_id from known), $2))
           select coalesce((select refresh_id from known), $2) as "refresh!""#,
        &ids,
        fresh
    )
    .fetch_one(tx)
    .await?)
}

/// Looks through up to `limit` rows behind the id `after` and forgets those that ended long enough ago.
///
/// That is `keep_failed` for failed ones and `keep` for the rest. Answers how many went, and where to go on,
/// in the order of the ids; `None`: that was all.
///
/// No index on the end: it would be written with every sync's last update, which is HOT without.
pub async fn forget_old(
    db: &Db,
    after: Uuid,
    keep: Duration,
    keep_failed: Duration,
    limit: i64,
) -> Result<(i64, Option<Uuid>), Error> {
    let row = sqlx::query!(
        r#"with seen as materialized (
             select id from public.sync_progress where id > $1 and id < $2 order by id limit $5),
           gone as (
             delete from public.sync_progress
              where id = any(array(select id from seen))
                and finished_at < clock_timestamp()
                    - make_interval(secs => case when status = 'failed' then $4::float8 else $3::float8 end)
             returning 1)
           select (select count(*) from gone) as "gone!", count(*) as "seen!",
                  (array_agg(id order by id desc))[1] as last from seen"#,
        after,
        made_before(keep.min(keep_failed)),
        keep.as_secs_f64(),
        keep_failed.as_secs_f64(),
        limit
    )
    .fetch_one(db)
    .await?;
    Ok((row.gone, row.last.filter(|_| row.seen == limit)))
}
