//! Who is at Strava: asking for athletes, and counting what they have.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::athlete::Athlete;
use super::marks::Mark;
use crate::places::PLACES;
use crate::tally::Tally;

/// What to draw an athlete from. The same seed, size and end give the same history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Population {
    /// How many, default 1,000; at most 10 million.
    pub activities: u32,
    /// Over how long, default 10; at most 50.
    pub years: u32,
    /// Default: drawn from the simulator's seed and the athlete's turn.
    pub seed: Option<u64>,
    /// The history ends before this date. Default: yesterday, so that nothing lies in the future
    /// of any time zone.
    pub until: Option<NaiveDate>,
    /// The athlete's number at Strava. Default: the next free one.
    pub id: Option<u64>,
}

impl Default for Population {
    fn default() -> Self {
        Self { activities: 1_000, years: 10, seed: None, until: None, id: None }
    }
}

/// An athlete in figures, over all time or a range of it.
#[derive(Clone, Debug, Serialize)]
pub struct AthleteSummary {
    /// Number at Strava.
    pub id: u64,
    /// First and last name.
    pub name: String,
    /// City and country they live in.
    pub home: String,
    /// Activities that are there.
    pub activities: usize,
    /// Of these, with start coordinates: weather can be had for them.
    pub locatable: usize,
    /// Of these, near a city: an offline geocoder can name the place. The rest is at sea, on ice
    /// or in a desert, and must be refused.
    pub geocodable: usize,
    /// Typed in by hand.
    pub manual: usize,
    /// Indoors.
    pub indoor: usize,
    /// For their owner only: not listed to a token without `activity:read_all`.
    pub private: usize,
    /// Added after the athlete was created.
    pub late: usize,
    /// By `sport_type`.
    pub sport_types: BTreeMap<String, usize>,
    /// Earliest start.
    pub first_start: Option<DateTime<Utc>>,
    /// Latest start.
    pub last_start: Option<DateTime<Utc>>,
    /// Pages of 200 that hold something, read with `activity:read_all`.
    pub pages_of_200: usize,
    /// Edits made so far, whatever the range.
    pub edited: u64,
    /// Deletions made so far, whatever the range.
    pub deleted: usize,
    /// What the athlete's tokens went through.
    pub tokens: Tally,
}

/// Activities that start after and before these Unix seconds, both excluded, as in Strava's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartRange {
    /// Lower bound.
    pub after: Option<i64>,
    /// Upper bound.
    pub before: Option<i64>,
}

pub(super) fn summary(
    athlete: &Athlete,
    range: StartRange,
    pages: impl Fn(usize) -> usize,
    tokens: Tally,
) -> AthleteSummary {
    let list = athlete.range(range.after, range.before);
    let with = |mark| list.iter().filter(|&&number| athlete.slot(number).marks.has(mark)).count();
    let start = |number: Option<&u32>| {
        number.and_then(|&number| DateTime::from_timestamp(athlete.slot(number).start.at, 0))
    };
    let mut sport_types = BTreeMap::<String, usize>::new();
    for &number in list {
        let name = athlete.sport_name(number);
        match sport_types.get_mut(name) {
            Some(count) => *count += 1,
            None => {
                sport_types.insert(name.to_owned(), 1);
            }
        }
    }
    let home = &PLACES[usize::from(athlete.person.home)];
    AthleteSummary {
        id: athlete.id,
        name: format!("{} {}", athlete.person.first_name, athlete.person.last_name),
        home: format!("{}, {}", home.city, home.country),
        activities: list.len(),
        locatable: with(Mark::Located),
        geocodable: with(Mark::NearCity),
        manual: with(Mark::Manual),
        indoor: with(Mark::Indoor),
        private: with(Mark::Private),
        late: with(Mark::Late),
        sport_types,
        first_start: start(list.first()),
        last_start: start(list.last()),
        pages_of_200: pages(list.len()),
        edited: athlete.edited,
        deleted: athlete.slots().iter().filter(|slot| slot.marks.has(Mark::Deleted)).count(),
        tokens,
    }
}
