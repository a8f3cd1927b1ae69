//! Which leases this process holds: the keeper beats for them, the listener cancels them, the claimer
//! makes sure that no job is in it twice.

use super::held::{Held, Stop};
use paceline_shared::JobId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, OwnedSemaphorePermit, futures::Notified};

#[derive(Debug)]
struct Entry {
    held: Held,
    /// Gives the slot back when the entry goes.
    _slot: OwnedSemaphorePermit,
}

/// The leases of one process, by job.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Mutex<HashMap<JobId, Entry>>,
    removed: Notify,
}

impl Registry {
    fn entries(&self) -> MutexGuard<'_, HashMap<JobId, Entry>> {
        // No code panics under this lock; a map that another thread left is whole.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a lease. An older one of the same job is asked to stop and waited for.
    pub(super) async fn add(&self, held: Held, slot: OwnedSemaphorePermit) {
        loop {
            let removed = self.removed.notified();
            tokio::pin!(removed);
            removed.as_mut().enable();
            let older = self.entries().get(&held.lease().job).map(|entry| entry.held.clone());
            match older {
                None => break,
                Some(older) => older.ask_stop(Stop::LeaseLost),
            }
            removed.await;
        }
        self.entries().insert(held.lease().job, Entry { held, _slot: slot });
    }

    /// The leases held now.
    pub(super) fn held(&self) -> Vec<Held> {
        self.entries().values().map(|entry| entry.held.clone()).collect()
    }

    /// The lease of a job.
    pub(super) fn of(&self, job: JobId) -> Option<Held> {
        self.entries().get(&job).map(|entry| entry.held.clone())
    }

    /// Resolves when there is none any more, but for those in kept slots.
    pub(super) async fn emptied(&self) {
        loop {
            let removed = self.removed.notified();
            tokio::pin!(removed);
            removed.as_mut().enable();
            if self.len() == 0 {
                return;
            }
            removed.await;
        }
    }

    /// Resolves when the next one goes.
    pub(super) fn removed(&self) -> Notified<'_> {
        self.removed.notified()
    }

    /// How many there are, but for those in kept slots.
    pub(super) fn len(&self) -> usize {
        self.entries().values().filter(|entry| !entry.held.is_kept()).count()
    }

    /// A guard that removes the lease when it is dropped, however that comes: beats cease, and if nobody
    /// acknowledged the job its lease runs out.
    pub(super) fn guard(self: &Arc<Self>, held: &Held) -> Guard {
        Guard { registry: self.clone(), held: held.clone() }
    }

    fn remove(&self, held: &Held) {
        let mut entries = self.entries();
        if entries.get(&held.lease().job).is_some_and(|entry| entry.held.lease() == held.lease()) {
            entries.remove(&held.lease().job);
        }
        drop(entries);
        self.removed.notify_waiters();
    }
}

/// See [`Registry::guard`].
#[derive(Debug)]
pub(super) struct Guard {
    registry: Arc<Registry>,
    held: Held,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.registry.remove(&self.held);
    }
}
