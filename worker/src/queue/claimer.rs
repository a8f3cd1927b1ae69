//! Takes jobs, as many as there are free slots and never more: nothing waits in a buffer unleased.

use super::{Shared, held::Held, jitter};
use crate::job::Job;
use paceline_shared::{
    Provider,
    db::{
        Error,
        sync_jobs::{self, Claimed, Cursor},
        sync_outcomes::{Lease, Outcome},
    },
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};

/// A claim takes no more than this, so that a worker with many slots leaves something to others.
const BATCH: usize = 500;
/// A cursor skips what lies before it; so it must not live long.
const CURSOR_LIFE: Duration = Duration::from_secs(1);
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(2);

/// A job on its way to its handler.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) job: Job,
    pub(super) held: Held,
}

pub(super) async fn run(shared: Arc<Shared>, out: mpsc::Sender<Taken>) {
    let mut cursors = Cursors::new(&shared.config.providers);
    let mut backoff = *BACKOFF.start();
    while let Some(mut slots) = free_slots(&shared).await {
        match cursors.claim(&shared, slots.len()).await {
            Ok(claimed) => {
                backoff = *BACKOFF.start();
                let may_be_more = claimed.len() == slots.len();
                for one in claimed {
                    let Some(slot) = slots.pop() else { break };
                    if start(&shared, &out, one, slot).await.is_err() {
                        return;
                    }
                }
                drop(slots);
                if !may_be_more {
                    wait_for_work(&shared).await;
                    cursors.restart();
                }
            }
            Err(error) => {
                drop(slots);
                tracing::warn!(reason = error.reason(), ?backoff, "claim failed");
                let pause = tokio::time::sleep(jitter(backoff));
                let _drained = shared.drain.run_until_cancelled(pause).await;
                backoff = (backoff * 2).min(*BACKOFF.end());
            }
        }
    }
}

/// All slots that are free, as soon as one is; `None` when the worker drains.
async fn free_slots(shared: &Shared) -> Option<Vec<OwnedSemaphorePermit>> {
    let first =
        shared.drain.run_until_cancelled(shared.slots.clone().acquire_owned()).await?.ok()?;
    let mut slots = vec![first];
    while slots.len() < BATCH
        && let Ok(another) = shared.slots.clone().try_acquire_owned()
    {
        slots.push(another);
    }
    Some(slots)
}

async fn wait_for_work(shared: &Shared) {
    tokio::select! {
        () = shared.wake.notified() => {}
        () = tokio::time::sleep(jitter(shared.config.poll_every)) => {}
        () = shared.drain.cancelled() => {}
    }
}

/// The worker is gone; the leases run out by themselves.
struct Gone;

async fn start(
    shared: &Arc<Shared>,
    out: &mpsc::Sender<Taken>,
    claimed: Claimed,
    slot: OwnedSemaphorePermit,
) -> Result<(), Gone> {
    let lease = Lease { job: claimed.id, epoch: claimed.epoch, worker: shared.config.worker };
    metrics::counter!("paceline_jobs_claimed_total", "provider" => claimed.provider.as_str())
        .increment(1);
    match Job::read(&claimed) {
        Ok(job) => {
            let held = Held::new(lease, claimed.attempt, claimed.max_retries);
            shared.registry.add(held.clone(), slot).await;
            out.send(Taken { job, held }).await.map_err(|_closed| Gone)
        }
        Err(failure) => {
            tracing::error!(job.id = %claimed.id, error = failure.message, "a job that cannot be read");
            shared.finisher.finish(lease, Outcome::Failed(failure)).await;
            Ok(())
        }
    }
}

/// A place in each provider's lane, so that a claim does not step over dead rows again and again.
struct Cursors {
    lanes: Vec<Provider>,
    places: HashMap<Provider, Cursor>,
    since: Instant,
}

impl Cursors {
    fn new(lanes: &[Provider]) -> Self {
        Self { lanes: lanes.to_vec(), places: HashMap::new(), since: Instant::now() }
    }

    fn restart(&mut self) {
        self.places.clear();
        self.since = Instant::now();
    }

    /// Up to `limit` jobs over all lanes; each call begins with another lane.
    async fn claim(&mut self, shared: &Shared, limit: usize) -> Result<Vec<Claimed>, Error> {
        if self.since.elapsed() > CURSOR_LIFE {
            self.restart();
        }
        let mut all: Vec<Claimed> = Vec::new();
        self.lanes.rotate_left(1);
        for lane in &self.lanes {
            let left = i64::try_from(limit - all.len()).unwrap_or(i64::MAX);
            if left == 0 {
                break;
            }
            let place = self.places.remove(lane);
            let mut got = sync_jobs::claim(
                &shared.db,
                shared.config.worker,
                *lane,
                left,
                place.unwrap_or(Cursor::START),
            )
            .await?;
            if got.is_empty() && place.is_some() {
                got =
                    sync_jobs::claim(&shared.db, shared.config.worker, *lane, left, Cursor::START)
                        .await?;
            }
            if let Some(last) = got.last() {
                self.places.insert(*lane, Cursor::behind(last));
            }
            all.append(&mut got);
        }
        Ok(all)
    }
}
