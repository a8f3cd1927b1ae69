//! The moves a job can make, as one pure table. `db::sync_jobs` has one guarded statement for each.

use serde::{Deserialize, Serialize};

/// Where a job is in its life. Spelled like this in every table and on every wire.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum JobState {
    /// Ready for any worker.
    Queued,
    /// Parked until a due time, with a reason. Costs no slot and no attempt.
    Waiting,
    /// A worker holds its lease.
    Running,
    /// Ended well.
    Completed,
    /// Ended badly; keeps checkpoint and pages for a retry.
    Failed,
    /// Ended because somebody asked for it.
    Cancelled,
}

impl JobState {
    /// All six.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Waiting,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The name on every wire and in every table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether the job has ended. An ended job is in `sync_history`, a live one in `sync_jobs`.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// What can happen to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A worker took it.
    Claimed,
    /// Its worker gave it back unfinished, through no fault of the job.
    Released,
    /// It waits for a quota, a backoff or a provider that is down.
    Parked,
    /// Its due time came.
    Due,
    /// Its last batch was stored and acknowledged.
    Finished,
    /// Its attempts are used up, or its error is final.
    GivenUp,
    /// Its worker was silent for a whole lease.
    LeaseExpired,
    /// The lease expired once too often at the same checkpoint.
    Quarantined,
    /// Somebody asked for its end, and no worker is in the way any more.
    Cancelled,
    /// A person retries it: same id, same checkpoint.
    Retried,
}

impl Event {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Claimed,
        Self::Released,
        Self::Parked,
        Self::Due,
        Self::Finished,
        Self::GivenUp,
        Self::LeaseExpired,
        Self::Quarantined,
        Self::Cancelled,
        Self::Retried,
    ];
}

/// The state after `event`; `None` when the event cannot happen in `state`.
#[must_use]
pub const fn after(state: JobState, event: Event) -> Option<JobState> {
    Some(match (state, event) {
        (JobState::Queued, Event::Claimed) => JobState::Running,
        (JobState::Running, Event::Released | Event::LeaseExpired)
        | (JobState::Waiting, Event::Due)
        | (JobState::Failed | JobState::Cancelled, Event::Retried) => JobState::Queued,
        (JobState::Running, Event::Parked) => JobState::Waiting,
        (JobState::Running, Event::Finished) => JobState::Completed,
        (JobState::Running, Event::GivenUp | Event::Quarantined) => JobState::Failed,
        (JobState::Queued | JobState::Waiting | JobState::Running, Event::Cancelled) => {
            JobState::Cancelled
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The table a second time, as a picture: rows are states, columns events, in the order of `ALL`.
    const PICTURE: [&str; 6] = [
        // claim release park due finish give-up expire quarantine cancel retry
        "R.......C.", // queued
        "...Q....C.", // waiting
        ".QW.DFQFC.", // running
        "..........", // completed
        ".........Q", // failed
        ".........Q", // cancelled
    ];

    #[test]
    fn every_pair_of_state_and_event_is_as_pictured() {
        for (state, row) in JobState::ALL.into_iter().zip(PICTURE) {
            for (event, cell) in Event::ALL.into_iter().zip(row.chars()) {
                let expected = match cell {
                    'Q' => Some(JobState::Queued),
                    'W' => Some(JobState::Waiting),
                    'R' => Some(JobState::Running),
                    'D' => Some(JobState::Completed),
                    'F' => Some(JobState::Failed),
                    'C' => Some(JobState::Cancelled),
                    _ => None,
                };
                assert_eq!(after(state, event), expected, "{state:?} × {event:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_run_ends_at_most_once_between_retries(events in prop::collection::vec(0usize..10, 0..200)) {
            let (mut state, mut ends_since_retry) = (JobState::Queued, 0);
            for event in events.into_iter().map(|n| Event::ALL[n]) {
                let Some(next) = after(state, event) else { continue };
                if event == Event::Retried { ends_since_retry = 0; }
                if next.is_final() { ends_since_retry += 1; }
                prop_assert!(ends_since_retry <= 1);
                prop_assert!(!(state == JobState::Completed), "a completed job stays completed");
                state = next;
            }
        }

        #[test]
        fn from_every_live_state_an_end_can_be_reached(events in prop::collection::vec(0usize..10, 0..50)) {
            let mut state = JobState::Queued;
            for event in events { if let Some(next) = after(state, Event::ALL[event]) { state = next; } }
            let end = [Event::Due, Event::Retried, Event::Claimed, Event::Finished].into_iter()
                .fold(state, |s, e| after(s, e).unwrap_or(s));
            prop_assert_eq!(end, JobState::Completed);
        }
    }
}
