//! The handle's side of Garmin: users, their summaries, their consent.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::population::{self, GarminPopulation, GarminUserSummary};
use super::quota::GarminCalls;
use super::settings::GarminSettings;
use super::summary_type::{ACTIVITY_EXPORT, GarminType, HEALTH_EXPORT, HISTORICAL_DATA_EXPORT};
use super::tokens::{Consent, GarminTokens};
use super::user::User;
use crate::error::Error;
use crate::locks::{locked, reading, writing};
use crate::simulator::Simulator;
use crate::strava::StartRange;

/// Everything that a user can let an application do.
pub const GARMIN_PERMISSIONS: [&str; 6] = [
    ACTIVITY_EXPORT,
    HEALTH_EXPORT,
    HISTORICAL_DATA_EXPORT,
    "WORKOUT_IMPORT",
    "COURSE_IMPORT",
    "MCT_EXPORT",
];

/// Some of the summaries that Garmin truly holds, each in its newest version.
#[derive(Clone, Debug, Serialize)]
pub struct GarminPage {
    /// JSON texts, oldest first.
    pub records: Vec<Box<serde_json::value::RawValue>>,
    /// Where to go on; `None` at the end.
    pub next: Option<usize>,
}

impl Simulator {
    /// A new user, by Garmin's id.
    ///
    /// Fails with [`Error::TooLarge`] or [`Error::UserExists`].
    pub fn add_garmin_user(&self, population: &GarminPopulation) -> Result<String, Error> {
        self.0.garmin.add_user(&self.0, population)
    }

    /// All users' ids.
    #[must_use]
    pub fn garmin_users(&self) -> Vec<String> {
        reading(&self.0.garmin.users).keys().cloned().collect()
    }

    fn with_garmin<T>(
        &self,
        id: &str,
        act: impl FnOnce(&mut User) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let user = self.0.garmin.user(id).ok_or_else(|| Error::UnknownUser(id.to_owned()))?;
        act(&mut writing(&user))
    }

    /// A user in figures.
    pub fn garmin_user(&self, id: &str) -> Result<GarminUserSummary, Error> {
        let tally = locked(&self.0.garmin.tokens).tally(id);
        self.with_garmin(id, |user| Ok(population::summary(user, tally)))
    }

    /// What Garmin truly holds of a type, from position `cursor` (0 at first), oldest first. The range
    /// is of starts; a user's metrics start with their date.
    pub fn garmin_records(
        &self,
        id: &str,
        of: GarminType,
        range: StartRange,
        cursor: usize,
        limit: usize,
    ) -> Result<GarminPage, Error> {
        self.with_garmin(id, |user| {
            let (records, next) = user.truth(of, (range.after, range.before), cursor, limit);
            Ok(GarminPage { records, next })
        })
    }

    /// One summary's newest JSON.
    pub fn garmin_record(
        &self,
        id: &str,
        of: GarminType,
        summary_id: &str,
    ) -> Result<String, Error> {
        self.with_garmin(id, |user| Ok(user.latest(of, user.find(of, summary_id)?)))
    }

    /// Replaces the fields named in `patch`, a JSON object, by anything, and uploads the summary again
    /// under its id; answers the new JSON.
    pub fn edit_garmin_record(
        &self,
        id: &str,
        of: GarminType,
        summary_id: &str,
        patch: &str,
    ) -> Result<String, Error> {
        let now = self.now().timestamp();
        self.with_garmin(id, |user| {
            let slot = user.find(of, summary_id)?;
            user.edit(of, slot, patch, now)?;
            Ok(user.latest(of, slot))
        })
    }

    /// Takes a summary away: no later pull or backfill tells of it, and nothing tells that it is gone.
    pub fn delete_garmin_record(
        &self,
        id: &str,
        of: GarminType,
        summary_id: &str,
    ) -> Result<(), Error> {
        self.with_garmin(id, |user| {
            let slot = user.find(of, summary_id)?;
            user.delete(of, slot);
            Ok(())
        })
    }

    /// A late upload: a summary that began at `start`, however long ago, uploaded now, with the fields
    /// of `patch` replaced; answers its JSON.
    pub fn add_garmin_record(
        &self,
        id: &str,
        of: GarminType,
        start: DateTime<Utc>,
        patch: Option<&str>,
    ) -> Result<String, Error> {
        let now = self.now().timestamp();
        self.with_garmin(id, |user| {
            let slot = user.add(of, start.timestamp(), patch, now)?;
            Ok(user.latest(of, slot))
        })
    }

    /// The code that the consent page would send back. Without a challenge any verifier will do.
    pub fn garmin_code(
        &self,
        id: &str,
        permissions: &[&str],
        challenge: Option<&str>,
    ) -> Result<String, Error> {
        self.set_garmin_permissions(id, permissions)?;
        let challenge = challenge.map(str::to_owned);
        let consent = Consent { user: id.to_owned(), challenge, redirect_uri: None };
        Ok(locked(&self.0.garmin.tokens).authorize(consent, self.now()))
    }

    /// A pair as if a code had been exchanged just now.
    pub fn grant_garmin(&self, id: &str, permissions: &[&str]) -> Result<GarminTokens, Error> {
        self.set_garmin_permissions(id, permissions)?;
        Ok(locked(&self.0.garmin.tokens).grant(id, self.now()))
    }

    /// What the user lets the application have from now on, in Garmin's settings.
    pub fn set_garmin_permissions(&self, id: &str, permissions: &[&str]) -> Result<(), Error> {
        self.with_garmin(id, |user| {
            user.permissions = permissions.iter().map(|&name| name.to_owned()).collect();
            Ok(())
        })
    }

    /// Ends the user's access tokens `seconds` from now (at once with 0), and with `refresh_too` the
    /// refresh tokens. Answers how many access tokens that were.
    pub fn expire_garmin_tokens(
        &self,
        id: &str,
        seconds: i64,
        refresh_too: bool,
    ) -> Result<usize, Error> {
        let now = self.now();
        let tokens = &self.0.garmin.tokens;
        self.with_garmin(id, |_| Ok(locked(tokens).expire(id, seconds, refresh_too, now)))
    }

    /// What the user does in Garmin's settings: ends all consent. Answers to how many.
    pub fn revoke_garmin(&self, id: &str) -> Result<usize, Error> {
        self.with_garmin(id, |user| {
            user.forget_backfills();
            Ok(locked(&self.0.garmin.tokens).revoke(id))
        })
    }

    /// What must never be in anybody's log: tokens given out, dead refresh tokens too, and unused codes.
    #[must_use]
    pub fn garmin_secrets(&self) -> Vec<String> {
        locked(&self.0.garmin.tokens).secrets()
    }

    /// The rules in force.
    #[must_use]
    pub fn garmin_settings(&self) -> GarminSettings {
        self.0.garmin.settings()
    }

    /// Changes the rules; calls counted so far stay counted, unless the length of the window changes.
    pub fn set_garmin_settings(&self, settings: GarminSettings) {
        *writing(&self.0.garmin.settings) = settings;
    }

    /// Forgets the calls and days counted in this minute.
    pub fn forget_garmin_usage(&self) {
        locked(&self.0.garmin.meter).forget();
    }

    /// Calls that the quota counted since the start, and those that were too many.
    #[must_use]
    pub fn garmin_calls(&self) -> GarminCalls {
        locked(&self.0.garmin.meter).calls()
    }
}
