//! What a dashboard shows.

use super::{activity::ActivityView, measurement::MeasurementView};
use chrono::{DateTime, Utc};
use paceline_shared::{
    Provider,
    db::connections::{Source, State},
};
use serde::Serialize;
use uuid::Uuid;

/// Data of a range, and how fresh they are.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Dashboard)]
pub(crate) struct DashboardView {
    /// From this instant on.
    pub(crate) after: DateTime<Utc>,
    /// To this one, excluded.
    pub(crate) before: DateTime<Utc>,
    /// Older than this, in seconds, is stale.
    pub(crate) stale_after_s: i16,
    /// Whether newer data are on their way.
    pub(crate) refreshing: bool,
    /// Names the syncs that bring them, for `GET /api/v1/progress/{id}`; null when nothing had to be read.
    pub(crate) progress_id: Option<Uuid>,
    /// Where the data are from.
    pub(crate) sources: Vec<SourceView>,
    /// Activities, newest start first.
    pub(crate) activities: Vec<ActivityView>,
    /// Measured values, newest first.
    pub(crate) measurements: Vec<MeasurementView>,
    /// Whether the range has more than was asked for; the lists of each kind have pages.
    pub(crate) truncated: bool,
}

/// A connected account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DashboardSource)]
pub(crate) struct SourceView {
    /// At which provider.
    provider: Provider,
    /// Whether it can be read.
    state: State,
    /// When all that was new was last read; null: never.
    last_synced_at: Option<DateTime<Utc>>,
    /// Whether that is too long ago.
    stale: bool,
    /// What its user can do, where something can be done: `reconnect`, `connect_another_provider`.
    action: Option<&'static str>,
}

impl From<&Source> for SourceView {
    fn from(source: &Source) -> Self {
        Self {
            provider: source.provider,
            state: source.state,
            last_synced_at: source.last_synced_at,
            stale: source.stale,
            action: match source.state {
                State::NeedsReauth | State::Limited => Some("reconnect"),
                State::ProviderGone => Some("connect_another_provider"),
                State::Active | State::Revoked => None,
            },
        }
    }
}
