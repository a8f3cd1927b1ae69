//! Counts jobs for whoever wants to know how many there are: one worker at a time counts.

use super::{Shared, jitter};
use paceline_shared::db::{Error, job_counts};
use std::{sync::Arc, time::Duration};

/// Between two looks whether it is time to count.
const EVERY: Duration = Duration::from_secs(5);

pub(super) async fn run(shared: Arc<Shared>) {
    let counting = async {
        loop {
            if let Err(error) = Box::pin(turn(&shared)).await {
                tracing::warn!(reason = error.reason(), "jobs could not be counted");
            }
            tokio::time::sleep(jitter(EVERY)).await;
        }
    };
    shared.drain.run_until_cancelled(counting).await;
}

async fn turn(shared: &Shared) -> Result<(), Error> {
    let Some(turn) = job_counts::take_turn(&shared.jobs).await? else { return Ok(()) };
    if !job_counts::count(&shared.jobs, turn).await? {
        tracing::warn!("counting took longer than its turn; the figures are left as they were");
    }
    Ok(())
}
