//! Whether Postgres may know of leases of ours that are unknown here: after a claim of which no answer came.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A claim may commit long after we gave it up, and after a first look for what it brought: so long after it
/// began, none does any more.
const LATE: Duration = Duration::from_secs(27);

/// When a claim last went unanswered.
#[derive(Debug, Default)]
pub(super) struct Unsure(Mutex<Option<Instant>>);

/// A look at the leases that Postgres knows, which began now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look(Instant);

impl Unsure {
    fn marked(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A claim is under way whose answer may never be heard, or was not.
    pub(super) fn mark(&self) {
        self.mark_at(Instant::now());
    }

    fn mark_at(&self, now: Instant) {
        *self.marked() = Some(now);
    }

    /// Whether to look for unknown leases.
    pub(super) fn look(&self) -> Option<Look> {
        self.look_at(Instant::now())
    }

    fn look_at(&self, now: Instant) -> Option<Look> {
        self.marked().map(|_| Look(now))
    }

    /// All that this look found is given back. If no claim can come late any more, it was the last.
    pub(super) fn looked(&self, look: Look) {
        let mut marked = self.marked();
        if marked.is_some_and(|marked| marked + LATE <= look.0) {
            *marked = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_until_no_claim_can_come_late() {
        let (unsure, now) = (Unsure::default(), Instant::now());
        assert!(unsure.look_at(now).is_none());
        unsure.mark_at(now);
        unsure.looked(unsure.look_at(now).unwrap());
        let soon = now + LATE.saturating_sub(Duration::from_secs(1));
        unsure.looked(unsure.look_at(soon).expect("a claim may still come"));
        unsure.looked(unsure.look_at(now + LATE).expect("the last look"));
        assert!(unsure.look_at(now + LATE).is_none());
    }

    #[test]
    fn a_claim_that_goes_unanswered_meanwhile_is_looked_for_as_well() {
        let (unsure, now) = (Unsure::default(), Instant::now());
        unsure.mark_at(now);
        let look = unsure.look_at(now + LATE).unwrap();
        unsure.mark_at(now + LATE);
        unsure.looked(look);
        assert!(unsure.look_at(now + LATE).is_some());
    }
}
