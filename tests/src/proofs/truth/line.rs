//! A provider as the proof plays it: its users in the simulated world, what happens to their records, what must be
//! stored of them, and how few requests that takes. One file each; a provider joins once the binary has a client of it.

use super::facts::Facts;
use super::{fitbit::Fitbit, garmin::Garmin, strava::Strava, withings::Withings};
use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use paceline_simulator::{LogEntry, Simulator, Tally};
use paceline_tests::binary;
use std::{fmt::Debug, process::Command};

/// Days in which half of all edits, late uploads and deletions fall: those that people make.
const RECENT_DAYS: i64 = 12;

/// What was done to a record, and whether a sync of what is new must find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The provider's way of telling shows it.
    Found,
    /// Only a read of everything shows it.
    Beyond,
    /// Nothing was there to be changed.
    Nothing,
}

/// What is done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    Edit,
    Add,
    Delete,
}

impl Deed {
    /// Half are edits.
    pub(super) fn drawn(chance: &mut fastrand::Rng) -> Self {
        match chance.u8(..4) {
            0 => Self::Add,
            1 => Self::Delete,
            _ => Self::Edit,
        }
    }
}

/// A provider's side of the proof.
pub(super) trait Line: Debug + Sync {
    /// The name on every wire.
    fn name(&self) -> &'static str;

    /// What is synced.
    fn job_type(&self) -> &'static str {
        "all"
    }

    /// What the provider allows, as the workers are told.
    fn limits(&self) -> &'static str;

    /// Other options of a worker than the application, the limits and what every story has.
    fn options(&self, base: &str) -> Vec<(&'static str, String)>;

    /// A new user; answers the account.
    fn add_user(&self, world: &Simulator, seed: u64) -> Result<String>;

    /// Something happens to one of the account's records.
    fn act(&self, world: &Simulator, account: &str, chance: &mut fastrand::Rng) -> Result<Act>;

    /// What must be stored, read from the provider's documentation.
    fn truth(&self, world: &Simulator, account: &str) -> Result<Facts>;

    /// Whether a read of everything finds what was deleted.
    fn tells_deletions(&self) -> bool {
        true
    }

    /// Ends the access tokens.
    fn expire(&self, world: &Simulator, account: &str, in_s: i64) -> Result<usize>;

    /// What became of the tokens.
    fn tally(&self, world: &Simulator, account: &str) -> Result<Tally>;

    /// Calls over a limit, of all users.
    fn over_limit(&self, world: &Simulator) -> u64;

    /// Whether a request reads data, and no token.
    fn is_read(&self, entry: &LogEntry) -> bool;

    /// The fewest requests in which a sync that finds nothing new can know that.
    fn fewest(&self, world: &Simulator, account: &str) -> Result<u64>;
}

/// All providers that the proof knows and both roles of the binary have.
pub(super) fn lines() -> Result<Vec<&'static dyn Line>> {
    const KNOWN: [&dyn Line; 4] = [&Strava, &Withings, &Fitbit, &Garmin];
    let help = |role| -> Result<String> {
        let help = Command::new(binary::paceline()).args([role, "--help"]).output();
        Ok(String::from_utf8(help.context("asking the binary for its options")?.stdout)?)
    };
    let roles = [help("api")?, help("worker")?];
    let has = |line: &&dyn Line| {
        let option = format!("--{}-client-id", line.name());
        roles.iter().all(|help| help.contains(&option))
    };
    Ok(KNOWN.into_iter().filter(has).collect())
}

/// A time of the last year, half of them of the last days.
pub(super) fn some_time(chance: &mut fastrand::Rng) -> DateTime<Utc> {
    let days = if chance.bool() { RECENT_DAYS } else { 330 };
    // Not in a night in which a clock is changed, wherever the user is.
    let noon = Utc::now().date_naive().and_hms_opt(12, 0, 0).unwrap_or_default().and_utc();
    noon - TimeDelta::days(chance.i64(2..days)) + TimeDelta::seconds(chance.i64(-3_000..3_000))
}

/// One of the records, half of the time one of the last; `time` tells when a record was.
pub(super) fn pick<'a, T>(
    records: &'a [T],
    chance: &mut fastrand::Rng,
    time: impl Fn(&T) -> Option<DateTime<Utc>>,
) -> Option<&'a T> {
    let since = Utc::now() - TimeDelta::days(RECENT_DAYS);
    let recent: Vec<&T> =
        records.iter().filter(|record| time(record).is_some_and(|at| at > since)).collect();
    if chance.bool() && !recent.is_empty() {
        return Some(recent[chance.usize(..recent.len())]);
    }
    (!records.is_empty()).then(|| &records[chance.usize(..records.len())])
}

/// Whether a time is so few days ago.
pub(super) fn within(at: Option<DateTime<Utc>>, days: i64) -> bool {
    at.is_some_and(|at| at > Utc::now() - TimeDelta::days(days))
}

/// Found when it lies within the look-back.
pub(super) const fn found_if(is_found: bool) -> Act {
    if is_found { Act::Found } else { Act::Beyond }
}
