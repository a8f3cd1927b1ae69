//! What this process owes the books: calls made since it last accounted, and those it has open. Pure.
//!
//! An account whose answer was lost may have been booked, so it is told again as it was, by the same number,
//! before anything else is.

use paceline_shared::db::budgets::{Entry, Slot, Told};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
struct Line {
    /// Reserved, and neither made nor given back.
    open: i32,
    made: i32,
    unheard: i32,
    refused: i32,
    told: Option<Told>,
}

/// What is told the books at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    /// Rises with each message about these quotas.
    pub(super) seq: i64,
    pub(super) entries: Vec<Entry>,
}

/// A line a window.
#[derive(Debug, Default)]
pub(super) struct Tally {
    lines: BTreeMap<Slot, Line>,
    /// Quotas, by scope and length, of which a wish's answer was lost: something may be reserved that has no line.
    doubts: BTreeSet<(String, i32)>,
    seq: i64,
    /// Told, and not known to be heard.
    told: Option<Account>,
}

impl Tally {
    fn line(&mut self, slot: &Slot) -> &mut Line {
        self.lines.entry(slot.clone()).or_default()
    }

    /// The number of the next message.
    pub(super) const fn next_seq(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }

    pub(super) fn reserved(&mut self, slots: &[Slot], calls: u32) {
        for slot in slots {
            self.line(slot).open += signed(calls);
        }
    }

    /// Nobody knows what became of a wish for calls of this quota.
    pub(super) fn doubt(&mut self, scope: &str, window_s: i32) {
        self.doubts.insert((scope.to_owned(), window_s));
    }

    pub(super) fn returned(&mut self, slots: &[Slot], calls: u32) {
        for slot in slots {
            self.line(slot).open -= signed(calls);
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

    /// Whether an account is not known to be heard: it must be before calls are reserved, for what it
    /// says is open would be without them.
    pub(super) const fn is_owed(&self) -> bool {
        self.told.is_some()
    }

    /// Everything to account for. Windows in which something is still open are named even if nothing
    /// happened: that says that the reservation lives.
    pub(super) fn account(&mut self) -> Option<Account> {
        if self.told.is_none() && !(self.lines.is_empty() && self.doubts.is_empty()) {
            let lines = self.lines.iter_mut().map(|(slot, line)| line.entry(slot));
            let doubts = std::mem::take(&mut self.doubts);
            let doubts = doubts.into_iter().map(|(scope, s)| Entry::nothing_else(scope, s));
            let entries = lines.chain(doubts).collect();
            self.lines.retain(|_, line| line.open > 0);
            self.told = Some(Account { seq: self.next_seq(), entries });
        }
        self.told.clone()
    }

    /// The account was heard.
    pub(super) fn heard(&mut self) {
        self.told = None;
    }
}

impl Line {
    fn entry(&mut self, slot: &Slot) -> Entry {
        Entry {
            slot: slot.clone(),
            made: std::mem::take(&mut self.made),
            open: self.open.max(0),
            unheard: std::mem::take(&mut self.unheard),
            refused: std::mem::take(&mut self.refused),
            told: self.told.take(),
        }
    }

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

    fn tell(tally: &mut Tally) -> Vec<Entry> {
        let account = tally.account();
        tally.heard();
        account.map(|account| account.entries).unwrap_or_default()
    }

    #[test]
    fn an_open_reservation_is_named_until_it_is_used_up() {
        let mut tally = Tally::default();
        tally.reserved(&[slot()], 4);
        let [entry] = tell(&mut tally).try_into().unwrap();
        assert_eq!((entry.made, entry.open), (0, 4));
        tally.made(&slot(), None, false);
        tally.returned(&[slot()], 2);
        let [entry] = tell(&mut tally).try_into().unwrap();
        assert_eq!((entry.made, entry.open, entry.unheard, entry.refused), (1, 1, 1, 0));
        tally.returned(&[slot()], 1);
        let [entry] = tell(&mut tally).try_into().unwrap();
        assert_eq!((entry.made, entry.open), (0, 0));
        assert_eq!(tally.account(), None);
    }

    #[test]
    fn of_several_answers_the_most_used_and_the_newest_limit_count() {
        let mut tally = Tally::default();
        tally.reserved(&[slot()], 3);
        tally.made(&slot(), Some(told(7, 100, 5)), false);
        tally.made(&slot(), Some(told(9, 100, 2)), false);
        tally.made(&slot(), Some(told(8, 200, 6)), true);
        let [entry] = tell(&mut tally).try_into().unwrap();
        assert_eq!((entry.made, entry.unheard, entry.refused), (3, 0, 1));
        assert_eq!(entry.told, Some(told(9, 200, 6)));
    }

    #[test]
    fn an_account_that_nobody_is_known_to_have_heard_is_told_again_as_it_was_before_a_newer_one() {
        let mut tally = Tally::default();
        tally.reserved(&[slot()], 2);
        tally.made(&slot(), Some(told(1, 100, 1)), false);
        let lost = tally.account().unwrap();
        tally.made(&slot(), Some(told(2, 100, 2)), false);
        assert!(tally.is_owed());
        assert_eq!(tally.account().unwrap(), lost);
        tally.heard();
        assert!(!tally.is_owed());
        let next = tally.account().unwrap();
        assert!(next.seq > lost.seq);
        let [entry] = next.entries.try_into().unwrap();
        assert_eq!((entry.made, entry.open, entry.told), (1, 0, Some(told(2, 100, 2))));
        tally.heard();
        assert_eq!(tally.account(), None);
    }

    #[test]
    fn a_lost_wish_is_told_though_nothing_is_known_to_be_open() {
        let mut tally = Tally::default();
        tally.doubt("strava:read", 900);
        let nothing = Entry::nothing_else("strava:read".to_owned(), 900);
        assert_eq!(tell(&mut tally), [nothing]);
        assert_eq!(tally.account(), None);
    }
}
