//! On which days something was recorded over the years, with the pauses that lives have.
//!
//! Must not know what was recorded.

use chrono::{Days, NaiveDate};

use crate::dice::Dice;
use crate::numbers::{count, rounded};

const SPREAD: u64 = 0x0066_6473;
const PAUSES: u64 = 0x0066_7061;

/// `records` days in the `years` before `until` (excluded), in order, each with how many of the same
/// day came before it.
pub(super) fn days(
    seed: u64,
    stream: u64,
    records: u32,
    years: u32,
    until: NaiveDate,
) -> Vec<(NaiveDate, u32)> {
    let length = u64::from(years) * 1461 / 4;
    let first = until.checked_sub_days(Days::new(length)).unwrap_or(until);
    let live = live(Dice::new(seed, PAUSES, stream), years, length);
    let records = usize::try_from(records).unwrap_or(usize::MAX);
    let share = count(live.len()) / count(records.max(1));
    let mut dice = Dice::new(seed, SPREAD, stream);
    let (mut last, mut nth) = (None, 0);
    let day = |number: usize| {
        let place = rounded(((count(number) + dice.unit()) * share).floor());
        let place = usize::try_from(place).unwrap_or(0).min(live.len().saturating_sub(1));
        let place = live.get(place).copied().unwrap_or(0);
        nth = if last == Some(place) { nth + 1 } else { 0 };
        last = Some(place);
        (first.checked_add_days(Days::new(place)).unwrap_or(first), nth)
    };
    (0..records).map(day).collect()
}

/// Numbers of the days outside the pauses: about one of some weeks in each second year.
fn live(mut dice: Dice, years: u32, length: u64) -> Vec<u64> {
    let mut pauses = Vec::new();
    for year in 0..u64::from(years) {
        if dice.chance(0.5) {
            let from = year * 365 + dice.below(340);
            pauses.push(from..from + 12 + dice.below(50));
        }
    }
    (0..length).filter(|day| !pauses.iter().any(|pause| pause.contains(day))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_days_as_asked_for_in_order_and_before_the_end() {
        let until = "2026-11-20".parse().unwrap();
        for records in [0, 1, 200, 5000] {
            let days = days(3, 1, records, 4, until);
            assert_eq!(days.len(), usize::try_from(records).unwrap());
            assert!(days.is_sorted());
            assert!(days.iter().all(|&(day, _)| day < until));
        }
    }

    #[test]
    fn lives_have_pauses() {
        let days = days(3, 1, 4000, 10, "2026-11-20".parse().unwrap());
        let longest = days.windows(2).map(|pair| (pair[1].0 - pair[0].0).num_days()).max();
        assert!(longest > Some(12), "{longest:?}");
    }
}
