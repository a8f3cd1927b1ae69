//! `public.sync_progress`: a sync as its user sees it. The moves of a job write it in their own
//! statements; this file has what a running job publishes of itself.

use super::{Db, Error};
use crate::{
    JobId, Provider,
    job_state::JobState,
    progress::{Counts, Phase, percent},
};
use serde_json::{Value, json};
use sqlx::{PgConnection, types::Json};

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
    /// The provider's own view: pages while their number is unknown, then exact totals.
    fn providers(&self) -> Value {
        let Counts { pages, enriched, .. } = self.counts;
        let total = self.counts.to_process();
        let (current, total, more) = match self.phase {
            Phase::Fetch => (pages, None, true),
            Phase::Enrich => (enriched, Some(total), enriched < total),
            Phase::Store | Phase::Done => {
                (self.counts.processed(), Some(total), self.counts.processed() < total)
            }
        };
        json!([{ "provider": self.provider, "stage": self.phase, "current": current, "total": total, "more": more }])
    }
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

/// Forgets rows that ended more than a day ago, a batch at a time; answers how many.
pub async fn forget_old(db: &Db) -> Result<u64, Error> {
    let gone = sqlx::query!(
        "delete from public.sync_progress where ctid = any(array(
           select ctid from public.sync_progress
            where finished_at < clock_timestamp() - interval '24 hours' and status <> 'failed' limit 1000))"
    )
    .execute(db)
    .await?;
    Ok(gone.rows_affected())
}
