//! A sync as the single-sync face shows it.

use chrono::{DateTime, Utc};
use paceline_shared::{JobType, db::syncs::Sync, job_state::JobState, progress::fraction};
use serde::Serialize;

/// How a sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SingleStatus {
    /// There was none.
    Idle,
    /// Queued, waiting or running.
    InProgress,
    /// Ended well.
    Completed,
    /// Ended otherwise; `error_message` says how.
    Failed,
}

/// The newest sync with a provider.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = SingleSync)]
pub(crate) struct SingleSyncView {
    /// How it is.
    status: SingleStatus,
    /// How far, from 0.0 to 1.0; 1.0 only when completed.
    #[schema(minimum = 0, maximum = 1)]
    progress: f64,
    /// What it reads; null when idle.
    job_type: Option<JobType>,
    /// When it was asked for; null when idle.
    start_time: Option<DateTime<Utc>>,
    /// When it ended; null before.
    end_time: Option<DateTime<Utc>>,
    /// Why it failed, or that it was cancelled; null otherwise.
    error_message: Option<String>,
}

impl From<Option<&Sync>> for SingleSyncView {
    fn from(sync: Option<&Sync>) -> Self {
        let Some(sync) = sync else {
            return Self {
                status: SingleStatus::Idle,
                progress: 0.0,
                job_type: None,
                start_time: None,
                end_time: None,
                error_message: None,
            };
        };
        let status = match sync.state {
            JobState::Queued | JobState::Waiting | JobState::Running => SingleStatus::InProgress,
            JobState::Completed => SingleStatus::Completed,
            JobState::Failed | JobState::Cancelled => SingleStatus::Failed,
        };
        let error_message = match sync.state {
            JobState::Cancelled => Some("The sync was cancelled.".to_owned()),
            JobState::Failed => {
                let failure = sync.last_error.as_deref();
                Some(failure.map_or_else(|| "The sync failed.".to_owned(), |f| f.message.clone()))
            }
            _ => None,
        };
        Self {
            status,
            progress: fraction(sync.state, sync.phase, &sync.counts),
            job_type: Some(sync.job_type),
            start_time: Some(sync.created_at),
            end_time: sync.finished_at,
            error_message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::sync::tests::sync;
    use paceline_shared::progress::Phase;
    use serde_json::json;

    #[test]
    fn none_is_idle_and_says_nothing_else() {
        let idle = SingleSyncView::from(None);
        assert_eq!(
            serde_json::to_value(idle).unwrap(),
            json!({"status": "idle", "progress": 0.0, "job_type": null, "start_time": null, "end_time": null, "error_message": null})
        );
    }

    #[test]
    fn queued_and_waiting_are_in_progress_and_cancelled_is_a_failure_with_words() {
        let of = |state| SingleSyncView::from(Some(&sync(state, Phase::Fetch)));
        assert_eq!(of(JobState::Queued).status, SingleStatus::InProgress);
        assert_eq!(of(JobState::Waiting).status, SingleStatus::InProgress);
        let cancelled = of(JobState::Cancelled);
        assert_eq!(cancelled.status, SingleStatus::Failed);
        assert!(cancelled.error_message.unwrap().contains("cancelled"));
        let completed = of(JobState::Completed);
        assert_eq!(
            (completed.status, completed.progress, completed.error_message),
            (SingleStatus::Completed, 1.0, None)
        );
        assert!(of(JobState::Running).progress < 1.0);
    }
}
