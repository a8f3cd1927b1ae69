//! Who is at Withings: asking for users, and counting what they have.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::record::WithingsKind;
use super::shelf::Cut;
use super::user::User;
use super::values;
use crate::places::PLACES;
use crate::tally::Tally;

/// What to draw a user from. The same seed, amounts and end give the same years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WithingsPopulation {
    /// Moments of measuring over the years, default 600. Some are several groups; with any at all
    /// there are also the figures of the account's first day and two goals.
    pub measures: u32,
    /// The last days that have a summary of activity, default 730.
    pub days: u32,
    /// Workouts over the years, default 240.
    pub workouts: u32,
    /// The last nights, default 700; every fortieth has a nap besides.
    pub nights: u32,
    /// Over how long, default 4; at most 50.
    pub years: u32,
    /// Default: drawn from the simulator's seed and the user's turn.
    pub seed: Option<u64>,
    /// The years end before this local date. Default: yesterday.
    pub until: Option<NaiveDate>,
    /// The user's number at Withings. Default: the next free one.
    pub id: Option<u64>,
}

impl Default for WithingsPopulation {
    fn default() -> Self {
        Self {
            measures: 600,
            days: 730,
            workouts: 240,
            nights: 700,
            years: 4,
            seed: None,
            until: None,
            id: None,
        }
    }
}

/// A user in figures.
#[derive(Clone, Debug, Serialize)]
pub struct WithingsSummary {
    /// Number at Withings.
    pub id: u64,
    /// First and last name.
    pub name: String,
    /// City and country they live in.
    pub home: String,
    /// The zone of their profile, as in `Europe/Paris`.
    pub timezone: &'static str,
    /// By kind of list.
    pub lists: BTreeMap<WithingsKind, WithingsList>,
    /// True values in the groups that count: see [`super::WithingsValue`].
    pub values: usize,
    /// What the user's tokens went through.
    pub tokens: Tally,
}

/// A list in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WithingsList {
    /// Records that are there.
    pub records: usize,
    /// Of these, the ones a client must keep: no goals, no measures of somebody uncertain.
    pub counting: usize,
    /// Pages of a whole read of everything; one at least.
    pub pages: usize,
    /// Records that came after the user was made, deleted ones too.
    pub added: usize,
    /// Edits made so far.
    pub edited: u64,
    /// Deletions made so far.
    pub deleted: u64,
}

pub(super) fn summary(user: &User, cut: Cut, tokens: Tally) -> WithingsSummary {
    let home = &PLACES[usize::from(user.subject.person.home)];
    let list = |kind: WithingsKind| {
        let shelf = user.shelf(kind);
        let figures = WithingsList {
            records: shelf.all().count(),
            counting: shelf.all().filter(|(_, record)| record.counts(kind)).count(),
            pages: shelf.pages(cut),
            added: shelf.added(),
            edited: shelf.edited,
            deleted: shelf.deleted,
        };
        (kind, figures)
    };
    let groups = user.shelf(WithingsKind::Measures).all().map(|(_, record)| record);
    WithingsSummary {
        id: user.id,
        name: user.name(),
        home: format!("{}, {}", home.city, home.country),
        timezone: user.home().name(),
        lists: WithingsKind::ALL.into_iter().map(list).collect(),
        values: values::truth(groups).len(),
        tokens,
    }
}
