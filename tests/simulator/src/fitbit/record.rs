//! One entry of a log as it is kept, and the four kinds of log.
//!
//! Must not know what an entry looks like in JSON.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which of a user's logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FitbitLog {
    /// Body weight.
    Weight,
    /// Body fat.
    Fat,
    /// Exercise.
    Activities,
    /// Sleep.
    Sleep,
}

impl FitbitLog {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Weight, Self::Fat, Self::Activities, Self::Sleep];

    pub(super) const fn number(self) -> usize {
        match self {
            Self::Weight => 0,
            Self::Fat => 1,
            Self::Activities => 2,
            Self::Sleep => 3,
        }
    }
}

impl fmt::Display for FitbitLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weight => "weight",
            Self::Fat => "fat",
            Self::Activities => "activities",
            Self::Sleep => "sleep",
        })
    }
}

/// An entry: drawn from its numbers when it is read, unless it was edited.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Unix seconds of the beginning.
    pub(super) at: i64,
    /// What Fitbit sorts and selects by: the time on a wall, as seconds since the epoch as if in UTC.
    /// The beginning; of a sleep the end, whose day it belongs to.
    pub(super) wall: i64,
    /// Number in the table of places.
    pub(super) place: u8,
    pub(super) log_id: u64,
    /// What its values are drawn from. A weight and the fat of the same weighing share it.
    pub(super) origin: u64,
    /// The JSON text as edited.
    pub(super) edit: Option<String>,
    /// Added after the user was.
    pub(super) late: bool,
}
