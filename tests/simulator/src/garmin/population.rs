//! Who is at Garmin: asking for users, and counting what they have.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::user::User;
use crate::places::PLACES;
use crate::tally::Tally;

/// What to draw a user from. The same seed, size and end give the same history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GarminPopulation {
    /// Activities, recorded and typed in; default 300, at most a million.
    pub activities: u32,
    /// Over how long, default 1; at most 50. Everything but activities comes with the days.
    pub years: u32,
    /// Default: drawn from the simulator's seed and the user's turn.
    pub seed: Option<u64>,
    /// The history ends before this date. Default, and at the latest: yesterday.
    pub until: Option<NaiveDate>,
    /// The user's id at Garmin. Default: 32 hexadecimal digits from the seed.
    pub id: Option<String>,
}

impl Default for GarminPopulation {
    fn default() -> Self {
        Self { activities: 300, years: 1, seed: None, until: None, id: None }
    }
}

/// A user in figures.
#[derive(Clone, Debug, Serialize)]
pub struct GarminUserSummary {
    /// Garmin's id.
    pub id: String,
    /// First and last name; Garmin never tells it.
    pub name: String,
    /// City and country they live in.
    pub home: String,
    /// What the user lets the application have.
    pub permissions: Vec<String>,
    /// Summaries that are there, by type.
    pub records: BTreeMap<&'static str, usize>,
    /// Their uploads, several of a summary and those that are due included, by type.
    pub uploads: BTreeMap<&'static str, usize>,
    /// Summaries added after the user was created.
    pub late: usize,
    /// Edits made so far.
    pub edited: u64,
    /// Deletions made so far.
    pub deleted: usize,
    /// Requests for backfill that were accepted.
    pub backfills: u64,
    /// Requests for backfill that had been made before.
    pub duplicate_backfills: u64,
    /// What the user's tokens went through.
    pub tokens: Tally,
}

pub(super) fn name(user: &User) -> String {
    format!("{} {}", user.person.first_name, user.person.last_name)
}

pub(super) fn summary(user: &User, tokens: Tally) -> GarminUserSummary {
    let home = &PLACES[usize::from(user.person.home)];
    let stores = || user.stores();
    GarminUserSummary {
        id: user.id.clone(),
        name: name(user),
        home: format!("{}, {}", home.city, home.country),
        permissions: user.permissions.iter().cloned().collect(),
        records: stores().map(|(of, store)| (of.name(), store.present().count())).collect(),
        uploads: stores().map(|(of, store)| (of.name(), store.uploads())).collect(),
        late: stores().map(|(_, store)| store.count(|slot| slot.added && !slot.deleted)).sum(),
        edited: user.edited,
        deleted: stores().map(|(_, store)| store.count(|slot| slot.deleted)).sum(),
        backfills: user.backfills.0,
        duplicate_backfills: user.backfills.1,
        tokens,
    }
}
