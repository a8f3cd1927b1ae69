//! A lease in the hands of this process: the right to write for a job, and the way to ask the job to stop.

use paceline_shared::db::sync_outcomes::Lease;
use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};
use tokio_util::sync::CancellationToken;

/// Why a job shall stop. The later one outranks the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Stop {
    /// It need not.
    No = 0,
    /// The process ends.
    Shutdown = 1,
    /// Its user wants it to.
    Cancelled = 2,
    /// Another worker has it, or may have it.
    LeaseLost = 3,
}

/// The lease as its job sees it. Clones are the same lease.
#[derive(Clone, Debug)]
pub struct Held {
    lease: Lease,
    attempt: i16,
    max_retries: i16,
    why: Arc<AtomicU8>,
    stop: CancellationToken,
    lost: CancellationToken,
}

impl Held {
    pub(crate) fn new(lease: Lease, attempt: i16, max_retries: i16) -> Self {
        Self {
            lease,
            attempt,
            max_retries,
            why: Arc::default(),
            stop: CancellationToken::new(),
            lost: CancellationToken::new(),
        }
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

    /// Why the job shall stop; [`Stop::No`] while it need not. A job asks at its safe points.
    #[must_use]
    pub fn stop_asked(&self) -> Stop {
        match self.why.load(Ordering::Acquire) {
            0 => Stop::No,
            1 => Stop::Shutdown,
            2 => Stop::Cancelled,
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
        self.why.fetch_max(why as u8, Ordering::AcqRel);
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
        held.ask_stop(Stop::Cancelled);
        held.ask_stop(Stop::Shutdown);
        assert_eq!(held.stop_asked(), Stop::Cancelled);
        held.ask_stop(Stop::LeaseLost);
        held.ask_stop(Stop::Cancelled);
        assert_eq!(held.stop_asked(), Stop::LeaseLost);
    }
}
