//! One user's summaries of one type, and every upload of each.
//!
//! A summary that was uploaded again has several uploads: a pull of the window of each finds what was
//! known then. Must not know what a summary says, nor permissions or HTTP.

use std::collections::HashMap;

/// A summary before it was settled; only some have it.
pub(super) const TENTATIVE: u32 = 0;
/// A summary as its device knew it in the end.
pub(super) const SETTLED: u32 = 1;

/// A summary, without what it says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// When it began, Unix seconds; an edit may move it.
    pub(super) at: i64,
    /// When it began as drawn.
    pub(super) drawn: i64,
    /// Part of its id: its date's midnight in UTC, or when it began.
    pub(super) key: i64,
    /// Number in the table of places.
    pub(super) place: u8,
    /// Draws differ by it.
    pub(super) number: u32,
    /// Made after the user was.
    pub(super) added: bool,
    pub(super) deleted: bool,
}

/// A version of a summary, at the second in which it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Upload {
    pub(super) at: i64,
    /// Position of its slot.
    pub(super) slot: usize,
    pub(super) version: u32,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    slots: Vec<Slot>,
    /// By time, and of one second in order of arrival.
    uploads: Vec<Upload>,
    /// What edits made of a slot, oldest first: versions from 2 on.
    edits: HashMap<usize, Vec<String>>,
    /// Ranges that were asked to be backfilled: borders in order, none touching the next.
    asked: Vec<(i64, i64)>,
}

impl Store {
    /// Puts a summary there; its uploads are told by `upload`.
    pub(super) fn add(&mut self, slot: Slot) -> usize {
        self.slots.push(slot);
        self.slots.len() - 1
    }

    pub(super) fn slot(&self, slot: usize) -> Slot {
        self.slots[slot]
    }

    /// Positions of what is there, deleted ones excluded.
    pub(super) fn present(&self) -> impl Iterator<Item = usize> {
        (0..self.slots.len()).filter(|&slot| !self.slots[slot].deleted)
    }

    /// Positions of what began in `from` (included) to `to` (excluded), oldest first.
    pub(super) fn began(&self, from: i64, to: i64) -> Vec<usize> {
        let mut found: Vec<usize> =
            self.present().filter(|&slot| (from..to).contains(&self.slots[slot].at)).collect();
        found.sort_by_key(|&slot| (self.slots[slot].at, slot));
        found
    }

    pub(super) fn count(&self, of: impl Fn(&Slot) -> bool) -> usize {
        self.slots.iter().filter(|slot| of(slot)).count()
    }

    /// The newest version of a slot.
    pub(super) fn latest(&self, slot: usize) -> u32 {
        let edits = self.edits.get(&slot).map_or(0, Vec::len);
        SETTLED + u32::try_from(edits).unwrap_or(0)
    }

    /// The text of an edited version; `None` when it is drawn.
    pub(super) fn edited(&self, slot: usize, version: u32) -> Option<&str> {
        let nth = usize::try_from(version.checked_sub(SETTLED + 1)?).ok()?;
        self.edits.get(&slot)?.get(nth).map(String::as_str)
    }

    /// A new version; `at`: when it began now. It is uploaded separately.
    pub(super) fn edit(&mut self, slot: usize, text: String, at: Option<i64>) {
        self.edits.entry(slot).or_default().push(text);
        if let Some(at) = at {
            self.slots[slot].at = at;
        }
    }

    pub(super) fn delete(&mut self, slot: usize) {
        self.slots[slot].deleted = true;
        self.edits.remove(&slot);
        self.uploads.retain(|upload| upload.slot != slot);
    }

    pub(super) fn upload(&mut self, upload: Upload) {
        let place = self.uploads.partition_point(|other| other.at <= upload.at);
        self.uploads.insert(place, upload);
    }

    /// As many uploads at once, of one second.
    pub(super) fn upload_all(&mut self, uploads: impl Iterator<Item = Upload>) {
        self.uploads.extend(uploads);
        // Stable: what arrived first stays first.
        self.uploads.sort_by_key(|upload| upload.at);
    }

    /// Uploads from `from` to `to`, both included, oldest first.
    pub(super) fn uploaded(&self, from: i64, to: i64) -> &[Upload] {
        let first = self.uploads.partition_point(|upload| upload.at < from);
        let end = self.uploads.partition_point(|upload| upload.at <= to);
        self.uploads.get(first..end).unwrap_or_default()
    }

    pub(super) fn uploads(&self) -> usize {
        self.uploads.len()
    }

    /// Notes that a range (end excluded) is to be backfilled; false when all of it was before.
    pub(super) fn ask(&mut self, from: i64, to: i64) -> bool {
        if self.asked.iter().any(|&(first, end)| first <= from && to <= end) {
            return false;
        }
        let (mut first, mut end) = (from, to);
        self.asked.retain(|&(a, b)| {
            let apart = b < first || end < a;
            if !apart {
                (first, end) = (first.min(a), end.max(b));
            }
            apart
        });
        self.asked.push((first, end));
        self.asked.sort_unstable();
        true
    }

    /// As if nothing had been asked to be backfilled.
    pub(super) fn forget_asked(&mut self) {
        self.asked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOT: Slot =
        Slot { at: 100, drawn: 100, key: 100, place: 0, number: 0, added: false, deleted: false };

    #[test]
    fn a_window_holds_every_upload_of_its_seconds_with_the_version_of_then() {
        let mut store = Store::default();
        let slot = store.add(SLOT);
        store.upload(Upload { at: 30, slot, version: SETTLED });
        store.upload(Upload { at: 10, slot, version: TENTATIVE });
        store.edit(slot, "{}".to_owned(), Some(90));
        store.upload(Upload { at: 50, slot, version: store.latest(slot) });
        let versions = |from, to| -> Vec<u32> {
            store.uploaded(from, to).iter().map(|upload| upload.version).collect()
        };
        assert_eq!(versions(10, 30), [TENTATIVE, SETTLED]);
        assert_eq!(versions(11, 29), [0; 0]);
        assert_eq!(versions(30, 50), [SETTLED, 2]);
        assert_eq!((store.edited(slot, 2), store.edited(slot, SETTLED)), (Some("{}"), None));
        assert_eq!((store.began(90, 91), store.began(91, 200)), (vec![slot], vec![]));
    }

    #[test]
    fn a_deleted_summary_vanishes_from_every_window() {
        let mut store = Store::default();
        let slot = store.add(SLOT);
        store.upload(Upload { at: 10, slot, version: SETTLED });
        store.delete(slot);
        assert!(store.uploaded(0, 100).is_empty());
        assert_eq!(store.present().count(), 0);
    }

    #[test]
    fn a_range_is_asked_for_once_however_it_was_cut() {
        let mut store = Store::default();
        assert!(store.ask(10, 20));
        assert!(!store.ask(10, 20));
        assert!(!store.ask(12, 15));
        assert!(store.ask(15, 25), "part of it is new");
        assert!(store.ask(40, 50));
        assert!(!store.ask(10, 25));
        assert!(store.ask(25, 40));
        assert!(!store.ask(10, 50), "all parts together cover it");
        store.forget_asked();
        assert!(store.ask(10, 20));
    }
}
