//! The entries of one log, in order, with additions, edits and deletions.
//!
//! Must not know what an entry looks like in JSON.

use std::collections::BTreeMap;

use super::record::Record;

/// A log: entries by number (never used twice), and their order.
#[derive(Debug, Default)]
pub(super) struct Logbook {
    records: BTreeMap<u32, Record>,
    /// Numbers, by time on the wall and then by number.
    order: Vec<u32>,
    next: u32,
    pub(super) edited: u64,
    pub(super) deleted: u64,
}

impl Logbook {
    pub(super) fn new(records: Vec<Record>) -> Self {
        let records: BTreeMap<u32, Record> = (0..).zip(records).collect();
        let mut order: Vec<u32> = records.keys().copied().collect();
        order.sort_by_key(|number| (records[number].wall, *number));
        let next = u32::try_from(records.len()).unwrap_or(u32::MAX);
        Self { records, order, next, edited: 0, deleted: 0 }
    }

    /// The number that the next added entry gets.
    pub(super) const fn next(&self) -> u32 {
        self.next
    }

    pub(super) fn get(&self, number: u32) -> Option<&Record> {
        self.records.get(&number)
    }

    /// What lies from wall time `from` (included) to `to` (excluded), oldest first.
    pub(super) fn range(&self, from: Option<i64>, to: Option<i64>) -> &[u32] {
        let place = |wall: i64| self.order.partition_point(|number| self.wall(*number) < wall);
        let from = from.map_or(0, place);
        let to = to.map_or(self.order.len(), place);
        self.order.get(from..to).unwrap_or_default()
    }

    /// Every entry, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Record> {
        self.order.iter().filter_map(|number| self.records.get(number))
    }

    pub(super) fn add(&mut self, record: Record) -> u32 {
        let number = self.next;
        self.next = number.saturating_add(1);
        self.records.insert(number, record);
        self.place(number);
        number
    }

    /// Replaces an entry's text; `wall`: where that moves it.
    pub(super) fn edit(&mut self, number: u32, text: String, wall: Option<i64>) {
        if let Some(record) = self.records.get_mut(&number) {
            record.edit = Some(text);
            record.wall = wall.unwrap_or(record.wall);
            self.edited += 1;
            self.order.retain(|&other| other != number);
            self.place(number);
        }
    }

    pub(super) fn delete(&mut self, number: u32) {
        if self.records.remove(&number).is_some() {
            self.order.retain(|&other| other != number);
            self.deleted += 1;
        }
    }

    fn wall(&self, number: u32) -> i64 {
        self.records.get(&number).map_or(0, |record| record.wall)
    }

    fn place(&mut self, number: u32) {
        let key = (self.wall(number), number);
        let at = self.order.partition_point(|&other| (self.wall(other), other) < key);
        self.order.insert(at, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall: i64) -> Record {
        let (place, log_id, origin) = (0, 0, 0);
        Record { at: wall, wall, place, log_id, origin, edit: None, late: false }
    }

    #[test]
    fn entries_stay_in_order_whatever_is_done_to_them() {
        let mut log = Logbook::new(vec![at(10), at(5), at(20)]);
        assert_eq!(log.range(None, None), [1, 0, 2]);
        assert_eq!(log.range(Some(5), Some(20)), [1, 0]);
        assert_eq!(log.add(at(7)), 3);
        log.edit(1, "{}".to_owned(), Some(15));
        assert_eq!(log.range(None, None), [3, 0, 1, 2]);
        log.delete(0);
        log.delete(0);
        assert_eq!(log.range(None, None), [3, 1, 2]);
        assert_eq!((log.edited, log.deleted, log.next()), (1, 1, 4));
        assert!(log.range(Some(30), Some(1)).is_empty());
    }
}
