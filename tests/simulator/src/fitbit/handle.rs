//! The handle's side of Fitbit: users, their logs, their consent.

use std::sync::atomic::Ordering;

use chrono::NaiveDateTime;
use serde::Serialize;
use serde_json::value::RawValue;

use super::population::{self, FitbitPopulation, FitbitRange, FitbitUser};
use super::quota::{FitbitCalls, FitbitQuota, FitbitStanding};
use super::record::FitbitLog;
use super::tokens::{Consent, FitbitTokens};
use super::user::User;
use super::walltime::midnight;
use crate::error::Error;
use crate::locks::{locked, reading, writing};
use crate::simulator::Simulator;

/// An entry that Fitbit truly holds.
#[derive(Clone, Debug, Serialize)]
pub struct FitbitRecord {
    /// Its number in its log, for the controls: unlike `logId` it is never shared.
    pub record: u32,
    /// The JSON text, metric.
    pub fields: Box<RawValue>,
}

/// Some of the entries of a log.
#[derive(Clone, Debug, Serialize)]
pub struct FitbitPage {
    /// Oldest first.
    pub records: Vec<FitbitRecord>,
    /// Where to go on; `None` at the end.
    pub next: Option<usize>,
}

/// What a user's consent is given to by default: all that is simulated.
pub const FITBIT_FULL_SCOPE: &str = "activity profile sleep weight";

impl Simulator {
    /// A new user, by id.
    ///
    /// Fails with [`Error::TooLarge`] or [`Error::UserExists`].
    pub fn add_fitbit_user(&self, population: &FitbitPopulation) -> Result<String, Error> {
        self.0.fitbit.add_user(&self.0, population)
    }

    /// All users' ids.
    #[must_use]
    pub fn fitbit_users(&self) -> Vec<String> {
        reading(&self.0.fitbit.users).keys().cloned().collect()
    }

    fn fitbit<T>(&self, id: &str, look: impl FnOnce(&User) -> T) -> Result<T, Error> {
        let unknown = || Error::UnknownUser(id.to_owned());
        let user = self.0.fitbit.user(id).ok_or_else(unknown)?;
        let user = reading(&user);
        Ok(look(&user))
    }

    fn change_fitbit<T>(
        &self,
        id: &str,
        change: impl FnOnce(&mut User) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let unknown = || Error::UnknownUser(id.to_owned());
        let user = self.0.fitbit.user(id).ok_or_else(unknown)?;
        change(&mut writing(&user))
    }

    /// A user in figures.
    pub fn fitbit_user(&self, id: &str) -> Result<FitbitUser, Error> {
        let tally = locked(&self.0.fitbit.tokens).tally(id);
        self.fitbit(id, |user| population::summary(user, tally))
    }

    /// What a log truly holds on the days of `range`, from position `cursor` (0 at first), oldest first;
    /// a sleep belongs to the day it ends on.
    pub fn fitbit_records(
        &self,
        id: &str,
        log: FitbitLog,
        range: FitbitRange,
        cursor: usize,
        limit: usize,
    ) -> Result<FitbitPage, Error> {
        self.fitbit(id, |user| {
            let from = range.from.map(midnight);
            let to = range.to.map(|day| midnight(day) + 86_400);
            let list = user.log(log).range(from, to);
            let record = |&number: &u32| {
                let fields = RawValue::from_string(user.json(log, number)?).ok()?;
                Some(FitbitRecord { record: number, fields })
            };
            let records = list.iter().skip(cursor).take(limit).filter_map(record).collect();
            let end = cursor.saturating_add(limit);
            FitbitPage { records, next: (end < list.len()).then_some(end) }
        })
    }

    /// One entry's JSON text, metric.
    pub fn fitbit_record(&self, id: &str, log: FitbitLog, record: u32) -> Result<String, Error> {
        self.fitbit(id, |user| user.json(log, record))?.ok_or_else(|| unknown(log, record))
    }

