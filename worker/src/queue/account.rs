//! Takes jobs that are about an account itself, in slots that nothing else may have: while all others are busy,
//! while the process takes no more jobs for want of memory, while a suspect runs alone, and whatever the lanes say.
//! Only a worker that drains takes none.

use super::{
    Shared, answered,
    claimer::{self, BACKOFF, DEAF, Gone, Taken},
    held::Held,
    jitter,
};
use crate::{account::AccountJob, job::Assignment};
use paceline_shared::{
    Provider,
    db::{
        sync_jobs::{self, ClaimedAccount},
        sync_outcomes::{Lease, Outcome},
        sync_runs,
    },
};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

/// Slots beyond those that are configured. Such a job waits for the provider nearly all the time.
pub(super) const SLOTS: usize = 2;

/// Claims until the worker drains.
pub(super) async fn run(shared: Arc<Shared>, providers: Vec<Provider>, out: mpsc::Sender<Taken>) {
    if providers.is_empty() {
        return;
    }
    let slots = Arc::new(Semaphore::new(SLOTS));
    let mut backoff = *BACKOFF.start();
    while let Some(mut free) = free_slots(&slots, &shared.drain).await {
        let asked = i64::try_from(free.len()).unwrap_or(1);
        let claim = async {
            claimer::hand_back_unknown(&shared, sync_runs::Side::Accounts).await?;
            // Nobody hears the answer if this task is dropped meanwhile.
            answered(sync_jobs::claim_account(&shared.db, shared.config.worker, &providers, asked))
                .await
                .inspect_err(|_| shared.unsure_of_accounts.mark())
        };
        match claim.await {
            Ok(claimed) => {
                backoff = *BACKOFF.start();
                let all = claimed.len();
                for one in claimed {
                    let Some(slot) = free.pop() else { break };
                    if start(&shared, &out, one, slot).await.is_err() {
                        return;
                    }
                }
                if !free.is_empty() || all == 0 {
                    drop(free);
                    wait_for_work(&shared).await;
                }
            }
            Err(error) => {
                drop(free);
                claimer::pause(&shared, &mut backoff, &error).await;
            }
        }
    }
}

/// All slots that are free, once one is; `None` when the worker drains.
async fn free_slots(
    slots: &Arc<Semaphore>,
    drain: &CancellationToken,
) -> Option<Vec<OwnedSemaphorePermit>> {
    let first = drain.run_until_cancelled(slots.clone().acquire_owned()).await?.ok()?;
    let more = std::iter::from_fn(|| slots.clone().try_acquire_owned().ok());
    Some(std::iter::once(first).chain(more).collect())
}

async fn wait_for_work(shared: &Shared) {
    let often = if *shared.hears.borrow() { 1 } else { DEAF };
    tokio::select! {
        () = shared.wake_accounts.notified() => {}
        () = tokio::time::sleep(jitter(shared.config.poll_every / often)) => {}
        () = shared.drain.cancelled() => {}
    }
}

async fn start(
    shared: &Arc<Shared>,
    out: &mpsc::Sender<Taken>,
    claimed: ClaimedAccount,
    slot: OwnedSemaphorePermit,
) -> Result<(), Gone> {
    let lease = Lease { job: claimed.id, epoch: claimed.epoch, worker: shared.config.worker };
    metrics::counter!("paceline_jobs_claimed_total", "provider" => claimed.provider.as_str())
        .increment(1);
    match AccountJob::read(&claimed) {
        Ok(job) => {
            let held = Held::new(lease, claimed.attempt, claimed.max_retries)
                .within(shared.config.job_timeout)
                .kept();
            claimer::send(shared, out, Assignment::Account(job), held, slot).await
        }
        Err(failure) => {
            tracing::error!(job.id = %claimed.id, error = failure.message, "a job that cannot be read");
            shared.finisher.finish(lease, Outcome::Failed(failure)).await;
            Ok(())
        }
    }
}
