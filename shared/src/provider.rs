//! The providers by name, and which kinds of sync each has. All else about a provider lives in its
//! one file in the worker.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A source of activities and measurements.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    sqlx::Type,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Provider {
    /// Strava v3.
    Strava,
    /// Withings.
    Withings,
    /// Google Health v4.
    GoogleHealth,
    /// Fitbit Web API.
    Fitbit,
    /// Garmin Health and Activity API.
    Garmin,
}

impl Provider {
    /// Every provider that has a name here.
    pub const ALL: [Self; 5] =
        [Self::Strava, Self::Withings, Self::GoogleHealth, Self::Fitbit, Self::Garmin];

    /// The name on every wire and in every table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strava => "strava",
            Self::Withings => "withings",
            Self::GoogleHealth => "google_health",
            Self::Fitbit => "fitbit",
            Self::Garmin => "garmin",
        }
    }

    /// The name that people read.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Strava => "Strava",
            Self::Withings => "Withings",
            Self::GoogleHealth => "Google Health",
            Self::Fitbit => "Fitbit",
            Self::Garmin => "Garmin",
        }
    }

    /// What can be synced from this provider by this version, the usual one first; empty: nothing yet.
    #[must_use]
    pub const fn job_types(self) -> &'static [JobType] {
        use JobType as J;
        match self {
            Self::Strava => &[J::Activities],
            Self::Withings | Self::Fitbit => &[J::All, J::Measurements, J::Activities, J::Daily],
            Self::Garmin => &[J::All, J::Activities, J::Health, J::Workouts],
            Self::GoogleHealth => &[],
        }
    }

    /// What is read where nobody says which; `None`: nothing can be.
    #[must_use]
    pub const fn usual_job_type(self) -> Option<JobType> {
        match self.job_types() {
            [usual, ..] => Some(*usual),
            [] => None,
        }
    }

    /// What a step of its syncs is called.
    #[must_use]
    pub const fn step_unit(self) -> &'static str {
        match self {
            Self::Strava | Self::Withings | Self::GoogleHealth => "page",
            Self::Fitbit => "chunk",
            Self::Garmin => "window",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no provider.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no provider; known are strava, withings, google_health, fitbit and garmin")]
pub struct UnknownProvider(pub String);

impl FromStr for Provider {
    type Err = UnknownProvider;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|p| p.as_str() == text)
            .ok_or_else(|| UnknownProvider(text.to_owned()))
    }
}

/// What a sync reads from its provider.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum JobType {
    /// Everything that the provider has.
    All,
    /// Activities: runs, rides and the rest.
    Activities,
    /// What was measured of the body.
    Measurements,
    /// Days' totals and nights.
    Daily,
    /// Garmin's word for all that is no activity: days, nights, measured values.
    Health,
    /// Garmin's word for workouts that a device noticed by itself.
    Workouts,
}

impl JobType {
    /// Every job type.
    pub const ALL: [Self; 6] = [
        Self::All,
        Self::Activities,
        Self::Measurements,
        Self::Daily,
        Self::Health,
        Self::Workouts,
    ];

    /// The name on every wire and in every table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Activities => "activities",
            Self::Measurements => "measurements",
            Self::Daily => "daily",
            Self::Health => "health",
            Self::Workouts => "workouts",
        }
    }
}

/// The text names no job type.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no job type; known are all, activities, measurements, daily, health and workouts"
)]
pub struct UnknownJobType(pub String);

impl FromStr for JobType {
    type Err = UnknownJobType;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|j| j.as_str() == text)
            .ok_or_else(|| UnknownJobType(text.to_owned()))
    }
}

impl fmt::Display for JobType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_found_by_its_name_and_by_no_other() {
        for provider in Provider::ALL {
            assert_eq!(provider.as_str().parse::<Provider>().unwrap(), provider);
            assert_eq!(serde_json::to_value(provider).unwrap(), provider.as_str());
        }
        assert!("Strava".parse::<Provider>().is_err());
    }
}
