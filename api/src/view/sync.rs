//! A sync as its user sees it.

use super::{
    failure::SyncError,
    phases::{PhaseName, PhaseProgress, times, total},
};
use chrono::{DateTime, TimeDelta, Utc};
use paceline_shared::{
    JobId, JobType, Provider,
    db::syncs::Sync,
    job_state::JobState,
    progress::{ClientStatus, Counts, Phase, client_status, percent},
    waiting,
};
use serde::Serialize;
use std::ops::Bound;

/// A sync: what was asked for, how far it is, how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Sync)]
pub(crate) struct SyncView {
    /// Its id.
    pub(crate) sync_id: JobId,
    /// From where.
    pub(crate) provider: Provider,
    /// What.
    pub(crate) job_type: JobType,
    /// Attempts begun; one that ended through no fault of the sync is given back.
    pub(crate) attempt: i16,
    /// When it was accepted.
    pub(crate) created_at: DateTime<Utc>,
    /// When something last happened.
    pub(crate) updated_at: DateTime<Utc>,
    /// Start times asked for.
    pub(crate) time_range: TimeRangeView,
    /// Where it is.
    pub(crate) status: ClientStatus,
    /// How far it is.
    pub(crate) progress: ProgressView,
    /// Why it waits, while it does: it is parked, or nothing is taken from its provider's queue. Waiting costs no
    /// attempt unless something failed before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) waiting: Option<WaitingView>,
    /// What came of it, once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) results: Option<Results>,
    /// Why it failed, or why it is being tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(crate) error: Option<SyncError>,
}

/// A range of start times in Unix seconds; null: open on that side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = RequestedRange)]
pub(crate) struct TimeRangeView {
    /// At or after.
    #[schema(example = 1_735_689_600)]
    pub(crate) after: Option<i64>,
    /// Before.
    #[schema(example = 1_767_225_600)]
    pub(crate) before: Option<i64>,
}

/// How far a sync is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Progress)]
pub(crate) struct ProgressView {
    /// Never falls within a run; 100 when completed and only then.
    #[schema(minimum = 0, maximum = 100)]
    pub(crate) percent: i16,
    /// Activities to store; null while that is unknown.
    pub(crate) total_activities: Option<i32>,
    /// Activities stored, found equal, or given up.
    pub(crate) processed_activities: i32,
    /// The phase in hand, or the one in which it ended; null before the first and when completed.
    pub(crate) current_phase: Option<PhaseName>,
    /// The page or batch in hand, from 1 in each phase; null when nothing is in hand.
    pub(crate) current_batch: Option<i32>,
    /// The steps in which the provider is read.
    pub(crate) steps: StepsView,
    /// Each phase by itself.
    pub(crate) phase_progress: PhaseProgress,
    /// When a worker first had it.
    pub(crate) start_time: Option<DateTime<Utc>>,
    /// When it will be done at the pace so far; null where nobody can tell.
    pub(crate) estimated_completion: Option<DateTime<Utc>>,
}

/// How far the reading of the provider is, in the provider's own steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Steps)]
pub(crate) struct StepsView {
    /// What a step is: `page`, `chunk` (of days) or `window` (of upload time).
    #[schema(example = "chunk")]
    pub(crate) unit: &'static str,
    /// Steps read.
    pub(crate) done: i32,
    /// All of them; null while the provider only tells whether more follow.
    pub(crate) total: Option<i32>,
}

/// Why a sync waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Waiting)]
pub(crate) struct WaitingView {
    /// `rate_limit`, `quota_exceeded`, `breaker_open`, `preparing`, `paused`, or `retry` after a failed attempt.
    pub(crate) reason: String,
    /// Until when; null while nobody knows.
    pub(crate) reset_at: Option<DateTime<Utc>>,
    /// The same for people.
    #[schema(example = "Strava allows more at 14:15 UTC.")]
    pub(crate) message: String,
}

/// What came of a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct Results {
    /// Of reading.
    pub(crate) fetch: FetchResults,
    /// Of weather and place.
    pub(crate) enrich: EnrichResults,
    /// Of storing.
    pub(crate) store: StoreResults,
}

/// What reading brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FetchResults {
    /// Activities that the provider sent.
    pub(crate) total_fetched: i32,
    /// Those that `activityTypes` left out.
    pub(crate) filtered_count: i32,
    /// Those that stood on two pages.
    pub(crate) duplicates_skipped: i32,
}

/// What became of weather and place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EnrichResults {
    /// Activities with weather.
    pub(crate) weather_enriched: i32,
    /// Activities with a place's name.
    pub(crate) geocoded: i32,
    /// Activities whose weather should have been there and was not.
    pub(crate) failed: i32,
    /// Activities without coordinates, or whose weather was not asked for.
    pub(crate) skipped: i32,
}

/// What became of the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct StoreResults {
    /// New.
    pub(crate) saved: i32,
    /// Changed since the last sync.
    pub(crate) updated: i32,
    /// Equal already.
    pub(crate) skipped: i32,
    /// Not readable or not storable; `/failures` lists them.
    pub(crate) failed: i32,
    /// The provider does not have them any more.
    pub(crate) removed: i32,
}

