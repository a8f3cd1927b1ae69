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

mod account;
mod alone;
mod backend;
mod claimer;
mod config;
mod counts;
mod finisher;
mod held;
mod keeper;
mod layer;
mod listener;
mod memory;
mod operations;
mod registry;
mod sight;
mod tidy;
mod unsure;

pub use config::{Config, Misfit};
pub use held::{Held, Stop};
pub use memory::detected_limit;
pub use tidy::Retention;

use crate::{
    account as account_jobs, attempt,
    job::{App, Assignment, Work},
    noop, pipeline,
};
use apalis::layers::WorkerBuilderExt as _;
use apalis::prelude::*;
use backend::PgBackend;
use finisher::Finisher;
use paceline_shared::{
    JobId,
    db::{Db, answered},
    notify::Notifier,
};
use registry::Registry;
use sight::Beats;
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Mutex, Notify, Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument as _;
use unsure::Unsure;

/// Why the queue did not run, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Configuration.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// Nothing ran, and there was no room for a job: the limit is too low, or the memory is lost.
    #[error(
        "this process occupied nearly all the memory that it may, without any job; start it anew"
    )]
    Memory,
    /// apalis ended without being asked.
    #[error("the job loop ended by itself")]
    Ended(#[source] WorkerError),
}

/// What the tasks of one worker share.
#[derive(Debug)]
struct Shared {
    config: Config,
    db: Db,
    /// For what takes longer: claims and beats must not wait for it.
    jobs: Db,
    listening: Db,
    notifier: Notifier,
    slots: Arc<Semaphore>,
    registry: Arc<Registry>,
    finisher: Finisher,
    /// There may be work.
    wake: Notify,
    /// There may be work for an account: the same words, heard by a claimer of its own.
    wake_accounts: Notify,
    /// There may be a bulk operation to do.
    operations: Notify,
    /// Held by whoever may claim.
    gate: Mutex<()>,
    /// A claim went unanswered: leases of ours may be unknown here.
    unsure: Unsure,
    /// The same of those that are about an account.
    unsure_of_accounts: Unsure,
    /// How well Postgres heard us.
    beats: Beats,
    /// Whether notifications arrive; while they do not, the tasks poll.
    hears: watch::Sender<bool>,
    /// What the process occupied when it last looked.
    rss_bytes: AtomicI64,
    /// Near its memory limit: takes no jobs.
    full: AtomicBool,
    /// It could not come away from its memory limit.
    hopeless: AtomicBool,
    /// Stop claiming; hand back what runs.
    drain: CancellationToken,
    /// Nothing is in flight any more: stop beating and acknowledging.
    idle: CancellationToken,
}

impl Shared {
    /// There may be work.
    fn wake(&self) {
        self.wake.notify_one();
        self.wake_accounts.notify_one();
    }

    /// The job's user wants it to stop.
    fn cancel(&self, job: JobId) {
        if let Some(held) = self.registry.of(job) {
            held.ask_stop(Stop::Cancelled);
        }
    }
}

/// Runs jobs until `drain` is cancelled and all of them are handed back or finished. `slots`: as many as the
/// configuration says, all free.
pub async fn run(
    config: Config,
    app: App,
    slots: Arc<Semaphore>,
    drain: CancellationToken,
) -> Result<(), Error> {
    config.check()?;
    let idle = CancellationToken::new();
    let name = config.worker.to_string();
    let shared = Arc::new(Shared {
        slots,
        registry: Arc::default(),
        finisher: Finisher::start(
            app.control.clone(),
            app.notifier.clone(),
            config.lease,
            drain.clone(),
            idle.clone(),
        ),
        wake: Notify::new(),
        wake_accounts: Notify::new(),
        operations: Notify::new(),
        jobs: app.db.clone(),
        notifier: app.notifier.clone(),
        gate: Mutex::new(()),
        unsure: Unsure::default(),
        unsure_of_accounts: Unsure::default(),
        beats: Beats::new(config.beat_every, config.lease),
        hears: watch::Sender::new(false),
        rss_bytes: AtomicI64::new(0),
        full: AtomicBool::new(false),
        hopeless: AtomicBool::new(false),
        db: app.control.clone(),
        listening: app.listening.clone(),
        drain: drain.clone(),
        idle,
        config,
    });
    let worker = WorkerBuilder::new(name.as_str())
        .backend(PgBackend::new(shared.clone(), app.providers.providers().collect()))
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
        _ if shared.hopeless.load(Ordering::Acquire) => Err(Error::Memory),
        Err(error) if !drain.is_cancelled() => Err(Error::Ended(error)),
        Err(error) => {
            tracing::warn!(%error, "the job loop ended with an error while draining");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// The handler.
async fn handle(work: Assignment, held: Data<Held>, app: Data<App>) -> Result<(), attempt::Error> {
    match work {
        Assignment::Account(job) => account_jobs::run(&app, &job, &held).await,
        Assignment::Job(job) => match job.work {
            Work::Sync => pipeline::run(&app, &job, &held).await,
            Work::Noop(time) => noop::run(time, &held).await,
        },
    }
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
