//! `sync_runs`: leases. One beat a process renews all of its own; whoever beats no more is reclaimed.

use super::{
    Db, Error,
    sync_outcomes::{Back, End, Lease, Went, Why, end, put_back},
    workers::Presence,
};
use crate::{
    JobId, Provider, WorkerId,
    failure::{Code, Failure},
    job_state::JobState,
    progress::Phase,
};
use chrono::{DateTime, Utc};
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

/// What a process hears when it beats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// How each lease stands, by job and epoch.
    pub leases: Vec<(JobId, i64, Beat)>,
    /// Somebody wants the process to drain.
    pub drain: bool,
}

/// A process says that it is there and renews its leases, in one statement; it hears of each how it stands.
///
/// A row that a transaction of ours holds at this moment is passed by; the next beat renews it.
pub async fn beat(db: &Db, me: &Presence<'_>, held: &[(JobId, i64)]) -> Result<Heard, Error> {
    let ids: Vec<Uuid> = held.iter().map(|(job, _)| job.0).collect();
    let epochs: Vec<i64> = held.iter().map(|(_, epoch)| *epoch).collect();
    let beat = sqlx::query!(
        r#"with me as (
             insert into paceline.workers (id, label, host, pid, providers, slots, payload_version, version,
                                           jobs, rss_bytes, listening, draining)
             values ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
             on conflict (id) do update
               set jobs = excluded.jobs, rss_bytes = excluded.rss_bytes, listening = excluded.listening,
                   draining = excluded.draining, beat_at = clock_timestamp()
             returning drain_requested_at is not null as drain),
           held as (
             select h.id, h.epoch, r.job_id is not null as mine, j.cancel_requested_at is not null as cancelled
               from unnest($1::uuid[], $2::bigint[]) as h(id, epoch)
               left join paceline.sync_runs r on r.job_id = h.id and r.lease_epoch = h.epoch and r.worker = $3
               left join paceline.sync_jobs j on j.id = r.job_id),
           beat as (
             update paceline.sync_runs set beat_at = clock_timestamp()
              where job_id = any(array(
                select job_id from paceline.sync_runs
                 where job_id = any($1) and worker = $3 order by job_id for no key update skip locked)))
           select me.drain as "drain!", id as "id?: JobId", epoch as "epoch?", mine as "mine?", cancelled as "cancelled?"
             from me left join held on true"#,
        &ids,
        &epochs,
        me.id.0,
        me.label,
        me.host,
        me.pid,
        me.providers,
        me.slots,
        me.payload_version,
        me.version,
        me.jobs,
        me.rss_bytes,
        me.listening,
        me.draining
    )
    .fetch_all(db);
    let rows = super::timed("beat", beat).await?;
    let drain = rows.iter().any(|row| row.drain);
    let leases = rows.into_iter().filter_map(|row| {
        let beat = match (row.mine?, row.cancelled?) {
            (false, _) => Beat::Lost,
            (true, true) => Beat::Cancelled,
            (true, false) => Beat::Held,
        };
        Some((row.id?, row.epoch?, beat))
    });
    Ok(Heard { leases: leases.collect(), drain })
}

/// Which jobs: each kind has a claim of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Those that lanes hold back.
    Syncs,
    /// Those that are about an account itself.
    Accounts,
}

/// All leases of a process on one side, as the database knows them.
pub async fn held_by(db: &Db, worker: WorkerId, side: Side) -> Result<Vec<(JobId, i64)>, Error> {
    let rows = sqlx::query!(
        r#"select r.job_id as "job: JobId", r.lease_epoch
             from paceline.sync_runs r join paceline.sync_jobs j on j.id = r.job_id
            where r.worker = $1 and (j.slot < 0) = $2"#,
        worker.0,
        side == Side::Accounts
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.job, row.lease_epoch)).collect())
}

/// A job whose worker is alive and gets nowhere with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Which claim of which job, and whose.
    pub lease: Lease,
    /// From where.
    pub provider: Provider,
    /// Where it hangs.
    pub phase: Phase,
    /// The last checkpoint of this claim, or the claim itself.
    pub since: DateTime<Utc>,
}

/// Jobs that beat but have had no checkpoint for `after`, each of them once: a checkpoint or another claim
/// makes it news again.
pub async fn stuck(db: &Db, after: Duration) -> Result<Vec<Stuck>, Error> {
    let rows = sqlx::query!(
        r#"update paceline.sync_runs r set stuck_reported_at = clock_timestamp()
            where job_id = any(array(
              select job_id from paceline.sync_runs
               where worker is not null and stuck_reported_at is null
                 and last_activity_at < clock_timestamp() - make_interval(secs => $1)
                 and beat_at > clock_timestamp() - interval '20 seconds'
               order by last_activity_at limit 1000 for no key update skip locked))
           returning job_id as "job: JobId", lease_epoch, worker as "worker!: WorkerId", phase as "phase: Phase",
                     provider as "provider: Provider", last_activity_at as since"#,
        after.as_secs_f64()
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Stuck {
            lease: Lease { job: row.job, epoch: row.lease_epoch, worker: row.worker },
            provider: row.provider,
            phase: row.phase,
            since: row.since,
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

/// What the silence of an owner is put down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// The owner: Postgres was there for others all the time.
    Crash,
    /// Perhaps an outage: nobody was there to see that it was not.
    Outage,
}

/// Takes up to `limit` jobs from owners that were silent for longer than `lease`.
///
/// A crash is counted only when the checkpoint had not moved since the claim, the caller knows of no outage
/// meanwhile, and the last beat is younger than the server: an outage of Postgres is no fault of a job.
pub async fn reclaim(
    db: &Db,
    lease: Duration,
    limit: i64,
    silence: Silence,
) -> Result<Reclaimed, Error> {
    super::timed("reclaim", reclaim_silent(db, lease, limit, silence)).await
}

async fn reclaim_silent(
    db: &Db,
    lease: Duration,
    limit: i64,
    silence: Silence,
) -> Result<Reclaimed, Error> {
    let mut tx = super::begin(db).await?;
    let dead = sqlx::query!(
        r#"select r.job_id as "job: JobId", r.lease_epoch, r.worker as "worker!: WorkerId", r.phase as "phase: Phase",
                  r.checkpoint, j.crashes,
                  r.checkpoint_at is not distinct from r.claimed_checkpoint_at as "unmoved!",
                  r.beat_at > pg_postmaster_start_time() as "server_was_up!"
             from paceline.sync_runs r join paceline.sync_jobs j on j.id = r.job_id
            where r.worker is not null and r.beat_at < clock_timestamp() - make_interval(secs => $1)
            order by r.beat_at limit $2 for update of r skip locked"#,
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
        let crashes = match (row.unmoved, row.server_was_up && silence == Silence::Crash) {
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
