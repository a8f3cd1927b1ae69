//! Garmin's summary types: their names in paths, whose API they belong to, what a user must grant.
//!
//! Must not know users or records.

use serde::{Deserialize, Serialize};

/// A kind of summary, as pulled from a path of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GarminType {
    /// Recorded by a device because its wearer said so.
    Activities,
    /// Samples of activities; nothing here.
    ActivityDetails,
    /// Typed in by hand.
    ManuallyUpdatedActivities,
    /// Noticed by the device itself.
    MoveIQActivities,
    /// A local day in sums.
    Dailies,
    /// Quarters of an hour; nothing here.
    Epochs,
    /// A night.
    Sleeps,
    /// A weighing.
    BodyComps,
    /// Stress of a day; nothing here.
    StressDetails,
    /// VO2 max and fitness age of a date.
    UserMetrics,
    /// Blood oxygen; nothing here.
    #[serde(rename = "pulseox")]
    PulseOx,
    /// Breaths; nothing here.
    AllDayRespiration,
    /// Heart rate variability; nothing here.
    #[serde(rename = "hrv")]
    HeartRateVariability,
    /// A reading of a cuff, or typed in.
    BloodPressures,
    /// Two minutes of everything; nothing here.
    HealthSnapshot,
}

/// The two APIs that share the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Api {
    Activity,
    Health,
}

pub(super) const ACTIVITY_EXPORT: &str = "ACTIVITY_EXPORT";
pub(super) const HEALTH_EXPORT: &str = "HEALTH_EXPORT";
pub(super) const HISTORICAL_DATA_EXPORT: &str = "HISTORICAL_DATA_EXPORT";

impl GarminType {
    /// Those that hold records here; the others are answered with an empty array.
    pub const HELD: [Self; 8] = [
        Self::Activities,
        Self::ManuallyUpdatedActivities,
        Self::MoveIQActivities,
        Self::Dailies,
        Self::Sleeps,
        Self::BodyComps,
        Self::BloodPressures,
        Self::UserMetrics,
    ];

    const EMPTY: [Self; 7] = [
        Self::ActivityDetails,
        Self::Epochs,
        Self::StressDetails,
        Self::PulseOx,
        Self::AllDayRespiration,
        Self::HeartRateVariability,
        Self::HealthSnapshot,
    ];

    /// By its name in a path.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::HELD.into_iter().chain(Self::EMPTY).find(|one| one.name() == name)
    }

    /// As in paths and in notifications.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Activities => "activities",
            Self::ActivityDetails => "activityDetails",
            Self::ManuallyUpdatedActivities => "manuallyUpdatedActivities",
            Self::MoveIQActivities => "moveIQActivities",
            Self::Dailies => "dailies",
            Self::Epochs => "epochs",
            Self::Sleeps => "sleeps",
            Self::BodyComps => "bodyComps",
            Self::StressDetails => "stressDetails",
            Self::UserMetrics => "userMetrics",
            Self::PulseOx => "pulseox",
            Self::AllDayRespiration => "allDayRespiration",
            Self::HeartRateVariability => "hrv",
            Self::BloodPressures => "bloodPressures",
            Self::HealthSnapshot => "healthSnapshot",
        }
    }

    /// How the refusal of an endpoint that is not enabled calls it.
    pub(super) const fn connect_name(self) -> &'static str {
        match self {
            Self::Activities => "CONNECT_ACTIVITY",
            Self::ActivityDetails => "CONNECT_ACTIVITY_DETAIL",
            Self::ManuallyUpdatedActivities => "CONNECT_MANUALLY_UPDATED_ACTIVITY",
            Self::MoveIQActivities => "CONNECT_MOVE_IQ",
            Self::Dailies => "CONNECT_DAILIES",
            Self::Epochs => "CONNECT_EPOCHS",
            Self::Sleeps => "CONNECT_SLEEP",
            Self::BodyComps => "CONNECT_BODY_COMP",
            Self::StressDetails => "CONNECT_STRESS",
            Self::UserMetrics => "CONNECT_USER_METRICS",
            Self::PulseOx => "CONNECT_PULSE_OX",
            Self::AllDayRespiration => "CONNECT_RESPIRATION",
            Self::HeartRateVariability => "CONNECT_HRV",
            Self::BloodPressures => "CONNECT_BLOOD_PRESSURE",
            Self::HealthSnapshot => "CONNECT_HEALTH_SNAPSHOT",
        }
    }

    pub(super) const fn api(self) -> Api {
        match self {
            Self::Activities
            | Self::ActivityDetails
            | Self::ManuallyUpdatedActivities
            | Self::MoveIQActivities => Api::Activity,
            _ => Api::Health,
        }
    }

    /// What the user must have granted for any of it to leave Garmin.
    pub(super) const fn permission(self) -> &'static str {
        match self.api() {
            Api::Activity => ACTIVITY_EXPORT,
            Api::Health => HEALTH_EXPORT,
        }
    }

    /// Days that one request for backfill may span.
    pub(super) const fn most_backfill_days(self) -> u32 {
        match self.api() {
            Api::Activity => 30,
            Api::Health => 90,
        }
    }

    /// The field that says when it began; a user's metrics have none, only a date.
    pub(super) const fn time_field(self) -> Option<&'static str> {
        match self {
            Self::UserMetrics => None,
            Self::BodyComps | Self::BloodPressures => Some("measurementTimeInSeconds"),
            _ => Some("startTimeInSeconds"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_the_name_that_it_has_in_json() {
        for one in GarminType::HELD.into_iter().chain(GarminType::EMPTY) {
            assert_eq!(serde_json::to_value(one).unwrap(), one.name());
            assert_eq!(GarminType::named(one.name()), Some(one));
        }
        assert_eq!(GarminType::named("activityFiles"), None);
    }
}
