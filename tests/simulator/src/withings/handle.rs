//! The handle's side of Withings: users, their records, their consent.

use std::sync::{Arc, RwLock};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use super::population::{self, WithingsPopulation, WithingsSummary};
use super::quota::{WithingsCalls, WithingsQuota, WithingsUsage};
use super::record::{Record, WithingsKind};
use super::tokens::WithingsPair;
use super::user::User;
use super::values::{self, WithingsValue};
use crate::error::Error;
use crate::locks::{locked, reading, writing};
use crate::simulator::Simulator;

/// What a new user's consent is given to by default: all there is.
pub const WITHINGS_SCOPE: &str = "user.info,user.metrics,user.activity,user.sleepevents";

/// A record that Withings truly holds.
#[derive(Clone, Debug, Serialize)]
pub struct WithingsRecord {
    /// For edits and deletions: the same for as long as the record is there.
    pub number: usize,
    /// Whether a client must keep it: false for goals and for measures of somebody uncertain.
    pub counts: bool,
    /// With every field there is.
    pub record: Box<RawValue>,
}

/// Some of a list.
#[derive(Clone, Debug, Serialize)]
pub struct WithingsPage<T> {
    /// In the order they were stored in; values by group, time, type and position.
    pub records: Vec<T>,
    /// Where to go on; `None` at the end.
    pub next: Option<usize>,
}

impl<T> WithingsPage<T> {
    fn of(all: impl Iterator<Item = T>, cursor: usize, limit: usize) -> Self {
        let mut rest = all.skip(cursor);
        let records: Vec<T> = rest.by_ref().take(limit).collect();
        let next = rest.next().map(|_| cursor.saturating_add(limit));
        Self { records, next }
    }
}

impl WithingsRecord {
    fn of(kind: WithingsKind, number: usize, record: &Record) -> Self {
        Self { number, counts: record.counts(kind), record: record.json.clone() }
    }
}

impl Simulator {
    /// A new user at Withings, by number.
    ///
    /// Fails with [`Error::TooLarge`] or [`Error::UserExists`].
    pub fn add_withings_user(&self, population: &WithingsPopulation) -> Result<u64, Error> {
        self.0.withings.add_user(&self.0, population)
    }

    /// All users' numbers.
    #[must_use]
    pub fn withings_users(&self) -> Vec<u64> {
        reading(&self.0.withings.users).keys().copied().collect()
    }

    fn withings(&self, id: u64) -> Result<Arc<RwLock<User>>, Error> {
        self.0.withings.user(id).ok_or_else(|| Error::UnknownUser(id.to_string()))
    }

    /// A user in figures.
    pub fn withings_user(&self, id: u64) -> Result<WithingsSummary, Error> {
        let tally = locked(&self.0.withings.tokens).tally(id);
        let user = self.withings(id)?;
        Ok(population::summary(&reading(&user), self.0.withings.cut(id), tally))
    }

    /// What Withings truly holds in a list, from position `cursor` (0 at first).
    pub fn withings_records(
        &self,
        id: u64,
        kind: WithingsKind,
        cursor: usize,
        limit: usize,
    ) -> Result<WithingsPage<WithingsRecord>, Error> {
        let user = self.withings(id)?;
        let user = reading(&user);
        let all = user.shelf(kind).all();
        let told = all.map(|(number, record)| WithingsRecord::of(kind, number, record));
        Ok(WithingsPage::of(told, cursor, limit))
    }

    /// The values that a client must have of the user's measures: one for each group, time, type and
    /// position, goals and uncertain ones left out.
    pub fn withings_values(
        &self,
        id: u64,
        cursor: usize,
        limit: usize,
    ) -> Result<WithingsPage<WithingsValue>, Error> {
        let user = self.withings(id)?;
        let user = reading(&user);
        let groups = user.shelf(WithingsKind::Measures).all().map(|(_, record)| record);
        Ok(WithingsPage::of(values::truth(groups).into_iter(), cursor, limit))
    }

