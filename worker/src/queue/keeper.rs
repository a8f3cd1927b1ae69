//! Keeps what runs alive and what is dead from being forgotten: beats, promotion of parked jobs, reclaim.
//! Every worker has one; any of them does for all.

use super::{Shared, answered, held::Stop, jitter, sight::Sight};
use paceline_shared::{
    JobId,
    db::{
        Error, sync_jobs,
        sync_runs::{self, Beat, Reclaimed, Silence, Stuck},
        workers,
    },
    sync_spec::PAYLOAD_VERSION,
};
use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

/// After an outage everybody's leases are old: a sweep takes them in bites.
const SWEEP: u16 = 100;
/// Between two bites of a sweep that found enough for one.
const NEXT_BITE: Duration = Duration::from_millis(250);
/// A worker without beats looks so often for jobs that were claimed meanwhile.
const FENCED_AGAIN: Duration = Duration::from_secs(1);
/// A checkpoint that has not moved for so long is reported, though its worker beats.
const STUCK_AFTER: Duration = Duration::from_mins(10);
const ASK_STUCK_EVERY: Duration = Duration::from_mins(1);
const PROMOTE_EVERY: Duration = Duration::from_secs(1);
/// While notifications do not arrive. A beat hears of cancels as well, but not often enough.
const ASK_CANCELS_EVERY: Duration = Duration::from_millis(750);

/// Beats from the first claim until nothing is in flight, also while the worker drains.
pub(super) async fn beat(shared: Arc<Shared>) {
    let (say_renewed, renewed) = watch::channel(Instant::now());
    tokio::select! {
        () = shared.idle.cancelled() => {}
        never = renew_all_along(&shared, &say_renewed) => match never {},
        never = fence_itself(&shared, &renewed) => match never {},
    }
}

async fn renew_all_along(shared: &Shared, renewed: &watch::Sender<Instant>) -> Infallible {
    let mut every = tokio::time::interval(shared.config.beat_every);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hearing = shared.hears.subscribe();
    loop {
        // That notifications arrive, or do not any more, is told at once.
        tokio::select! {
            _ = every.tick() => {}
            _ = hearing.changed() => {}
        }
        let asked = Instant::now();
        let limit = shared.config.lease / 3;
        let failed = match tokio::time::timeout(limit, renew(shared)).await {
            Ok(Ok(())) => {
                renewed.send_replace(asked);
                shared.beats.came();
                continue;
            }
            Ok(Err(error)) => error.reason(),
            Err(_elapsed) => "no answer in time".to_owned(),
        };
        shared.beats.failed();
        tracing::warn!(reason = failed, "beat failed, will try again");
    }
}

/// When no beat came through for a whole lease, others may reclaim: what runs here could only be refused.
/// Goes by our own clock, for nobody else's can be asked.
async fn fence_itself(shared: &Shared, renewed: &watch::Receiver<Instant>) -> Infallible {
    loop {
        let due = *renewed.borrow() + shared.config.lease;
        if Instant::now() < due {
            tokio::time::sleep_until(due).await;
            continue;
        }
        let held = shared.registry.held();
        let running = held.iter().filter(|held| held.stop_asked() != Stop::LeaseLost);
        let stopped = running.map(|held| held.ask_stop(Stop::LeaseLost)).count();
        if stopped > 0 {
            tracing::error!(jobs = stopped, "no beat for a whole lease: stopping all jobs");
        }
        tokio::time::sleep(FENCED_AGAIN).await;
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
        // Those in kept slots are not among them: full is when these are as many as the slots.
        jobs: clamp(shared.registry.len()),
        rss_bytes: shared.rss_bytes.load(Ordering::Relaxed),
        listening: *shared.hears.borrow(),
        draining: shared.drain.is_cancelled(),
    };
    let heard = sync_runs::beat(&shared.db, &presence, &held).await?;
    if heard.drain && !shared.drain.is_cancelled() {
        tracing::info!("asked to drain");
        shared.drain.cancel();
    }
    for (job, epoch, beat) in heard.leases {
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
                        shared.wake();
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
    let sweeping = async {
        let mut pause = shared.config.sweep_every;
        loop {
            tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
            pause = shared.config.sweep_every;
            let silence = match shared.beats.sight() {
                // Owners that were cut off as well come first.
                Sight::None => continue,
                Sight::Short => Silence::Outage,
                Sight::Full => Silence::Crash,
            };
            let swept = sync_runs::reclaim(&shared.db, shared.config.lease, SWEEP.into(), silence);
            match answered(swept).await {
                Ok(Reclaimed { queued: 0, cancelled: 0, quarantined: 0 }) => {}
                Ok(Reclaimed { queued, cancelled, quarantined }) => {
                    tracing::warn!(
                        queued,
                        cancelled,
                        quarantined,
                        "reclaimed jobs of lost workers"
                    );
                    metrics::counter!("paceline_jobs_reclaimed_total").increment(queued as u64);
                    metrics::counter!("paceline_jobs_quarantined_total")
                        .increment(quarantined as u64);
                    shared.wake();
                    if queued + cancelled + quarantined >= usize::from(SWEEP) {
                        pause = NEXT_BITE;
                    }
                }
                Err(error) => {
                    tracing::warn!(reason = error.reason(), "reclaim failed, will try again");
                }
            }
        }
    };
    shared.drain.run_until_cancelled(sweeping).await;
}

/// Reports jobs that get nowhere though their worker is alive.
pub(super) async fn report_stuck(shared: Arc<Shared>) {
    let reporting = async {
        loop {
            tokio::time::sleep(jitter(ASK_STUCK_EVERY)).await;
            match answered(sync_runs::stuck(&shared.db, STUCK_AFTER)).await {
                Ok(stuck) => stuck.iter().for_each(report),
                Err(error) => {
                    tracing::warn!(reason = error.reason(), "stuck jobs not asked for");
                }
            }
        }
    };
    shared.drain.run_until_cancelled(reporting).await;
}

fn report(stuck: &Stuck) {
    let Stuck { lease, provider, phase, since } = stuck;
    metrics::counter!("paceline_jobs_stuck_total", "provider" => provider.as_str()).increment(1);
    tracing::error!(
        sync.id = %lease.job,
        epoch = lease.epoch,
        worker = %lease.worker,
        %provider,
        ?phase,
        %since,
        "a job beats and gets nowhere: its checkpoint has not moved for ten minutes"
    );
}
