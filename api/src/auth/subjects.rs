//! Remembers which user a subject is, so that a request need not ask Postgres. Bounded: of two
//! generations the older one is dropped when the younger is full.

use paceline_shared::UserId;
use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, PoisonError},
};

const GENERATION: usize = 10_000;

#[derive(Default)]
struct Generations {
    young: HashMap<String, UserId>,
    old: HashMap<String, UserId>,
}

/// The memory. A user's id never changes, so nothing in it goes stale.
#[derive(Default)]
pub(crate) struct Subjects(Mutex<Generations>);

impl Subjects {
    pub(crate) fn find(&self, subject: &str) -> Option<UserId> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(user) = known.young.get(subject) {
            return Some(*user);
        }
        let (subject, user) = known.old.remove_entry(subject)?;
        known.put(subject, user);
        Some(user)
    }

    pub(crate) fn remember(&self, subject: String, user: UserId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(subject, user);
    }
}

impl Generations {
    fn put(&mut self, subject: String, user: UserId) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(subject, user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_keeps_calling_is_remembered_and_the_memory_stays_bounded() {
        let subjects = Subjects::default();
        let regular = UserId::fresh();
        subjects.remember("regular".to_owned(), regular);
        for n in 0..GENERATION * 5 {
            subjects.remember(format!("passer-by {n}"), UserId::fresh());
            assert_eq!(subjects.find("regular"), Some(regular));
        }
        assert_eq!(subjects.find("passer-by 0"), None);
        let known = subjects.0.lock().unwrap();
        assert!(known.young.len() + known.old.len() <= 2 * GENERATION);
    }
}
