//! The job that does nothing: a fleet is measured and checked with it, for it takes the way of every job
//! (enqueue, claim, lease, acknowledgement, history) and no provider is asked.

use crate::{attempt::Error, queue::Held};
use std::time::Duration;

/// Keeps its slot for `length`, and stops when it is asked to.
pub(crate) async fn run(length: Duration, held: &Held) -> Result<(), Error> {
    if length.is_zero() {
        return Ok(());
    }
    tokio::select! {
        biased;
        _ = held.stopped() => Err(Error::Stopped),
        () = tokio::time::sleep(length) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Stop;
    use paceline_shared::{JobId, WorkerId, db::sync_outcomes::Lease};

    #[tokio::test]
    async fn a_job_that_does_nothing_stops_as_soon_as_it_is_asked_to() {
        let lease = Lease { job: JobId::fresh(), epoch: 1, worker: WorkerId::fresh() };
        let held = Held::new(lease, 1, 0);
        assert!(run(Duration::ZERO, &held).await.is_ok());
        held.ask_stop(Stop::Cancelled);
        assert!(matches!(run(Duration::from_hours(1), &held).await, Err(Error::Stopped)));
    }
}