impl From<&Sync> for SyncView {
    fn from(sync: &Sync) -> Self {
        Self::at(sync, Utc::now())
    }
}

impl SyncView {
    /// The sync as it is at `now`.
    fn at(sync: &Sync, now: DateTime<Utc>) -> Self {
        let started = sync.started_at.is_some();
        let shows_error = sync.state == JobState::Failed || sync.retrying;
        Self {
            sync_id: sync.id,
            provider: sync.provider,
            job_type: sync.job_type,
            attempt: sync.attempt,
            created_at: sync.created_at,
            updated_at: sync.updated_at,
            time_range: TimeRangeView {
                after: seconds(&sync.range.start),
                before: seconds(&sync.range.end),
            },
            status: client_status(sync.state, sync.phase, started, sync.retrying),
            progress: progress(sync),
            waiting: sync.waiting_for.as_deref().map(|reason| {
                WaitingView::at(sync.provider.title(), reason, sync.waiting_until, now)
            }),
            results: (sync.state.is_final() && started).then(|| (&*sync.counts).into()),
            error: sync.last_error.as_deref().filter(|_| shows_error).map(SyncError::from),
        }
    }
}

impl WaitingView {
    /// A wait as it is at `now`; `title` is the provider's name for people.
    pub(crate) fn at(
        title: &str,
        reason: &str,
        reset_at: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Self {
        let message = waiting::explain(title, reason, reset_at, now);
        Self { reason: reason.to_owned(), reset_at, message }
    }
}

fn seconds(bound: &Bound<DateTime<Utc>>) -> Option<i64> {
    match bound {
        Bound::Included(at) | Bound::Excluded(at) => Some(at.timestamp()),
        Bound::Unbounded => None,
    }
}

fn progress(sync: &Sync) -> ProgressView {
    let is_live = !sync.state.is_final();
    let in_hand = sync.started_at.is_some() && sync.state != JobState::Completed;
    ProgressView {
        percent: percent(sync.state, sync.phase, &sync.counts),
        total_activities: total(sync).or(sync.estimated_total),
        processed_activities: sync.counts.processed(),
        current_phase: in_hand.then(|| sync.phase.into()),
        current_batch: (in_hand && is_live).then(|| batch_in_hand(sync)).flatten(),
        steps: StepsView {
            unit: sync.provider.step_unit(),
            done: sync.counts.pages,
            total: match sync.counts.pages_left {
                _ if sync.phase > Phase::Fetch => Some(sync.counts.pages),
                left => left.map(|left| sync.counts.pages + left),
            },
        },
        phase_progress: PhaseProgress::of(sync),
        start_time: sync.started_at,
        estimated_completion: estimated_completion(sync),
    }
}

/// Pages are counted as they are staged; batches follow from the items that are through.
fn batch_in_hand(sync: &Sync) -> Option<i32> {
    let done = match sync.phase {
        Phase::Fetch => return Some(sync.last_page + 1),
        Phase::Enrich => sync.counts.enriched,
        Phase::Store => sync.counts.processed(),
        Phase::Done => return None,
    };
    let size = sync.batch_size.filter(|size| *size > 0)?;
    let last = (total(sync)? + size - 1) / size;
    Some((done / size + 1).min(last.max(1)))
}

/// The shortest time that a pace can be read from.
const PACE_FROM: TimeDelta = TimeDelta::seconds(2);

/// Only in store, where all that is left is known and of one kind: how long weather takes hangs on
/// what is cached, and how many pages there are nobody knows. Never after a failure, for then the
/// time that passed is not the time it takes.
fn estimated_completion(sync: &Sync) -> Option<DateTime<Utc>> {
    let is_steady = sync.state == JobState::Running && sync.phase == Phase::Store;
    if !is_steady || sync.retrying || sync.error_count > 0 {
        return None;
    }
    let (done, all) = (sync.counts.processed(), total(sync)?);
    let took = sync.updated_at - times(sync, Phase::Store).start?;
    if done <= 0 || all < done || took < PACE_FROM {
        return None;
    }
    let left_ms = took.num_milliseconds() * i64::from(all - done) / i64::from(done);
    sync.updated_at.checked_add_signed(TimeDelta::try_milliseconds(left_ms)?)
}

impl From<&Counts> for Results {
    fn from(counts: &Counts) -> Self {
        Self {
            fetch: FetchResults {
                total_fetched: counts.fetched,
                filtered_count: counts.filtered,
                duplicates_skipped: counts.duplicates,
            },
            enrich: EnrichResults {
                weather_enriched: counts.weather_enriched,
                geocoded: counts.geocoded,
                failed: counts.enrich_failed,
                skipped: counts.enrich_skipped,
            },
            store: StoreResults {
                saved: counts.saved,
                updated: counts.updated,
                skipped: counts.unchanged,
                failed: counts.failed,
                removed: counts.removed,
            },
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
