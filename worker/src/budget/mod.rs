//! What a provider allows, as the calls of this process see it: budgets, breaker and pace, a gate before each
//! try of a call.
//!
//! What is decided for the fleet is in Postgres; here is a small stock of reserved calls, so that a call
//! need not ask there, and a task that keeps the books.
//!
//! It knows no provider: which windows there are, which calls count in them and what an answer's headers
//! tell of them is said by the provider's file, in [`Terms`] and [`Call`].

mod block;
mod breaker;
mod gate;
mod keeper;
mod limits;
mod meter;
mod pool;
mod tally;
mod terms;

pub use limits::{Limit, NoLimit, Tier};
pub use meter::Meter;
pub use terms::{Call, Reading, Terms};

use meter::Inner;
use paceline_shared::{
    WorkerId,
    db::{Db, breakers},
    notify::Notifier,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// Postgres may be away when a process ends; then the reservations wait for others to lift them.
const LAST_ACCOUNT: Duration = Duration::from_secs(2);

/// What the meters of a process share.
#[derive(Debug)]
struct Process {
    db: Db,
    worker: WorkerId,
    notifier: Notifier,
    rules: breakers::Rules,
    /// No try of a call takes longer.
    call_lasts: Duration,
    /// No more jobs are taken: somebody else must find out whether a provider works.
    drain: CancellationToken,
    /// While none is free this process cannot take the job that would find out.
    slots: Arc<Semaphore>,
    /// Something must be told at once.
    urgent: Notify,
    meters: Mutex<Vec<Arc<Inner>>>,
}

impl Process {
    /// Whether it could take a job now, to find out whether a provider works.
    fn has_room(&self) -> bool {
        !self.drain.is_cancelled() && self.slots.available_permits() > 0
    }

    fn meters(&self) -> Vec<Arc<Inner>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The books of this process, kept by a task until [`Books::close`].
#[derive(Debug)]
pub struct Books {
    process: Arc<Process>,
    end: CancellationToken,
    keeper: AbortOnDropHandle<()>,
}

impl Books {
    /// Opens the books. `call_lasts`: no try of a call takes longer than this. `slots`: those of the process for jobs.
    #[must_use]
    pub fn open(
        db: Db,
        worker: WorkerId,
        notifier: Notifier,
        rules: breakers::Rules,
        call_lasts: Duration,
        drain: CancellationToken,
        slots: Arc<Semaphore>,
    ) -> Self {
        let process = Arc::new(Process {
            db,
            worker,
            notifier,
            rules,
            call_lasts,
            drain,
            slots,
            urgent: Notify::new(),
            meters: Mutex::default(),
        });
        let end = CancellationToken::new();
        let keeper =
            AbortOnDropHandle::new(tokio::spawn(keeper::run(process.clone(), end.clone())));
        Self { process, end, keeper }
    }

    /// A provider's meter.
    #[must_use]
    pub fn meter(&self, terms: Terms) -> Meter {
        let inner = Arc::new(Inner::new(terms, self.process.clone()));
        let mut meters = self.process.meters.lock().unwrap_or_else(PoisonError::into_inner);
        meters.push(inner.clone());
        Meter::new(inner)
    }

    /// Accounts for everything and gives back what is reserved, once no more calls are made.
    pub async fn close(self) {
        self.end.cancel();
        if tokio::time::timeout(LAST_ACCOUNT, self.keeper).await.is_err() {
            tracing::warn!("reserved calls were not given back: Postgres did not answer in time");
        }
    }
}
