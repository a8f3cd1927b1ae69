//! A lease in the hands of this process: the right to write for a job, the way to ask the job to stop, and
//! what is known of it meanwhile.

use paceline_shared::{db::sync_outcomes::Lease, progress::Phase};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Why a job shall stop. The later one outranks the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stop {
    /// It need not.
    No = 0,
    /// Another process shall have it: this one ends, or needs to be empty for a while.
    HandBack = 1,
    /// The attempt took too long.
    TimedOut = 2,
    /// The process holds more memory than it may.
    OutOfMemory = 3,
    /// Its user wants it to.
    Cancelled = 4,
    /// Another worker has it, or may have it.
    LeaseLost = 5,
}

/// The lease as its job sees it. Clones are the same lease.
#[derive(Clone, Debug)]
pub struct Held {
    lease: Lease,
    attempt: i16,
    max_retries: i16,
    time_limit: Duration,
    kept: bool,
    since: Instant,
    state: Arc<State>,
    stop: CancellationToken,
    lost: CancellationToken,
}

#[derive(Debug)]
struct State {
    why: AtomicU8,
    phase: Mutex<Phase>,
    moved: AtomicBool,
}

impl Held {
    /// A lease just taken.
    pub(crate) fn new(lease: Lease, attempt: i16, max_retries: i16) -> Self {
        let state = State {
            why: AtomicU8::new(Stop::No as u8),
            phase: Mutex::new(Phase::Fetch),
            moved: AtomicBool::new(false),
        };
        Self {
            lease,
            attempt,
            max_retries,
            time_limit: Duration::MAX,
            kept: false,
            since: Instant::now(),
            state: Arc::new(state),
            stop: CancellationToken::new(),
            lost: CancellationToken::new(),
        }
    }

    /// The same, for an attempt that may take so long.
    pub(crate) fn within(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// The same, in a slot that is kept for its kind.
    pub(super) fn kept(self) -> Self {
        Self { kept: true, ..self }
    }

    /// Whether it is in a slot that is kept for its kind.
    pub(super) const fn is_kept(&self) -> bool {
        self.kept
    }

    /// How long the attempt may take.
    #[must_use]
    pub const fn time_limit(&self) -> Duration {
        self.time_limit
    }

    /// The same, of a job that goes on in `phase`.
    pub(crate) fn in_phase(self, phase: Phase) -> Self {
        *self.phase_cell() = phase;
        self
    }

    fn phase_cell(&self) -> MutexGuard<'_, Phase> {
        self.state.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lease itself.
    #[must_use]
    pub const fn lease(&self) -> Lease {
        self.lease
    }

    /// This attempt, from 1.
    #[must_use]
    pub const fn attempt(&self) -> i16 {
        self.attempt
    }

    /// Failed attempts that may be retried.
    #[must_use]
    pub const fn max_retries(&self) -> i16 {
        self.max_retries
    }

    /// When it was taken.
    pub(super) const fn since(&self) -> Instant {
        self.since
    }

    /// Where in the pipeline its job is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.phase_cell()
    }

    /// The job has committed a checkpoint and goes on in this phase.
    pub(crate) fn moved_to(&self, phase: Phase) {
        *self.phase_cell() = phase;
        self.state.moved.store(true, Ordering::Release);
    }

    /// Whether the checkpoint has moved since the lease was taken.
    pub(super) fn has_moved(&self) -> bool {
        self.state.moved.load(Ordering::Acquire)
    }

    /// Why the job shall stop; [`Stop::No`] while it need not. A job asks at its safe points.
    #[must_use]
    pub fn stop_asked(&self) -> Stop {
        match self.state.why.load(Ordering::Acquire) {
            0 => Stop::No,
            1 => Stop::HandBack,
            2 => Stop::TimedOut,
            3 => Stop::OutOfMemory,
            4 => Stop::Cancelled,
            _ => Stop::LeaseLost,
        }
    }

    /// Resolves when the job shall stop.
    pub async fn stopped(&self) -> Stop {
        self.stop.cancelled().await;
        self.stop_asked()
    }

    /// Resolves when the lease is lost, whatever was asked before.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    pub(crate) fn ask_stop(&self, why: Stop) {
        self.state.why.fetch_max(why as u8, Ordering::AcqRel);
        self.stop.cancel();
        if why == Stop::LeaseLost {
            self.lost.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paceline_shared::{JobId, WorkerId};

    #[test]
    fn a_lost_lease_outranks_every_other_reason_to_stop() {
        let lease = Lease { job: JobId::fresh(), epoch: 1, worker: WorkerId::fresh() };
        let held = Held::new(lease, 1, 0);
        assert_eq!(held.stop_asked(), Stop::No);
        for (asked, counts) in [
            (Stop::HandBack, Stop::HandBack),
            (Stop::OutOfMemory, Stop::OutOfMemory),
            (Stop::TimedOut, Stop::OutOfMemory),
            (Stop::Cancelled, Stop::Cancelled),
            (Stop::HandBack, Stop::Cancelled),
        ] {
            held.ask_stop(asked);
            assert_eq!(held.stop_asked(), counts);
        }
        held.ask_stop(Stop::LeaseLost);
        held.ask_stop(Stop::Cancelled);
        assert_eq!(held.stop_asked(), Stop::LeaseLost);
    }
}
