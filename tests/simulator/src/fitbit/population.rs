//! Who is at Fitbit: asking for users, and counting what they have.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde::{Deserialize, Serialize};

use super::body;
use super::logbook::Logbook;
use super::record::{FitbitLog, Record};
use super::user::User;
use crate::tally::Tally;

/// What to draw a user from. The same seed, sizes and end give the same logs; the same seed is the
/// same person as at other providers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitbitPopulation {
    /// Weighings, default 1,000; about two thirds of them measure fat too.
    pub weights: u32,
    /// Default 400.
    pub activities: u32,
    /// Default 1,000.
    pub sleeps: u32,
    /// Over how long, default 4; at most 20.
    pub years: u32,
    /// Default: drawn from the simulator's seed and the user's turn.
    pub seed: Option<u64>,
    /// The logs end before this date. Default: yesterday, so that nothing lies in the future of any
    /// time zone.
    pub until: Option<NaiveDate>,
    /// The user's id at Fitbit. Default: the next free one.
    pub id: Option<String>,
}

impl Default for FitbitPopulation {
    fn default() -> Self {
        let (weights, activities, sleeps) = (1_000, 400, 1_000);
        Self { weights, activities, sleeps, years: 4, seed: None, until: None, id: None }
    }
}

/// A user in figures.
#[derive(Clone, Debug, Serialize)]
pub struct FitbitUser {
    /// Id at Fitbit.
    pub id: String,
    /// First and last name.
    pub name: String,
    /// City and country they live in.
    pub home: String,
    /// Of the profile: what all times without a zone are in.
    pub timezone: &'static str,
    /// Weights that are there.
    pub weight: FitbitFigures,
    /// Fats that are there.
    pub fat: FitbitFigures,
    /// Activities that are there.
    pub activities: FitbitFigures,
    /// Sleeps that are there.
    pub sleep: FitbitFigures,
    /// Weights whose `logId` another weight has too.
    pub shared_log_ids: usize,
    /// Weights with `source` Withings.
    pub from_withings: usize,
    /// What the user's tokens went through.
    pub tokens: Tally,
}

/// A log in figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FitbitFigures {
    /// Entries that are there.
    pub entries: usize,
    /// Of these, added after the user was.
    pub late: usize,
    /// Edits so far.
    pub edited: u64,
    /// Deletions so far.
    pub deleted: u64,
    /// Local time that the oldest entry is sorted by (a sleep's end).
    pub first: Option<NaiveDateTime>,
    /// The same of the newest.
    pub last: Option<NaiveDateTime>,
}

/// Days that entries are asked for, both included; open where `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FitbitRange {
    /// First day.
    pub from: Option<NaiveDate>,
    /// Last day.
    pub to: Option<NaiveDate>,
}

fn figures(log: &Logbook) -> FitbitFigures {
    let wall =
        |record: Option<&Record>| Some(DateTime::from_timestamp(record?.wall, 0)?.naive_utc());
    FitbitFigures {
        entries: log.all().count(),
        late: log.all().filter(|record| record.late).count(),
        edited: log.edited,
        deleted: log.deleted,
        first: wall(log.all().next()),
        last: wall(log.all().last()),
    }
}

pub(super) fn summary(user: &User, tokens: Tally) -> FitbitUser {
    let weights = user.log(FitbitLog::Weight);
    let mut ids: Vec<u64> = weights.all().map(|record| record.log_id).collect();
    ids.sort_unstable();
    let shared = ids.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).map(<[u64]>::len);
    FitbitUser {
        id: user.id.clone(),
        name: format!("{} {}", user.person.first_name, user.person.last_name),
        home: format!("{}, {}", user.home().city, user.home().country),
        timezone: user.zone().name(),
        weight: figures(weights),
        fat: figures(user.log(FitbitLog::Fat)),
        activities: figures(user.log(FitbitLog::Activities)),
        sleep: figures(user.log(FitbitLog::Sleep)),
        shared_log_ids: shared.sum(),
        from_withings: weights
            .all()
            .filter(|record| body::is_from_withings(&user.person, record))
            .count(),
        tokens,
    }
}