    /// One record.
    ///
    /// Fails with [`Error::UnknownRecord`].
    pub fn withings_record(
        &self,
        id: u64,
        kind: WithingsKind,
        number: usize,
    ) -> Result<WithingsRecord, Error> {
        let user = self.withings(id)?;
        let user = reading(&user);
        Ok(WithingsRecord::of(kind, number, user.record(kind, number)?))
    }

    /// A late upload: a record taken or begun at `at`, however long ago, that arrives now, with the
    /// fields of `patch` replaced. A day's activity is made for the local day of `at`.
    ///
    /// Fails with [`Error::RecordExists`] when that day has its summary already.
    pub fn add_withings_record(
        &self,
        id: u64,
        kind: WithingsKind,
        at: DateTime<Utc>,
        patch: Option<&str>,
    ) -> Result<WithingsRecord, Error> {
        let (user, now) = (self.withings(id)?, self.now());
        let number = writing(&user).add(kind, at, patch, now)?;
        self.withings_record(id, kind, number)
    }

    /// Replaces the fields named in `patch`, a JSON object, by anything, and sets `modified` to now
    /// unless the patch names it.
    pub fn edit_withings_record(
        &self,
        id: u64,
        kind: WithingsKind,
        number: usize,
        patch: &str,
    ) -> Result<WithingsRecord, Error> {
        let (user, now) = (self.withings(id)?, self.now());
        writing(&user).edit(kind, number, patch, now)?;
        self.withings_record(id, kind, number)
    }

    /// Takes a record away: no list tells of it any more.
    pub fn delete_withings_record(
        &self,
        id: u64,
        kind: WithingsKind,
        number: usize,
    ) -> Result<(), Error> {
        let user = self.withings(id)?;
        writing(&user).delete(kind, number)
    }

    /// The code that the consent page would send back; `scope` comma-separated. It works for thirty
    /// seconds, whatever `redirect_uri` the exchange names.
    pub fn withings_code(&self, id: u64, scope: &str) -> Result<String, Error> {
        let now = self.now();
        self.withings(id)?;
        Ok(locked(&self.0.withings.tokens).authorize(id, scope, None, now))
    }

    /// A pair as if a code had been exchanged just now.
    pub fn grant_withings(&self, id: u64, scope: &str) -> Result<WithingsPair, Error> {
        let now = self.now();
        self.withings(id)?;
        Ok(locked(&self.0.withings.tokens).grant(id, scope, now))
    }

    /// Ends the user's access tokens `seconds` from now: at once with 0. Refresh tokens live. Answers
    /// how many tokens that were.
    pub fn expire_withings_tokens(&self, id: u64, seconds: i64) -> Result<usize, Error> {
        let now = self.now();
        self.withings(id)?;
        Ok(locked(&self.0.withings.tokens).expire(id, seconds, now))
    }

    /// What the user does in Withings' settings: ends all consent. Answers to how many.
    pub fn revoke_withings(&self, id: u64) -> Result<usize, Error> {
        self.withings(id)?;
        Ok(locked(&self.0.withings.tokens).revoke(id))
    }

    /// What must never be in anybody's log: tokens given out and codes not used yet.
    #[must_use]
    pub fn withings_secrets(&self) -> Vec<String> {
        locked(&self.0.withings.tokens).secrets()
    }

    /// Changes what Withings allows; calls counted so far stay counted.
    pub fn set_withings_quota(&self, quota: WithingsQuota) {
        locked(&self.0.withings.minute).set(quota);
    }

    /// Forgets the calls counted so far.
    pub fn forget_withings_usage(&self) {
        locked(&self.0.withings.minute).forget();
    }

    /// Limit, and calls answered in the window that ends now.
    #[must_use]
    pub fn withings_usage(&self) -> WithingsUsage {
        locked(&self.0.withings.minute).usage(self.now())
    }

    /// Calls that the quota counted since the start, and those it refused.
    #[must_use]
    pub fn withings_calls(&self) -> WithingsCalls {
        locked(&self.0.withings.minute).calls()
    }
}
