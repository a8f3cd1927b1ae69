//! The apalis `Backend`: hands claimed jobs to the worker's loop and starts and ends the tasks around it.

use super::{
    Config, Shared, account, alone,
    claimer::{self, Taken},
    counts,
    held::Stop,
    keeper,
    layer::FinishLayer,
    listener, memory, operations, tidy,
};
use crate::job::Assignment;
use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral, future::BoxSyncFuture, queue::Queue},
    task::{Task, builder::TaskBuilder, task_id::TaskId},
    worker::context::WorkerContext,
};
use paceline_shared::{
    Provider,
    db::{sync_outcomes::Outcome, sync_runs::Side, workers},
};
use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{sync::mpsc, task::JoinSet};
use uuid::Uuid;

/// How long the end may wait for tasks that hang on a lost connection.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(super) struct PgBackend {
    shared: Arc<Shared>,
    taken: mpsc::Receiver<Taken>,
    /// Until the loop first asks.
    to_start: Option<mpsc::Sender<Taken>>,
    /// Those that we have an application at.
    applications: Vec<Provider>,
    tasks: JoinSet<()>,
    closing: Option<BoxSyncFuture<()>>,
}

impl PgBackend {
    pub(super) fn new(shared: Arc<Shared>, applications: Vec<Provider>) -> Self {
        // The claimers hold a slot for each job, so the channel never holds more than there are slots.
        let (sender, taken) = mpsc::channel(shared.config.slots + account::SLOTS);
        let (to_start, tasks) = (Some(sender), JoinSet::new());
        Self { shared, taken, to_start, applications, tasks, closing: None }
    }
}

impl Backend for PgBackend {
    type Task = Task<Assignment>;
    type Error = Infallible;

    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        if let Some(sender) = self.to_start.take() {
            let shared = &self.shared;
            self.tasks.spawn(alone::run(shared.clone(), sender.clone()));
            let applications = std::mem::take(&mut self.applications);
            self.tasks.spawn(account::run(shared.clone(), applications, sender.clone()));
            self.tasks.spawn(claimer::run(shared.clone(), sender));
            self.tasks.spawn(listener::run(shared.clone()));
            self.tasks.spawn(keeper::beat(shared.clone()));
            self.tasks.spawn(keeper::hand_back(shared.clone()));
            self.tasks.spawn(keeper::promote(shared.clone()));
            self.tasks.spawn(keeper::sweep(shared.clone()));
            self.tasks.spawn(keeper::report_stuck(shared.clone()));
            self.tasks.spawn(keeper::ask_cancels(shared.clone()));
            self.tasks.spawn(memory::watch(shared.clone()));
            self.tasks.spawn(operations::run(shared.clone()));
            self.tasks.spawn(counts::run(shared.clone()));
            self.tasks.spawn(tidy::run(shared.clone()));
            worker.heartbeat(cx);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        self.taken.poll_recv(cx).map(|taken| {
            taken.map(|Taken { work, held }| {
                Ok(TaskBuilder::new(work)
                    .task_id(TaskId::from_uuid(held.lease().job.0))
                    .queue(Queue::from("syncs"))
                    .data(held)
                    .build())
            })
        })
    }

    /// Called once nothing is in flight: gives back what was claimed and never started, then ends the tasks.
    fn poll_close(
        &mut self,
        cx: &mut Context<'_>,
        _: &WorkerContext,
    ) -> Poll<Result<(), Infallible>> {
        let closing = self.closing.get_or_insert_with(|| {
            let (_, nothing) = mpsc::channel(1);
            let taken = std::mem::replace(&mut self.taken, nothing);
            let tasks = std::mem::take(&mut self.tasks);
            BoxSyncFuture::new(Box::pin(close(self.shared.clone(), taken, tasks)))
        });
        closing.poll_unpin(cx).map(|()| Ok(()))
    }
}

async fn close(shared: Arc<Shared>, mut taken: mpsc::Receiver<Taken>, mut tasks: JoinSet<()>) {
    shared.drain.cancel();
    // Ends when the claimers are through: a claim that was under way still arrives and is given back.
    let give_back = async {
        while let Some(Taken { held, .. }) = taken.recv().await {
            let _guard = shared.registry.guard(&held);
            held.ask_stop(Stop::HandBack);
            shared.finisher.finish(held.lease(), Outcome::Released).await;
        }
        claimer::hand_back_unknown(&shared, Side::Syncs).await?;
        claimer::hand_back_unknown(&shared, Side::Accounts).await?;
        workers::stop(&shared.db, shared.config.worker).await
    };
    let said = tokio::time::timeout(LAST_WORDS, give_back).await;
    if !matches!(said, Ok(Ok(()))) {
        tracing::warn!("could not say goodbye to Postgres; what is left will be reclaimed");
    }
    shared.idle.cancel();
    let joined = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_WORDS, joined).await.is_err() {
        tracing::warn!("ending tasks that did not end by themselves");
    }
    tasks.abort_all();
}

impl BackendConfig for PgBackend {
    type Args = Assignment;
    type Id = Uuid;
    type Kind = Ephemeral;
    type Config = Config;
    type Layer = FinishLayer;

    fn config(&self) -> &Config {
        &self.shared.config
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> FinishLayer {
        FinishLayer::new(self.shared.clone())
    }
}
