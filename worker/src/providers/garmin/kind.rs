//! Garmin's types of summaries, and the lists that they make up.

use super::{ACTIVITY_EXPORT, HEALTH_EXPORT};
use crate::providers::Unreadable;
use chrono::TimeDelta;
use paceline_shared::JobType;
use serde::{Deserialize, Serialize};

/// A type of summary: an endpoint of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Kind {
    Activities,
    ManuallyUpdatedActivities,
    #[serde(rename = "moveIQActivities")]
    MoveIqActivities,
    Dailies,
    Sleeps,
    BodyComps,
    BloodPressures,
    UserMetrics,
}

impl Kind {
    /// As Garmin writes it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Activities => "activities",
            Self::ManuallyUpdatedActivities => "manuallyUpdatedActivities",
            Self::MoveIqActivities => "moveIQActivities",
            Self::Dailies => "dailies",
            Self::Sleeps => "sleeps",
            Self::BodyComps => "bodyComps",
            Self::BloodPressures => "bloodPressures",
            Self::UserMetrics => "userMetrics",
        }
    }

    /// The list that its summaries belong to.
    pub(super) const fn stream(self) -> Stream {
        match self {
            Self::Activities | Self::ManuallyUpdatedActivities => Stream::Activities,
            Self::MoveIqActivities => Stream::MoveIqActivities,
            Self::Dailies => Stream::Dailies,
            Self::Sleeps => Stream::Sleeps,
            Self::BodyComps => Stream::BodyComps,
            Self::BloodPressures => Stream::BloodPressures,
            Self::UserMetrics => Stream::UserMetrics,
        }
    }
}

/// A list of records. One of them comes from two endpoints: an activity that was entered or edited by hand has the
/// `summaryId` of the one that it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Stream {
    Activities,
    Dailies,
    Sleeps,
    BodyComps,
    BloodPressures,
    UserMetrics,
    #[serde(rename = "moveIQActivities")]
    MoveIqActivities,
}

impl Stream {
    const ALL: [Self; 7] = [
        Self::Activities,
        Self::Dailies,
        Self::Sleeps,
        Self::BodyComps,
        Self::BloodPressures,
        Self::UserMetrics,
        Self::MoveIqActivities,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self.kinds() {
            [first, ..] => first.name(),
            [] => "",
        }
    }

    pub(super) fn named(name: &str) -> Result<Self, Unreadable> {
        let stream = Self::ALL.into_iter().find(|stream| stream.name() == name);
        stream.ok_or_else(|| Unreadable(format!("there is no list {name:?}")))
    }

    /// Those that a sync of this type reads.
    pub(super) fn of(job_type: JobType) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |stream| stream.is_of(job_type))
    }

    const fn is_of(self, job_type: JobType) -> bool {
        match job_type {
            JobType::All => true,
            JobType::Activities => matches!(self, Self::Activities),
            JobType::Workouts => matches!(self, Self::MoveIqActivities),
            JobType::Health => !matches!(self, Self::Activities | Self::MoveIqActivities),
            JobType::Measurements | JobType::Daily => false,
        }
    }

    /// Its endpoints, an edit behind what it edits.
    pub(super) const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Activities => &[Kind::Activities, Kind::ManuallyUpdatedActivities],
            Self::MoveIqActivities => &[Kind::MoveIqActivities],
            Self::Dailies => &[Kind::Dailies],
            Self::Sleeps => &[Kind::Sleeps],
            Self::BodyComps => &[Kind::BodyComps],
            Self::BloodPressures => &[Kind::BloodPressures],
            Self::UserMetrics => &[Kind::UserMetrics],
        }
    }

    const fn is_activity_api(self) -> bool {
        matches!(self, Self::Activities | Self::MoveIqActivities)
    }

    /// What the user must allow.
    pub(super) const fn permission(self) -> &'static str {
        if self.is_activity_api() { ACTIVITY_EXPORT } else { HEALTH_EXPORT }
    }

    /// How far back history can be asked for.
    pub(super) const fn history(self) -> TimeDelta {
        TimeDelta::days(if self.is_activity_api() { 5 * 365 } else { 2 * 365 })
    }

    /// How much of it in one request.
    pub(super) const fn request(self) -> TimeDelta {
        TimeDelta::days(if self.is_activity_api() { 30 } else { 90 })
    }
}
