//! Takes jobs, as many as there are free slots and never more: nothing waits in a buffer unleased.

use super::{Shared, answered, held::Held, jitter};
use crate::job::{Assignment, Job};
use futures::FutureExt as _;
use paceline_shared::{
    Provider,
    db::{
        Error,
        sync_jobs::{self, Claim, Claimed, Cursor, Standing},
        sync_outcomes::{Lease, Outcome},
        sync_runs::{self, Side},
    },
};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, futures::Notified, mpsc},
    time::Instant,
};

/// A claim takes no more than this, so that a worker with many slots leaves something to others.
const BATCH: usize = 500;
/// A cursor skips what lies before it; so it must not live long.
const CURSOR_LIFE: Duration = Duration::from_secs(1);
/// Work that was announced may stand before it. To look there costs a walk over dead rows, so not for each word.
const CURSOR_REST: Duration = Duration::from_millis(50);
/// A claim costs nearly as much for one job as for twenty. So the one after a claim that took all there was waits
/// this long for company; at a quiet rate it is over before the next job comes.
const REST: Duration = Duration::from_millis(4);
pub(super) const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(2);
/// How much more often a worker looks that nothing can be said to.
pub(super) const DEAF: u32 = 4;

/// A job on its way to its handler.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) work: Assignment,
    pub(super) held: Held,
}

pub(super) async fn run(shared: Arc<Shared>, out: mpsc::Sender<Taken>) {
    let mut lanes = Lanes::new(&shared.config.providers);
    let mut backoff = *BACKOFF.start();
    while free_slot(&shared).await {
        let Some(gate) = shared.drain.run_until_cancelled(shared.gate.lock()).await else { return };
        if let Err(error) = hand_back_unknown(&shared, Side::Syncs).await {
            drop(gate);
            pause(&shared, &mut backoff, &error).await;
            continue;
        }
        let mut slots = free_slots(&shared);
        if slots.is_empty() {
            continue;
        }
        // From now on, lest one that ends while the claim is under way goes unseen.
        let removed = shared.registry.removed();
        tokio::pin!(removed);
        removed.as_mut().enable();
        let began = Instant::now();
        match lanes.claim(&shared, slots.len()).await {
            Ok(Round { claimed, then }) => {
                backoff = *BACKOFF.start();
                for one in claimed {
                    let Some(slot) = slots.pop() else { break };
                    if start(&shared, &out, one, slot).await.is_err() {
                        return;
                    }
                }
                drop((slots, gate));
                if then != Then::GoOn {
                    wait_for_work(&shared, (then == Then::WaitForRoom).then_some(removed)).await;
                    rest(&shared, began + REST).await;
                    lanes.restart();
                }
            }
            Err(error) => {
                shared.unsure.mark();
                drop((slots, gate));
                pause(&shared, &mut backoff, &error).await;
            }
        }
    }
}

pub(super) async fn pause(shared: &Shared, backoff: &mut Duration, error: &Error) {
    tracing::warn!(reason = error.reason(), ?backoff, "claim failed");
    let pause = tokio::time::sleep(jitter(*backoff));
    let _drained = shared.drain.run_until_cancelled(pause).await;
    *backoff = (*backoff * 2).min(*BACKOFF.end());
}

async fn rest(shared: &Shared, until: Instant) {
    let _drained = shared.drain.run_until_cancelled(tokio::time::sleep_until(until)).await;
}

/// Waits until a slot is free and there is memory for a job; false when the worker drains.
async fn free_slot(shared: &Shared) -> bool {
    let free = async {
        loop {
            drop(shared.slots.acquire().await);
            if !shared.full.load(Ordering::Acquire) {
                return;
            }
            shared.wake.notified().await;
        }
    };
    shared.drain.run_until_cancelled(free).await.is_some()
}

/// All slots that are free now.
fn free_slots(shared: &Shared) -> Vec<OwnedSemaphorePermit> {
    let free = || shared.slots.clone().try_acquire_owned().ok();
    std::iter::from_fn(free).take(BATCH).collect()
}

/// A claim whose answer was lost may have brought jobs that nobody here knows of. Left alone, their leases
/// would run out, as if this worker had been lost with them.
///
/// Each side has one claimer, which looks at its own: what the other has just claimed may not be known yet.
pub(super) async fn hand_back_unknown(shared: &Shared, side: Side) -> Result<(), Error> {
    let unsure = match side {
        Side::Syncs => &shared.unsure,
        Side::Accounts => &shared.unsure_of_accounts,
    };
    let Some(look) = unsure.look() else { return Ok(()) };
    let worker = shared.config.worker;
    for (job, epoch) in answered(sync_runs::held_by(&shared.db, worker, side)).await? {
        if shared.registry.of(job).is_none_or(|held| held.lease().epoch != epoch) {
            tracing::warn!(sync.id = %job, "handing back a job whose claim was not answered");
            let lease = Lease { job, epoch, worker };
            shared.finisher.finish(lease, Outcome::Released).await;
        }
    }
    unsure.looked(look);
    Ok(())
}

