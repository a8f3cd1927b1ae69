//! What this process owes the books: calls reserved, made and given back since it last accounted. Pure.

use paceline_shared::db::budgets::{Entry, Slot, Told};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
struct Line {
    /// Reserved, and neither made nor given back.
    open: i32,
    made: i32,
    returned: i32,
    unheard: i32,
    refused: i32,
    told: Option<Told>,
}

/// A line a window.
#[derive(Debug, Default)]
pub(super) struct Tally(BTreeMap<Slot, Line>);

impl Tally {
    fn line(&mut self, slot: &Slot) -> &mut Line {
        self.0.entry(slot.clone()).or_default()
    }

    pub(super) fn reserved(&mut self, slots: &[Slot], calls: u32) {
        for slot in slots {
            self.line(slot).open += signed(calls);
        }
    }

    pub(super) fn returned(&mut self, slots: &[Slot], calls: u32) {
        for slot in slots {
            let line = self.line(slot);
            line.open -= signed(calls);
            line.returned += signed(calls);
        }
    }

    /// A call was made; `told` is what its answer said of the window.
    pub(super) fn made(&mut self, slot: &Slot, told: Option<Told>, refused: bool) {
        let line = self.line(slot);
        line.open -= 1;
        line.made += 1;
        line.unheard += i32::from(told.is_none());
        line.refused += i32::from(refused);
        line.hear(told);
    }

    /// Everything to account for. Windows in which something is still open are named even if nothing
    /// happened: that says that the reservation lives.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        let entries = self
            .0
            .iter_mut()
            .map(|(slot, line)| Entry {
                slot: slot.clone(),
                made: std::mem::take(&mut line.made),
                returned: std::mem::take(&mut line.returned),
                unheard: std::mem::take(&mut line.unheard),
                refused: std::mem::take(&mut line.refused),
                told: line.told.take(),
            })
            .collect();
        self.0.retain(|_, line| line.open > 0);
        entries
    }

    /// It was not taken: the same again next time.
    pub(super) fn put_back(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let line = self.line(&entry.slot);
            line.made += entry.made;
            line.returned += entry.returned;
            line.unheard += entry.unheard;
            line.refused += entry.refused;
            line.hear(entry.told);
        }
    }
}

impl Line {
    fn hear(&mut self, told: Option<Told>) {
        self.told = match (self.told, told) {
            (Some(a), Some(b)) => {
                let newest = if b.sent_at >= a.sent_at { b } else { a };
                Some(Told { used: a.used.max(b.used), ..newest })
            }
            (a, b) => b.or(a),
        };
    }
}

fn signed(calls: u32) -> i32 {
    i32::try_from(calls).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, TimeDelta, Utc};

    fn slot() -> Slot {
        Slot { scope: "strava:read".to_owned(), window_s: 900, start: DateTime::UNIX_EPOCH }
    }

    fn told(used: i32, limit: i32, s: i64) -> Told {
        Told { used, limit, sent_at: DateTime::<Utc>::UNIX_EPOCH + TimeDelta::seconds(s) }
    }

    #[test]
    fn an_open_reservation_is_named_until_it_is_used_up() {
        let mut tally = Tally::default();
        tally.reserved(&[slot()], 3);
        assert_eq!(tally.take().len(), 1);
        tally.made(&slot(), None, false);
        tally.returned(&[slot()], 2);
        let [entry] = tally.take().try_into().unwrap();
        assert_eq!((entry.made, entry.returned, entry.unheard, entry.refused), (1, 2, 1, 0));
        assert_eq!(tally.take(), []);
    }

    #[test]
    fn of_several_answers_the_most_used_and_the_newest_limit_count() {
        let mut tally = Tally::default();
        tally.reserved(&[slot()], 3);
        tally.made(&slot(), Some(told(7, 100, 5)), false);
        tally.made(&slot(), Some(told(9, 100, 2)), false);
        tally.made(&slot(), Some(told(8, 200, 6)), true);
        let [entry] = tally.take().try_into().unwrap();
        assert_eq!((entry.made, entry.unheard, entry.refused), (3, 0, 1));
        assert_eq!(entry.told, Some(told(9, 200, 6)));
    }

    #[test]
    fn what_the_books_did_not_take_is_told_again_with_what_came_meanwhile() {
        let mut tally = Tally::default();
        tally.reserved(&[slot()], 2);
        tally.made(&slot(), Some(told(1, 100, 1)), false);
        let lost = tally.take();
        tally.made(&slot(), Some(told(2, 100, 2)), false);
        tally.put_back(lost);
        let [entry] = tally.take().try_into().unwrap();
        assert_eq!((entry.made, entry.told), (2, Some(told(2, 100, 2))));
        assert_eq!(tally.take(), []);
    }
}
