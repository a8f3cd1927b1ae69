//! Jobs that two workers were lost with: each runs with nothing beside it in its process, so that the third
//! loss, if it comes, is nobody else's. One worker of the fleet at a time makes room for that; a job that
//! gets past the place where the others were lost is like any other again. Kept slots go on meanwhile: a code does
//! not live that long.

use super::{
    Shared, answered,
    claimer::{Gone, Taken, start},
    held::{Held, Stop},
    jitter,
};
use paceline_shared::db::{Error, duties, sync_jobs};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The duty ends so long after its holder fell silent.
const HOLD: Duration = Duration::from_secs(15);
const RENEW_EVERY: Duration = Duration::from_secs(4);
/// How long what runs may go on to its end before it is handed back.
const SETTLE: Duration = Duration::from_secs(5);
/// A job that ran so long alone does not kill its worker at once, and others wait for the slots.
const LONGEST: Duration = Duration::from_mins(5);
const AT_ITS_CHECKPOINT: Duration = Duration::from_millis(100);
/// After so long no further one is begun: what else is in the queue waits meanwhile.
const TURN: Duration = Duration::from_mins(2);
/// How long a worker rests that made room for nothing, and how long at most if that goes on.
const REST: std::ops::RangeInclusive<Duration> = Duration::from_secs(30)..=Duration::from_mins(8);

/// Looks for such jobs until the worker drains.
pub(super) async fn run(shared: Arc<Shared>, out: mpsc::Sender<Taken>) {
    let looking = async {
        let (mut seen, mut rest) = (false, *REST.start());
        loop {
            sleep(jitter(LOOK_EVERY)).await;
            let waits = waits(&shared).await.unwrap_or(false);
            // A worker with nothing to do comes first: it need not hand anything back.
            let first = std::mem::replace(&mut seen, waits);
            if !waits || (!first && shared.registry.len() > 0) {
                continue;
            }
            match turn(&shared, &out).await {
                Ok(Turn::NotOurs) => continue,
                Ok(Turn::Ran) => {
                    rest = *REST.start();
                    continue;
                }
                Ok(Turn::Nothing) => {}
                Err(Failed::Gone(Gone)) => return,
                Err(Failed::Db(error)) => {
                    tracing::warn!(
                        reason = error.reason(),
                        "a job that must run alone has to wait"
                    );
                }
            }
            // What ran here was handed back for nothing; others may have more luck.
            sleep(jitter(rest)).await;
            rest = (rest * 2).min(*REST.end());
        }
    };
    shared.drain.run_until_cancelled(looking).await;
}

/// Whether there is one that we would get.
async fn waits(shared: &Shared) -> Result<bool, Error> {
    let config = &shared.config;
    answered(sync_jobs::suspect_waits(&shared.db, config.worker, &config.providers)).await
}

/// What came of making room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Another worker does it, or there was no need any more.
    NotOurs,
    /// There was no job to be had in the end.
    Nothing,
    /// At least one job ran.
    Ran,
}

#[derive(Debug)]
enum Failed {
    Gone(Gone),
    Db(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Db(error)
    }
}

/// Runs such jobs, one after the other, if no other worker does.
async fn turn(shared: &Arc<Shared>, out: &mpsc::Sender<Taken>) -> Result<Turn, Failed> {
    let (db, me) = (&shared.db, shared.config.worker);
    if !answered(duties::take(db, duties::SUSPECTS, me, HOLD)).await? {
        return Ok(Turn::NotOurs);
    }
    let keep = async {
        loop {
            sleep(RENEW_EVERY).await;
            match answered(duties::take(db, duties::SUSPECTS, me, HOLD)).await {
                Ok(true) => {}
                // Another began meanwhile: two at a time do no harm, but one is enough.
                Ok(false) => return,
                Err(error) => tracing::warn!(reason = error.reason(), "duty not renewed"),
            }
        }
    };
    let done = tokio::select! {
        done = all(shared, out) => done,
        () = keep => Ok(Turn::NotOurs),
    };
    answered(duties::give_up(db, duties::SUSPECTS, me)).await?;
    done
}

async fn all(shared: &Arc<Shared>, out: &mpsc::Sender<Taken>) -> Result<Turn, Failed> {
    // Nobody here claims from now on.
    let _gate = shared.gate.lock().await;
    // The one that was seen may be gone, or its lane shut: no reason to hand anything back.
    if !waits(shared).await? {
        return Ok(Turn::NotOurs);
    }
    tracing::info!("making room for a job that must run alone");
    make_room(shared).await;
    let (began, mut turn) = (Instant::now(), Turn::Nothing);
    loop {
        let Ok(slot) = shared.slots.clone().acquire_owned().await else { return Ok(turn) };
        // This task may be dropped before the answer is there.
        shared.unsure.mark();
        let claim =
            sync_jobs::claim_suspect(&shared.db, shared.config.worker, &shared.config.providers);
        let Some(claimed) = answered(claim).await.inspect_err(|_| shared.unsure.mark())? else {
            return Ok(turn);
        };
        turn = Turn::Ran;
        let (job, crashes) = (claimed.id, claimed.crashes);
        tracing::warn!(sync.id = %job, crashes, "running a job alone: workers were lost with it");
        metrics::counter!("paceline_jobs_alone_total").increment(1);
        start(shared, out, claimed, slot).await.map_err(Failed::Gone)?;
        let Some(held) = shared.registry.of(job) else { continue };
        let past = past_its_checkpoint(&held);
        tokio::select! {
            () = shared.registry.emptied() => {}
            () = past => {
                if !held.has_moved() || began.elapsed() >= TURN || !waits(shared).await.unwrap_or(false) {
                    return Ok(turn);
                }
                // It is like any other now, and the next one must be alone in its turn.
                held.ask_stop(Stop::HandBack);
                shared.registry.emptied().await;
            }
        }
        if began.elapsed() >= TURN {
            return Ok(turn);
        }
    }
}

/// Lets what runs come to its end, and hands back what does not.
async fn make_room(shared: &Shared) {
    if timeout(SETTLE, shared.registry.emptied()).await.is_ok() {
        return;
    }
    for held in shared.registry.held().iter().filter(|held| !held.is_kept()) {
        held.ask_stop(Stop::HandBack);
    }
    shared.registry.emptied().await;
}

/// Resolves when the job has moved its checkpoint, or has run for long.
async fn past_its_checkpoint(held: &Held) {
    while !held.has_moved() && held.since().elapsed() < LONGEST {
        sleep(AT_ITS_CHECKPOINT).await;
    }
}