/// Until there may be work; `room`: the end of one of our own jobs makes some.
async fn wait_for_work(shared: &Shared, room: Option<Pin<&mut Notified<'_>>>) {
    let often = if *shared.hears.borrow() { 1 } else { DEAF };
    let room = async {
        match room {
            Some(room) => room.await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = shared.wake.notified() => {}
        () = room => {}
        () = tokio::time::sleep(jitter(shared.config.poll_every / often)) => {}
        () = shared.drain.cancelled() => {}
    }
}

/// The worker is gone; the leases run out by themselves.
#[derive(Debug)]
pub(super) struct Gone;

/// Sends a claimed job on its way, in a slot of its own.
pub(super) async fn start(
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
            let held = Held::new(lease, claimed.attempt, claimed.max_retries)
                .in_phase(job.checkpoint.phase())
                .within(job.time_limit().unwrap_or(shared.config.job_timeout));
            send(shared, out, Assignment::Job(Box::new(job)), held, slot).await
        }
        Err(failure) => {
            tracing::error!(job.id = %claimed.id, error = failure.message, "a job that cannot be read");
            shared.finisher.finish(lease, Outcome::Failed(failure)).await;
            Ok(())
        }
    }
}

/// Sends work that could be read on its way.
pub(super) async fn send(
    shared: &Shared,
    out: &mpsc::Sender<Taken>,
    work: Assignment,
    held: Held,
    slot: OwnedSemaphorePermit,
) -> Result<(), Gone> {
    // First of all: whoever is in the registry is beaten for, and must reach its handler, whenever this
    // future is dropped.
    let place = out.reserve().await.map_err(|_closed| Gone)?;
    shared.registry.add(held.clone(), slot).await;
    place.send(Taken { work, held });
    Ok(())
}

/// What a look at all lanes brought.
struct Round {
    claimed: Vec<Claimed>,
    then: Then,
}

/// What to do after a look at all lanes. The later one outranks the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Then {
    /// Nothing more is there for us now: until somebody says otherwise, or for a while.
    Wait,
    /// A lane is full; the end of one of our own jobs may be what it waits for.
    WaitForRoom,
    /// A lane had as much as was asked for.
    GoOn,
}

/// What follows from a claim of `asked` jobs.
const fn then(claim: &Claim, asked: usize) -> Then {
    match claim.lane {
        Standing::Open | Standing::Urgent(..) if claim.jobs.len() >= asked => Then::GoOn,
        Standing::Open | Standing::Urgent(..) | Standing::Held(_) => Then::Wait,
        Standing::Full | Standing::Probing => Then::WaitForRoom,
    }
}

/// A place in each provider's lane, so that a claim does not step over dead rows again and again.
struct Lanes {
    providers: Vec<Provider>,
    places: HashMap<Provider, Cursor>,
    since: Instant,
}

impl Lanes {
    fn new(providers: &[Provider]) -> Self {
        Self { providers: providers.to_vec(), places: HashMap::new(), since: Instant::now() }
    }

    fn restart(&mut self) {
        self.places.clear();
        self.since = Instant::now();
    }

    /// Up to `limit` jobs over all lanes; each call begins with another lane.
    async fn claim(&mut self, shared: &Shared, limit: usize) -> Result<Round, Error> {
        let age = self.since.elapsed();
        let told = || shared.wake.notified().now_or_never().is_some();
        if age > CURSOR_LIFE || (age > CURSOR_REST && told()) {
            self.restart();
        }
        let mut round = Round { claimed: Vec::new(), then: Then::Wait };
        self.providers.rotate_left(1);
        for lane in &self.providers {
            let asked = limit - round.claimed.len();
            if asked == 0 {
                // Nothing is known of the others.
                round.then = Then::GoOn;
                break;
            }
            let claim = |after| {
                let asked = i64::try_from(asked).unwrap_or(i64::MAX);
                answered(sync_jobs::claim(&shared.db, shared.config.worker, *lane, asked, after))
            };
            let place = self.places.remove(lane);
            let mut got = match claim(place.unwrap_or(Cursor::START)).await {
                Ok(got) => got,
                // What the lanes before brought is ours and must run.
                Err(error) if round.claimed.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(reason = error.reason(), lane = lane.as_str(), "claim failed");
                    break;
                }
            };
            if got.jobs.is_empty() && place.is_some() && got.lane == Standing::Open {
                got = match claim(Cursor::START).await {
                    Ok(got) => got,
                    Err(error) if round.claimed.is_empty() => return Err(error),
                    Err(_) => break,
                };
            }
            round.then = round.then.max(then(&got, asked));
            if let Some(last) = got.jobs.last()
                && got.lane == Standing::Open
            {
                self.places.insert(*lane, Cursor::behind(last));
            }
            round.claimed.append(&mut got.jobs);
        }
        Ok(round)
    }
}
