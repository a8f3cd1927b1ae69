//! `sync_runs`: leases. One beat a process renews all of its own; whoever beats no more is reclaimed.

use super::{
    Db, Error,
    sync_outcomes::{Back, End, Lease, Went, Why, end, put_back},
};
use crate::{
    JobId, WorkerId,
    failure::{Code, Failure},
    job_state::JobState,
    progress::Phase,
};
use chrono::Utc;
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// After so many leases lost at one checkpoint a job is taken for the cause.
pub const CRASHES_ALLOWED: i16 = 3;

/// What a beat heard of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Still ours.
    Held,
    /// Still ours, and its user wants it to stop.
    Cancelled,
    /// Another's by now, or ended: stop and write nothing more.
    Lost,
}

/// Renews the leases of one process, in one statement, and hears of each how it stands.
///
/// A row that a transaction of ours holds at this moment is passed by; the next beat renews it.
pub async fn beat(
    db: &Db,
    worker: WorkerId,
    held: &[(JobId, i64)],
) -> Result<Vec<(JobId, i64, Beat)>, Error> {
    let ids: Vec<Uuid> = held.iter().map(|(job, _)| job.0).collect();
    let epochs: Vec<i64> = held.iter().map(|(_, epoch)| *epoch).collect();
    let rows = sqlx::query!(
        r#"with held as (
             select h.id, h.epoch, r.job_id is not null as mine, j.cancel_requested_at is not null as cancelled
               from unnest($1::uuid[], $2::bigint[]) as h(id, epoch)
               left join paceline.sync_runs r on r.job_id = h.id and r.lease_epoch = h.epoch and r.worker = $3
               left join paceline.sync_jobs j on j.id = r.job_id),
           beat as (
             update paceline.sync_runs set beat_at = clock_timestamp()
              where job_id = any(array(
                select job_id from paceline.sync_runs
                 where job_id = any($1) and worker = $3 order by job_id for no key update skip locked)))
           select id as "id!: JobId", epoch as "epoch!", mine as "mine!", cancelled as "cancelled!" from held"#,
        &ids,
        &epochs,
        worker.0
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let beat = match (row.mine, row.cancelled) {
                (false, _) => Beat::Lost,
                (true, true) => Beat::Cancelled,
                (true, false) => Beat::Held,
            };
            (row.id, row.epoch, beat)
        })
        .collect())
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Queued again, attempt given back.
    pub queued: usize,
    /// Ended because they had been cancelled.
    pub cancelled: usize,
    /// Failed: too many workers were lost at the same checkpoint.
    pub quarantined: usize,
}

/// Takes up to `limit` jobs from owners that were silent for longer than `lease`.
///
/// A crash is counted only when the checkpoint had not moved since the claim and the last beat is
/// younger than the server: an outage of Postgres is no fault of a job.
pub async fn reclaim(db: &Db, lease: Duration, limit: i64) -> Result<Reclaimed, Error> {
    let mut tx = super::begin(db).await?;
    let dead = sqlx::query!(
        r#"select r.job_id as "job: JobId", r.lease_epoch, r.worker as "worker!: WorkerId", r.phase as "phase: Phase",
                  r.checkpoint, j.crashes,
                  r.checkpoint_at is not distinct from r.claimed_checkpoint_at as "unmoved!",
                  r.beat_at > pg_postmaster_start_time() as "server_was_up!"
             from paceline.sync_runs r join paceline.sync_jobs j on j.id = r.job_id
            where r.worker is not null and r.beat_at < clock_timestamp() - make_interval(secs => $1)
            order by r.job_id limit $2 for update of r skip locked"#,
        lease.as_secs_f64(),
        limit
    )
    .fetch_all(&mut *tx)
    .await?;
    if dead.is_empty() {
        return Ok(Reclaimed::default());
    }
    let (mut back, mut ends) = (vec![], vec![]);
    for row in &dead {
        let lease = Lease { job: row.job, epoch: row.lease_epoch, worker: row.worker };
        let crashes = match (row.unmoved, row.server_was_up) {
            (true, true) => row.crashes + 1,
            (true, false) => row.crashes,
            (false, _) => 0,
        };
        if crashes < CRASHES_ALLOWED {
            back.push(Back { lease, why: Why::Crashed { crashes } });
        } else {
            let context = [
                ("checkpoint".to_owned(), row.checkpoint.clone()),
                ("crashes".to_owned(), json!(crashes)),
            ];
            let failure = Failure {
                code: Code::WorkerLost,
                message: format!(
                    "{crashes} workers were lost while they had this sync at the same checkpoint"
                ),
                phase: row.phase,
                context: context.into_iter().collect(),
                at: Utc::now(),
            };
            ends.push(End::new(lease, JobState::Failed, Some(&failure)));
        }
    }
    let quarantined = ends.len();
    let mut queued = 0;
    for (job, went) in put_back(&mut tx, &back).await? {
        match went {
            Went::Back => queued += 1,
            Went::Cancelled => ends.extend(
                back.iter()
                    .filter(|b| b.lease.job == job)
                    .map(|b| End::new(b.lease, JobState::Cancelled, None)),
            ),
        }
    }
    let cancelled = ends.len() - quarantined;
    end(&mut tx, &ends).await?;
    tx.commit().await?;
    Ok(Reclaimed { queued, cancelled, quarantined })
}
