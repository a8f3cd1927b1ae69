//! The queue as a worker sees it: our own apalis backend over `sync_jobs`, and the tasks that keep its
//! leases. apalis is named in this module and nowhere else.
//!
//! Ground rules, from apalis-core 1.0.0:
//! - an `Err` out of `poll_ready` or `poll_next` ends the worker and drops every job in flight, so the
//!   backend never returns one;
//! - `poll_ready` is not called while the worker drains, so claims, beats and acknowledgements live in
//!   tasks of their own;
//! - what a task's context says after a panic is wrong, so the outcome is read from the `Result`, in the
//!   backend's own outermost layer, which resolves only after the fenced acknowledgement has committed.

mod backend;
mod claimer;
mod finisher;
mod held;
mod keeper;
mod layer;
mod listener;
mod registry;
mod tidy;

pub use held::{Held, Stop};

use crate::{
    attempt,
    job::{App, Job},
    pipeline,
};
use apalis::layers::WorkerBuilderExt as _;
use apalis::prelude::*;
use backend::PgBackend;
use finisher::Finisher;
use paceline_shared::{
    Provider, WorkerId,
    db::{Db, fenced::IDLE_LIMIT},
};
use registry::Registry;
use std::{future::Future, sync::Arc, time::Duration};
use tokio::sync::{Notify, Semaphore};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument as _;

/// How long a lost worker may delay its jobs.
const RECLAIM_BOUND: Duration = Duration::from_secs(20);

/// Time limits and sizes of a worker's queue.
#[derive(Clone, Debug)]
pub struct Config {
    /// This life of this process.
    pub worker: WorkerId,
    /// Jobs at a time.
    pub slots: usize,
    /// Whose jobs it takes.
    pub providers: Vec<Provider>,
    /// How often it looks for work that nobody announced.
    pub poll_every: Duration,
    /// How often it renews its leases.
    pub beat_every: Duration,
    /// How long a lease holds without a beat.
    pub lease: Duration,
    /// How often it looks for leases that ran out.
    pub sweep_every: Duration,
    /// How long a job that shall stop may take to its next safe point.
    pub grace: Duration,
    /// The pause after a first failed attempt; each further one doubles it.
    pub retry_base: Duration,
}

impl Config {
    /// The usual limits.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self {
            worker: WorkerId::fresh(),
            slots,
            providers: Provider::ALL.into_iter().filter(|p| !p.job_types().is_empty()).collect(),
            poll_every: Duration::from_secs(1),
            beat_every: Duration::from_secs(4),
            lease: Duration::from_secs(13),
            sweep_every: Duration::from_secs(2),
            grace: Duration::from_secs(5),
            retry_base: Duration::from_secs(5),
        }
    }

    /// Whether a lost worker's jobs run again within 20 s, also when it froze inside a transaction.
    fn check(&self) -> Result<(), Error> {
        let bound = self.lease + IDLE_LIMIT + self.sweep_every;
        if bound > RECLAIM_BOUND {
            return Err(Error::Limits(bound));
        }
        if self.beat_every * 3 > self.lease {
            return Err(Error::Beats);
        }
        if self.slots == 0 {
            return Err(Error::NoSlots);
        }
        Ok(())
    }
}

/// Why the queue did not run, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Configuration.
    #[error("lease + idle limit + sweep are {0:?} and must be at most 20 s")]
    Limits(Duration),
    /// Configuration.
    #[error("a lease must hold for three beats at least")]
    Beats,
    /// Configuration.
    #[error("a worker needs at least one slot")]
    NoSlots,
    /// apalis ended without being asked.
    #[error("the job loop ended by itself")]
    Ended(#[source] WorkerError),
}

/// What the tasks of one worker share.
#[derive(Debug)]
struct Shared {
    config: Config,
    db: Db,
    listening: Db,
    slots: Arc<Semaphore>,
    registry: Arc<Registry>,
    finisher: Finisher,
    /// There may be work.
    wake: Notify,
    /// Stop claiming; hand back what runs.
    drain: CancellationToken,
    /// Nothing is in flight any more: stop beating and acknowledging.
    idle: CancellationToken,
}

/// Runs jobs until `drain` is cancelled and all of them are handed back or finished.
pub async fn run(config: Config, app: App, drain: CancellationToken) -> Result<(), Error> {
    config.check()?;
    let idle = CancellationToken::new();
    let name = config.worker.to_string();
    let shared = Arc::new(Shared {
        slots: Arc::new(Semaphore::new(config.slots)),
        registry: Arc::default(),
        finisher: Finisher::start(
            app.control.clone(),
            app.notifier.clone(),
            config.lease,
            drain.clone(),
            idle.clone(),
        ),
        wake: Notify::new(),
        db: app.control.clone(),
        listening: app.listening.clone(),
        drain: drain.clone(),
        idle,
        config,
    });
    let worker = WorkerBuilder::new(name.as_str())
        .backend(PgBackend::new(shared))
        .data(app)
        .parallelize(spawn)
        .catch_panic()
        .build(handle);
    let asked = drain.clone();
    let ended = worker
        .run_until(async move {
            asked.cancelled().await;
            Ok::<_, WorkerError>(())
        })
        .await;
    match ended {
        Err(error) if !drain.is_cancelled() => Err(Error::Ended(error)),
        Err(error) => {
            tracing::warn!(%error, "the job loop ended with an error while draining");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// The handler.
async fn handle(job: Job, held: Data<Held>, app: Data<App>) -> Result<(), attempt::Error> {
    pipeline::run(&app, &job, &held).await
}

/// Each job on a task of its own, in its span, aborted rather than detached when it is dropped.
fn spawn<F>(job: F) -> AbortOnDropHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    AbortOnDropHandle::new(tokio::spawn(job.in_current_span()))
}

/// `around`, a fifth more or less, so that processes do not march in step.
fn jitter(around: Duration) -> Duration {
    around.mul_f64(0.8 + 0.4 * fastrand::f64())
}
