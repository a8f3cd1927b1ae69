//! Keeps what runs alive and what is dead from being forgotten: beats, promotion of parked jobs,
//! reclaim, and housekeeping. Every worker has one; any of them does for all.

use super::{Shared, held::Stop, jitter};
use paceline_shared::{
    JobId,
    db::{
        Error, sync_jobs,
        sync_runs::{self, Beat},
        workers,
    },
};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior};

/// After an outage everybody's leases are old: a sweep takes them in bites.
const SWEEP: i64 = 100;
const PROMOTE_EVERY: Duration = Duration::from_secs(1);

/// Beats from the first claim until nothing is in flight, also while the worker drains.
pub(super) async fn beat(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(shared.config.beat_every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut renewed = Instant::now();
    loop {
        tokio::select! {
            _ = every.tick() => {}
            () = shared.idle.cancelled() => return,
        }
        let asked = Instant::now();
        let limit = shared.config.lease / 3;
        match tokio::time::timeout(limit, renew(&shared)).await {
            Ok(Ok(())) => renewed = asked,
            failed => {
                let reason = failed.map_or_else(
                    |_| "no answer in time".to_owned(),
                    |e| e.err().map_or_else(String::new, |e| e.reason()),
                );
                tracing::warn!(reason, "beat failed, will try again");
            }
        }
        // By our own clock others may reclaim by now: a write could only be refused.
        if renewed.elapsed() >= shared.config.lease && shared.registry.len() > 0 {
            tracing::error!("no beat for a whole lease: stopping all jobs");
            for held in shared.registry.held() {
                held.ask_stop(Stop::LeaseLost);
            }
        }
    }
}

async fn renew(shared: &Shared) -> Result<(), Error> {
    let held: Vec<(JobId, i64)> =
        shared.registry.held().iter().map(|held| (held.lease().job, held.lease().epoch)).collect();
    metrics::gauge!("paceline_jobs_running")
        .set(f64::from(u32::try_from(held.len()).unwrap_or(u32::MAX)));
    let config = &shared.config;
    let (slots, jobs) = (clamp(config.slots), clamp(held.len()));
    workers::beat(
        &shared.db,
        config.worker,
        env!("CARGO_PKG_VERSION"),
        slots,
        jobs,
        shared.drain.is_cancelled(),
    )
    .await?;
    if held.is_empty() {
        return Ok(());
    }
    for (job, epoch, beat) in sync_runs::beat(&shared.db, config.worker, &held).await? {
        let Some(held) = shared.registry.of(job).filter(|held| held.lease().epoch == epoch) else {
            continue;
        };
        match beat {
            Beat::Held => {}
            Beat::Cancelled => held.ask_stop(Stop::Cancelled),
            Beat::Lost => held.ask_stop(Stop::LeaseLost),
        }
    }
    Ok(())
}

fn clamp(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// Hands running jobs back when the worker drains.
pub(super) async fn hand_back(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.drain.cancelled() => {}
        () = shared.idle.cancelled() => return,
    }
    // A claim that was under way when the drain began may still bring jobs.
    loop {
        for held in shared.registry.held() {
            held.ask_stop(Stop::Shutdown);
        }
        tokio::select! {
            () = shared.idle.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

/// Promotes parked jobs that are due.
pub(super) async fn promote(shared: Arc<Shared>) {
    shared
        .drain
        .run_until_cancelled(async {
            loop {
                tokio::time::sleep(jitter(PROMOTE_EVERY)).await;
                match sync_jobs::promote(&shared.db).await {
                    Ok(0) => {}
                    Ok(due) => {
                        tracing::info!(due, "parked jobs are due");
                        shared.wake.notify_one();
                    }
                    Err(error) => {
                        tracing::warn!(reason = error.reason(), "promotion failed, will try again");
                    }
                }
            }
        })
        .await;
}

/// Reclaims what lost workers left.
pub(super) async fn sweep(shared: Arc<Shared>) {
    shared
        .drain
        .run_until_cancelled(async {
            loop {
                tokio::time::sleep(shared.config.sweep_every.mul_f64(0.5 + 0.5 * fastrand::f64()))
                    .await;
                match sync_runs::reclaim(&shared.db, shared.config.lease, SWEEP).await {
                    Ok(swept) if swept == sync_runs::Reclaimed::default() => {}
                    Ok(swept) => {
                        tracing::warn!(
                            queued = swept.queued,
                            cancelled = swept.cancelled,
                            quarantined = swept.quarantined,
                            "reclaimed jobs of lost workers"
                        );
                        metrics::counter!("paceline_jobs_reclaimed_total")
                            .increment(swept.queued as u64);
                        shared.wake.notify_one();
                    }
                    Err(error) => {
                        tracing::warn!(reason = error.reason(), "reclaim failed, will try again");
                    }
                }
            }
        })
        .await;
}
