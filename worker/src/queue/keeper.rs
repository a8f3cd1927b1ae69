//! Keeps what runs alive and what is dead from being forgotten: beats, promotion of parked jobs, reclaim.
//! Every worker has one; any of them does for all.

use super::{Shared, answered, held::Stop, jitter};
use paceline_shared::{
    JobId,
    db::{
        Error, sync_jobs,
        sync_runs::{self, Beat},
        workers,
    },
    sync_spec::PAYLOAD_VERSION,
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior};

/// After an outage everybody's leases are old: a sweep takes them in bites.
const SWEEP: i64 = 100;
const PROMOTE_EVERY: Duration = Duration::from_secs(1);
/// While notifications do not arrive. A beat hears of cancels as well, but not often enough.
const ASK_CANCELS_EVERY: Duration = Duration::from_millis(750);

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
    let providers: Vec<String> =
        config.providers.iter().map(|provider| provider.as_str().to_owned()).collect();
    let presence = workers::Presence {
        id: config.worker,
        label: &config.label,
        host: &config.host,
        pid: i32::try_from(std::process::id()).unwrap_or(i32::MAX),
        providers: &providers,
        slots: clamp(config.slots),
        payload_version: PAYLOAD_VERSION,
        version: env!("CARGO_PKG_VERSION"),
        jobs: clamp(held.len()),
        rss_bytes: shared.rss_bytes.load(Ordering::Relaxed),
        listening: *shared.hears.borrow(),
        draining: shared.drain.is_cancelled(),
    };
    if workers::beat(&shared.db, &presence).await? && !shared.drain.is_cancelled() {
        tracing::info!("asked to drain");
        shared.drain.cancel();
    }
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
            held.ask_stop(Stop::HandBack);
        }
        tokio::select! {
            () = shared.idle.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

/// Asks which jobs shall stop, while nobody can tell.
pub(super) async fn ask_cancels(shared: Arc<Shared>) {
    let asking = async {
        loop {
            tokio::time::sleep(jitter(ASK_CANCELS_EVERY)).await;
            let held: Vec<JobId> = shared.registry.held().iter().map(|h| h.lease().job).collect();
            if *shared.hears.borrow() || held.is_empty() {
                continue;
            }
            match answered(sync_jobs::cancel_asked(&shared.db, &held)).await {
                Ok(asked) => asked.into_iter().for_each(|job| shared.cancel(job)),
                Err(error) => tracing::debug!(reason = error.reason(), "cancels not asked for"),
            }
        }
    };
    shared.idle.run_until_cancelled(asking).await;
}

/// Promotes parked jobs that are due.
pub(super) async fn promote(shared: Arc<Shared>) {
    shared
        .drain
        .run_until_cancelled(async {
            loop {
                tokio::time::sleep(jitter(PROMOTE_EVERY)).await;
                match answered(sync_jobs::promote(&shared.db)).await {
                    Ok(0) => {}
                    Ok(due) => {
                        tracing::info!(due, "parked jobs are due");
                        metrics::counter!("paceline_jobs_promoted_total").increment(due);
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
                let swept = sync_runs::reclaim(&shared.db, shared.config.lease, SWEEP);
                match answered(swept).await {
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
                        metrics::counter!("paceline_jobs_quarantined_total")
                            .increment(swept.quarantined as u64);
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
