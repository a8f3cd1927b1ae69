//! Bulk operations of staff, done batch by batch. Every worker looks for one; of several that look, each
//! takes another operation or none, and whoever dies, another goes on at the next batch.

use super::{Shared, jitter};
use paceline_shared::{
    db::{
        Error,
        admin_jobs::SearchError,
        admin_operations::{self, Step, StepError},
    },
    notify,
};
use std::{ops::RangeInclusive, sync::Arc, time::Duration};
use uuid::Uuid;

/// Jobs a batch; halved while batches fail, doubled while they do not.
const BATCH: RangeInclusive<i64> = 50..=2_000;
/// Between two looks that nobody asked for.
const EVERY: Duration = Duration::from_secs(1);
/// An operation whose batches failed so often in a row has failed.
const PATIENCE: u32 = 8;

/// How the batches go.
struct Pace {
    batch: i64,
    failing: Option<(Uuid, u32)>,
}

pub(super) async fn run(shared: Arc<Shared>) {
    let looking = async {
        let mut pace = Pace { batch: *BATCH.end(), failing: None };
        loop {
            tokio::select! {
                () = shared.operations.notified() => {}
                () = tokio::time::sleep(jitter(EVERY)) => {}
            }
            while Box::pin(one(&shared, &mut pace)).await {}
        }
    };
    shared.drain.run_until_cancelled(looking).await;
}

/// A batch; true: there may be another one.
async fn one(shared: &Shared, pace: &mut Pace) -> bool {
    match admin_operations::step(&shared.jobs, pace.batch).await {
        Ok(step) if step.operation.is_none() => false,
        Ok(step) => {
            pace.failing = None;
            pace.batch = (pace.batch * 2).min(*BATCH.end());
            tell(shared, &step);
            true
        }
        Err(StepError { operation, error }) => {
            pace.batch = (pace.batch / 2).max(*BATCH.start());
            let reason = match &error {
                SearchError::TooBroad => error.to_string(),
                SearchError::Db(error) => error.reason(),
            };
            tracing::warn!(reason, operation = ?operation, "a batch of a bulk operation failed, will try again");
            if let Some(operation) = operation {
                note(shared, pace, operation, &error, &reason).await;
            }
            false
        }
    }
}

/// Says who has something to do or to see now.
fn tell(shared: &Shared, step: &Step) {
    metrics::counter!("paceline_bulk_jobs_total").increment(step.jobs as u64);
    for provider in &step.queued {
        shared.notifier.say(notify::JOBS, provider);
    }
    for job in &step.asked_to_stop {
        shared.notifier.say(notify::CANCEL, job);
    }
    for job in &step.changed {
        shared.notifier.say(notify::LIVE, job);
    }
    if !step.queued.is_empty() {
        shared.wake.notify_one();
    }
    if let (Some(operation), Some(state)) = (step.operation, step.ended) {
        tracing::info!(%operation, ?state, "bulk operation ended");
    }
}

async fn note(
    shared: &Shared,
    pace: &mut Pace,
    operation: Uuid,
    error: &SearchError,
    reason: &str,
) {
    // Nothing can be written down now, and it is no fault of the operation.
    if matches!(error, SearchError::Db(Error::Unreachable(_))) {
        return;
    }
    let times = match pace.failing {
        Some((last, times)) if last == operation => times + 1,
        _ => 1,
    };
    pace.failing = Some((operation, times));
    let give_up = times >= PATIENCE;
    if give_up {
        tracing::error!(%operation, reason, "bulk operation given up");
    }
    if let Err(error) = admin_operations::note(&shared.jobs, operation, reason, give_up).await {
        tracing::warn!(reason = error.reason(), "could not write down why a batch failed");
    }
}
