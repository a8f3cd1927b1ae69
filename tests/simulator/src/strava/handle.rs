//! The handle's side of Strava: athletes, their activities, their consent.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::athlete::Athlete;
use super::population::{self, AthleteSummary, Population, StartRange};
use super::quota::{Standing, StravaCalls, StravaQuota};
use super::tokens::TokenPair;
use crate::error::Error;
use crate::locks::{locked, reading, writing};
use crate::simulator::Simulator;

/// Some of the activities that Strava truly holds, as JSON texts with the fields of its list.
#[derive(Clone, Debug, Serialize)]
pub struct TruePage {
    /// Oldest first.
    pub activities: Vec<Box<serde_json::value::RawValue>>,
    /// Where to go on; `None` at the end.
    pub next: Option<usize>,
}

/// What a new athlete's consent is given to by default: all that can be read.
pub const FULL_SCOPE: &str = "read,activity:read_all,profile:read_all";

impl Simulator {
    /// A new athlete, by number.
    ///
    /// Fails with [`Error::TooLarge`] or [`Error::AthleteExists`].
    pub fn add_athlete(&self, population: &Population) -> Result<u64, Error> {
        self.0.strava.add_athlete(&self.0, population)
    }

    /// All athletes' numbers.
    #[must_use]
    pub fn athletes(&self) -> Vec<u64> {
        reading(&self.0.strava.athletes).keys().copied().collect()
    }

    fn with<T>(&self, id: u64, look: impl FnOnce(&Athlete) -> T) -> Result<T, Error> {
        let athlete = self.0.strava.athlete(id).ok_or(Error::UnknownAthlete(id))?;
        let athlete = reading(&athlete);
        Ok(look(&athlete))
    }

    fn change<T>(
        &self,
        id: u64,
        change: impl FnOnce(&mut Athlete) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let athlete = self.0.strava.athlete(id).ok_or(Error::UnknownAthlete(id))?;
        change(&mut writing(&athlete))
    }

    /// An athlete in figures, over the starts in `range`.
    pub fn athlete(&self, id: u64, range: StartRange) -> Result<AthleteSummary, Error> {
        let tally = locked(&self.0.strava.tokens).tally(id);
        let pages = |total| self.0.strava.paging(id, 200).pages(total);
        self.with(id, |athlete| population::summary(athlete, range, pages, tally))
    }

    /// What Strava truly holds, from position `cursor` (0 at first), oldest first.
    pub fn activities(
        &self,
        id: u64,
        range: StartRange,
        cursor: usize,
        limit: usize,
    ) -> Result<TruePage, Error> {
        self.with(id, |athlete| {
            let list = athlete.range(range.after, range.before);
            let activities = list.iter().skip(cursor).take(limit).filter_map(|&number| {
                serde_json::value::RawValue::from_string(athlete.json(number)).ok()
            });
            let end = cursor.saturating_add(limit);
            TruePage { activities: activities.collect(), next: (end < list.len()).then_some(end) }
        })
    }

    /// One activity's JSON, with the fields of the list.
    pub fn activity(&self, athlete: u64, activity: u64) -> Result<String, Error> {
        self.with(athlete, |athlete| Some(athlete.json(athlete.number(activity)?)))?
            .ok_or(Error::UnknownActivity(activity))
    }

    /// Replaces the fields named in `patch`, a JSON object, by anything; answers the new JSON.
    pub fn edit_activity(&self, athlete: u64, activity: u64, patch: &str) -> Result<String, Error> {
        self.change(athlete, |athlete| {
            let number = athlete.number(activity).ok_or(Error::UnknownActivity(activity))?;
            athlete.edit(number, patch)?;
            Ok(athlete.json(number))
        })
    }

    /// Takes an activity away.
    pub fn delete_activity(&self, athlete: u64, activity: u64) -> Result<(), Error> {
        self.change(athlete, |athlete| {
            let number = athlete.number(activity).ok_or(Error::UnknownActivity(activity))?;
            athlete.delete(number);
            Ok(())
        })
    }

    /// A late upload: an activity that began at `start`, however long ago, with the fields of
    /// `patch` replaced; answers its JSON.
    pub fn add_activity(
        &self,
        athlete: u64,
        start: DateTime<Utc>,
        patch: Option<&str>,
    ) -> Result<String, Error> {
        self.change(athlete, |athlete| {
            let full = Error::TooLarge {
                most_activities: super::IDS_PER_ATHLETE,
                most_years: super::MOST_YEARS,
            };
            let number = athlete.add(start.timestamp()).ok_or(full)?;
            if let Some(patch) = patch
                && let Err(error) = athlete.edit(number, patch)
            {
                athlete.delete(number);
                return Err(error.into());
            }
            Ok(athlete.json(number))
        })
    }

    /// The code that the consent page would send back; `scope` comma-separated.
    pub fn authorization_code(&self, athlete: u64, scope: &str) -> Result<String, Error> {
        self.with(athlete, |_| locked(&self.0.strava.tokens).authorize(athlete, scope))
    }

    /// What must never be in anybody's log: tokens given out, dead refresh tokens too, and unused codes.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = locked(&self.0.strava.tokens).secrets();
        secrets.extend(crate::fitbit::secrets(&self.0));
        secrets.extend(self.garmin_secrets());
        secrets.extend(self.withings_secrets());
        secrets
    }

    /// A pair as if a code had been exchanged just now.
    pub fn grant(&self, athlete: u64, scope: &str) -> Result<TokenPair, Error> {
        let now = self.now();
        self.with(athlete, |_| locked(&self.0.strava.tokens).grant(athlete, scope, now))
    }

    /// Ends the athlete's access tokens `seconds` from now: at once with 0. Refresh tokens live.
    /// Answers how many tokens that were.
    pub fn expire_access_tokens(&self, athlete: u64, seconds: i64) -> Result<usize, Error> {
        let now = self.now();
        self.with(athlete, |_| locked(&self.0.strava.tokens).expire(athlete, seconds, now))
    }

    /// What the athlete does in Strava's settings: ends all consent. Answers to how many.
    pub fn revoke(&self, athlete: u64) -> Result<usize, Error> {
        self.with(athlete, |_| locked(&self.0.strava.tokens).revoke(athlete))
    }

    /// Changes what Strava allows; calls counted so far stay counted.
    pub fn set_strava_quota(&self, quota: StravaQuota) {
        locked(&self.0.strava.windows).set_limit(quota);
    }

    /// Forgets the calls counted so far.
    pub fn forget_strava_usage(&self) {
        locked(&self.0.strava.windows).forget();
    }

    /// Calls that the quota counted since the start, and those that were too many.
    #[must_use]
    pub fn strava_calls(&self) -> StravaCalls {
        locked(&self.0.strava.windows).calls()
    }

    /// Limits and calls counted in the present windows.
    #[must_use]
    pub fn strava_usage(&self) -> Standing {
        locked(&self.0.strava.windows).standing(self.now())
    }
}
