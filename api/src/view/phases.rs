//! Each phase of a sync by itself: how far, since when, until when.

use chrono::{DateTime, Utc};
use paceline_shared::{db::syncs::Sync, job_state::JobState, progress::Phase};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A phase by the name that callers know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PhaseName {
    /// Reads the provider's pages.
    Fetching,
    /// Gets weather and place.
    Enriching,
    /// Writes the records.
    Storing,
}

impl From<Phase> for PhaseName {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Fetch => Self::Fetching,
            Phase::Enrich => Self::Enriching,
            Phase::Store | Phase::Done => Self::Storing,
        }
    }
}

/// How a phase stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PhaseStatus {
    /// Not reached.
    Pending,
    /// Under way; while the sync waits as well.
    InProgress,
    /// Over.
    Completed,
    /// The sync ended in it, by failure or because it was cancelled.
    Failed,
}

/// A phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Phase)]
pub(crate) struct PhaseView {
    /// How it stands.
    pub(crate) status: PhaseStatus,
    /// Items it is through with.
    pub(crate) processed: i32,
    /// Items there are for it; null while that is unknown.
    pub(crate) total: Option<i32>,
    /// Items it could not do.
    pub(crate) errors: i32,
    /// When it began.
    pub(crate) start_time: Option<DateTime<Utc>>,
    /// When it was over.
    pub(crate) end_time: Option<DateTime<Utc>>,
}

/// All three.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct PhaseProgress {
    /// Reading the provider's pages.
    pub(crate) fetching: PhaseView,
    /// Getting weather and place.
    pub(crate) enriching: PhaseView,
    /// Writing the records.
    pub(crate) storing: PhaseView,
}

/// As a run keeps them: `{"fetch": {"start": …, "end": …}, …}`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Times {
    pub(super) start: Option<DateTime<Utc>>,
    pub(super) end: Option<DateTime<Utc>>,
}

/// When a phase of a sync began and ended.
pub(super) fn times(sync: &Sync, phase: Phase) -> Times {
    HashMap::<String, Times>::deserialize(&sync.phase_times)
        .ok()
        .and_then(|times| times.get(phase.as_str()).copied())
        .unwrap_or_default()
}

/// Items that have to go through enrich and store; `None` until fetch is over.
pub(super) fn total(sync: &Sync) -> Option<i32> {
    (sync.phase > Phase::Fetch).then(|| sync.counts.to_process())
}

impl PhaseProgress {
    pub(super) fn of(sync: &Sync) -> Self {
        let counts = &sync.counts;
        let fetched_all = (sync.phase > Phase::Fetch).then_some(counts.fetched);
        let view = |phase, processed, total, errors| {
            let Times { start, end } = times(sync, phase);
            let status = status(sync, phase);
            PhaseView { status, processed, total, errors, start_time: start, end_time: end }
        };
        Self {
            fetching: view(Phase::Fetch, counts.fetched, fetched_all.or(sync.estimated_total), 0),
            enriching: view(Phase::Enrich, counts.enriched, total(sync), counts.enrich_failed),
            storing: view(Phase::Store, counts.processed(), total(sync), counts.failed),
        }
    }
}

fn status(sync: &Sync, phase: Phase) -> PhaseStatus {
    let reached = sync.phase;
    if sync.state == JobState::Completed || phase < reached {
        PhaseStatus::Completed
    } else if phase > reached || sync.started_at.is_none() {
        PhaseStatus::Pending
    } else if sync.state.is_final() {
        PhaseStatus::Failed
    } else {
        PhaseStatus::InProgress
    }
}