    /// Replaces the fields named in `patch`, a JSON object, by anything; answers the new JSON.
    pub fn edit_fitbit_record(
        &self,
        id: &str,
        log: FitbitLog,
        record: u32,
        patch: &str,
    ) -> Result<String, Error> {
        let now = self.now().timestamp();
        self.change_fitbit(id, |user| {
            user.edit(log, record, patch, now)?;
            user.json(log, record).ok_or_else(|| unknown(log, record))
        })
    }

    /// Takes an entry away.
    pub fn delete_fitbit_record(&self, id: &str, log: FitbitLog, record: u32) -> Result<(), Error> {
        self.change_fitbit(id, |user| {
            user.delete(log, record).then_some(()).ok_or_else(|| unknown(log, record))
        })
    }

    /// A late upload: an entry that began at a local time of the user's, however long ago, with the
    /// fields of `patch` replaced; answers its number.
    pub fn add_fitbit_record(
        &self,
        id: &str,
        log: FitbitLog,
        began: NaiveDateTime,
        patch: Option<&str>,
    ) -> Result<u32, Error> {
        let now = self.now().timestamp();
        self.change_fitbit(id, |user| {
            let record = user.add(log, began);
            if let Some(patch) = patch
                && let Err(error) = user.edit(log, record, patch, now)
            {
                user.delete(log, record);
                return Err(error.into());
            }
            Ok(record)
        })
    }

    /// The code that the consent page would send back; `scope` separated by spaces.
    pub fn fitbit_code(&self, id: &str, scope: &str) -> Result<String, Error> {
        let (user, scope) = (id.to_owned(), scope.to_owned());
        let consent = Consent { user, scope, challenge: None, redirect: None };
        let now = self.now();
        self.fitbit(id, |_| locked(&self.0.fitbit.tokens).authorize(consent, now))
    }

    /// A pair as if a code had been exchanged just now.
    pub fn grant_fitbit(&self, id: &str, scope: &str) -> Result<FitbitTokens, Error> {
        let now = self.now();
        self.fitbit(id, |_| locked(&self.0.fitbit.tokens).grant(id, scope, now))
    }

    /// Ends the user's access tokens `seconds` from now: at once with 0. Refresh tokens live.
    /// Answers how many tokens that were.
    pub fn expire_fitbit_tokens(&self, id: &str, seconds: i64) -> Result<usize, Error> {
        let now = self.now();
        self.fitbit(id, |_| locked(&self.0.fitbit.tokens).expire(id, seconds, now))
    }

    /// What the user does in Fitbit's settings: ends all consent. Answers to how many.
    pub fn revoke_fitbit(&self, id: &str) -> Result<usize, Error> {
        self.fitbit(id, |_| locked(&self.0.fitbit.tokens).revoke(id))
    }

    /// Changes what Fitbit allows for each user; calls counted so far stay counted.
    pub fn set_fitbit_quota(&self, quota: FitbitQuota) {
        locked(&self.0.fitbit.budgets).set_limit(quota);
    }

    /// What Fitbit allows for each user.
    #[must_use]
    pub fn fitbit_quota(&self) -> FitbitQuota {
        locked(&self.0.fitbit.budgets).limit()
    }

    /// Forgets the calls counted so far, of all users.
    pub fn forget_fitbit_usage(&self) {
        locked(&self.0.fitbit.budgets).forget();
    }

    /// A user's calls in the present hour.
    pub fn fitbit_usage(&self, id: &str) -> Result<FitbitStanding, Error> {
        let now = self.now();
        self.fitbit(id, |_| locked(&self.0.fitbit.budgets).standing(id, now))
    }

    /// Calls that the quotas counted since the start, and those that were too many.
    #[must_use]
    pub fn fitbit_calls(&self) -> FitbitCalls {
        locked(&self.0.fitbit.budgets).calls()
    }

    /// From now on every call, OAuth included, is answered 410; or not any more.
    pub fn set_fitbit_gone(&self, gone: bool) {
        self.0.fitbit.gone.store(gone, Ordering::Relaxed);
    }

    /// Whether every call is answered 410.
    #[must_use]
    pub fn fitbit_gone(&self) -> bool {
        self.0.fitbit.is_gone()
    }
}

fn unknown(log: FitbitLog, record: u32) -> Error {
    Error::UnknownRecord(format!("{record} in the log of {log}"))
}
