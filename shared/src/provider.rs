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

    /// What can be synced from this provider by this version; empty: nothing yet.
    #[must_use]
    pub const fn job_types(self) -> &'static [JobType] {
        match self {
            Self::Strava => &[JobType::Activities],
            Self::Withings | Self::GoogleHealth | Self::Fitbit | Self::Garmin => &[],
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
    /// Activities: runs, rides and the rest.
    Activities,
}

impl JobType {
    /// Every job type.
    pub const ALL: [Self; 1] = [Self::Activities];

    /// The name on every wire and in every table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Activities => "activities",
        }
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
