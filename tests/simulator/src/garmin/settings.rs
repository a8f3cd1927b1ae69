//! What Garmin's simulated programme allows, all of it changeable while it runs.

use serde::{Deserialize, Serialize};

use super::summary_type::{Api, GarminType};

/// The rules of the programme and the temper of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GarminSettings {
    /// Calls to the API that an application may make in a minute. Default: more than anybody makes.
    pub requests_per_minute: u32,
    /// Days that an application may ask to be backfilled in a minute, of all users and types.
    /// Default [`GarminSettings::PRODUCTION_DAYS`].
    pub backfill_days_per_minute: u32,
    /// Seconds of what stands for the minute. Default 60.
    pub window_s: u32,
    /// Seconds from a request for backfill until its records have their new upload time. Default 2.
    pub backfill_delay_s: u32,
    /// Uploads older than this many days are not pulled any more. Default 7.
    pub uploads_kept_days: u32,
    /// How far back health summaries can be backfilled. Default two years.
    pub health_history_days: u32,
    /// How far back activities can be backfilled. Default five years.
    pub activity_history_days: u32,
    /// False: every pull is refused, as for an application that gets its data pushed. Default true.
    pub direct_pulls: bool,
    /// Types that the application did not enable for backfill. Default none.
    pub not_enabled: Vec<GarminType>,
}

impl GarminSettings {
    /// Days of backfill a minute for an application under evaluation.
    pub const EVALUATION_DAYS: u32 = 100;
    /// Days of backfill a minute for an application in production.
    pub const PRODUCTION_DAYS: u32 = 10_000;

    pub(super) fn history_days(&self, of: GarminType) -> u32 {
        match of.api() {
            Api::Activity => self.activity_history_days,
            Api::Health => self.health_history_days,
        }
    }
}

impl Default for GarminSettings {
    fn default() -> Self {
        Self {
            requests_per_minute: 1_000_000_000,
            backfill_days_per_minute: Self::PRODUCTION_DAYS,
            window_s: 60,
            backfill_delay_s: 2,
            uploads_kept_days: 7,
            health_history_days: 2 * 365,
            activity_history_days: 5 * 365,
            direct_pulls: true,
            not_enabled: Vec::new(),
        }
    }
}
