//! All records of one kind that a user has, and the pages they are read in.
//!
//! A record's number is its place on the shelf and stays so: what is deleted leaves a hole, what is
//! added goes to the end. An `offset` is such a number, so a list that changes while it is read is
//! never skipped over. Must not know HTTP.

use chrono::NaiveDate;

use super::record::Record;
use crate::dice::Dice;

const SHORTENED: u64 = 0x77_70;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    slots: Vec<Option<Record>>,
    pub(super) generated: usize,
    pub(super) edited: u64,
    pub(super) deleted: u64,
}

/// Which records are asked for; everything that is set must match.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Taken from and until, both included; Unix seconds.
    pub(super) taken: Option<(i64, i64)>,
    /// Listed under a day from and until, both included.
    pub(super) days: Option<(NaiveDate, NaiveDate)>,
    /// Made or changed after this; Unix seconds.
    pub(super) changed_after: Option<i64>,
    pub(super) category: Option<i64>,
    /// With a measure of one of these types; all, when empty.
    pub(super) types: Vec<i64>,
}

impl Filter {
    fn matches(&self, record: &Record) -> bool {
        self.taken.is_none_or(|(from, to)| (from..=to).contains(&record.at))
            && self
                .days
                .is_none_or(|(from, to)| record.day.is_some_and(|day| (from..=to).contains(&day)))
            && self.changed_after.is_none_or(|after| record.modified > after)
            && self.category.is_none_or(|category| record.category == Some(category))
            && (self.types.is_empty() || record.types.iter().any(|kind| self.types.contains(kind)))
    }
}

/// How a list is cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) seed: u64,
    /// Records on a page, at least 1.
    pub(super) page: usize,
    /// One page in this many is short; 0 for never.
    pub(super) short_every: u32,
}

impl Cut {
    /// What fits on the page that begins with record `offset`.
    fn length(self, offset: usize) -> usize {
        let offset = u64::try_from(offset).unwrap_or(u64::MAX);
        let mut dice = Dice::new(self.seed, SHORTENED, offset);
        if self.page < 2 || self.short_every == 0 || dice.below(u64::from(self.short_every)) > 0 {
            return self.page.max(1);
        }
        let most = u64::try_from(self.page - 1).unwrap_or(1).min(9);
        self.page - 1 - usize::try_from(dice.below(most)).unwrap_or(0)
    }
}

impl Shelf {
    pub(super) fn new(records: Vec<Record>) -> Self {
        let generated = records.len();
        let slots = records.into_iter().map(Some).collect();
        Self { slots, generated, edited: 0, deleted: 0 }
    }

    /// What is there, with its numbers.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &Record)> {
        self.slots.iter().enumerate().filter_map(|(number, slot)| Some((number, slot.as_ref()?)))
    }

    pub(super) fn get(&self, number: usize) -> Option<&Record> {
        self.slots.get(number)?.as_ref()
    }

    pub(super) fn added(&self) -> usize {
        self.slots.len() - self.generated
    }

    /// The number that the next record gets.
    pub(super) fn next_number(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn add(&mut self, record: Record) {
        self.slots.push(Some(record));
    }

    /// `false`: there is no such record.
    pub(super) fn replace(&mut self, number: usize, record: Record) -> bool {
        let Some(slot @ Some(_)) = self.slots.get_mut(number) else { return false };
        *slot = Some(record);
        self.edited += 1;
        true
    }

    pub(super) fn delete(&mut self, number: usize) -> bool {
        let there = self.slots.get_mut(number).and_then(Option::take).is_some();
        self.deleted += u64::from(there);
        there
    }

    /// A page from number `offset` on, and the offset of the next when more follows.
    pub(super) fn page(
        &self,
        filter: &Filter,
        offset: usize,
        cut: Cut,
    ) -> (Vec<&Record>, Option<usize>) {
        let mut rest = self
            .all()
            .skip_while(|(number, _)| *number < offset)
            .filter(|(_, record)| filter.matches(record));
        let page: Vec<&Record> =
            rest.by_ref().take(cut.length(offset)).map(|(_, record)| record).collect();
        (page, rest.next().map(|(number, _)| number))
    }

    /// How many pages a whole read takes; an empty list takes one.
    pub(super) fn pages(&self, cut: Cut) -> usize {
        let (filter, mut pages, mut offset) = (Filter::default(), 1, 0);
        while let (_, Some(next)) = self.page(&filter, offset, cut) {
            pages += 1;
            offset = next;
        }
        pages
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::WithingsKind;
    use super::*;
    use serde_json::json;

    fn shelf(records: i64) -> Shelf {
        let record = |number| {
            let group = json!({ "grpid": number, "date": 1000 + number, "modified": 5000 + number,
                "category": 1, "measures": [{ "value": 1, "type": number % 3, "unit": 0 }] });
            Record::new(WithingsKind::Measures, &group).unwrap()
        };
        Shelf::new((0..records).map(record).collect())
    }

    fn read(shelf: &Shelf, filter: &Filter, cut: Cut) -> Vec<i64> {
        let (mut taken, mut offset) = (Vec::new(), Some(0));
        while let Some(from) = offset {
            let (page, next) = shelf.page(filter, from, cut);
            assert!(page.len() <= cut.page && (!page.is_empty() || next.is_none()));
            assert!(next.is_none_or(|next| next > from));
            taken.extend(page.iter().map(|record| record.at - 1000));
            offset = next;
        }
        taken
    }

    #[test]
    fn all_pages_together_are_the_list_whatever_their_length() {
        for (page, short_every) in [(1, 1), (2, 2), (10, 0), (10, 1), (10, 3), (200, 4)] {
            let cut = Cut { seed: 3, page, short_every };
            for records in [0, 1, 9, 10, 11, 57] {
                let whole: Vec<i64> = (0..records).collect();
                assert_eq!(read(&shelf(records), &Filter::default(), cut), whole);
            }
        }
    }

    #[test]
    fn what_is_deleted_or_added_between_two_pages_moves_nothing() {
        let cut = Cut { seed: 3, page: 4, short_every: 0 };
        let mut shelf = shelf(9);
        let (_, next) = shelf.page(&Filter::default(), 0, cut);
        assert!(shelf.delete(1) && !shelf.delete(1));
        let added = shelf.get(0).unwrap().clone();
        shelf.add(added);
        let (page, end) = shelf.page(&Filter::default(), next.unwrap(), cut);
        assert_eq!(page.iter().map(|one| one.at).collect::<Vec<_>>(), [1004, 1005, 1006, 1007]);
        let (page, end) = shelf.page(&Filter::default(), end.unwrap(), cut);
        assert_eq!(page.iter().map(|one| one.at).collect::<Vec<_>>(), [1008, 1000]);
        assert_eq!(end, None);
    }

    #[test]
    fn filters_keep_what_matches_all_of_them() {
        let cut = Cut { seed: 3, page: 4, short_every: 0 };
        let shelf = shelf(12);
        let of = |filter: Filter| read(&shelf, &filter, cut);
        assert_eq!(of(Filter { taken: Some((1002, 1004)), ..Filter::default() }), [2, 3, 4]);
        assert_eq!(of(Filter { changed_after: Some(5009), ..Filter::default() }), [10, 11]);
        assert_eq!(of(Filter { types: vec![2, 7], ..Filter::default() }), [2, 5, 8, 11]);
        assert!(of(Filter { category: Some(2), ..Filter::default() }).is_empty());
    }
}
