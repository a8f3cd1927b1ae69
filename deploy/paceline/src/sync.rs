//! A sync as the HTTP API shows it, read from camelCase and written in the `snake_case` of the command
//! line. What this version does not know is left out, so that it can watch a newer server.

use chrono::{DateTime, Utc};
use paceline_shared::{JobId, Provider, progress::ClientStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A sync.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct SyncView {
    pub(crate) sync_id: JobId,
    pub(crate) provider: Provider,
    pub(crate) job_type: String,
    pub(crate) attempt: i16,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) status: ClientStatus,
    pub(crate) progress: ProgressView,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<WaitingView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) results: Option<Results>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<SyncError>,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct ProgressView {
    pub(crate) percent: i16,
    pub(crate) total_activities: Option<i32>,
    pub(crate) processed_activities: i32,
    pub(crate) current_phase: Option<String>,
    pub(crate) current_batch: Option<i32>,
    pub(crate) phase_progress: PhaseProgress,
    pub(crate) start_time: Option<DateTime<Utc>>,
    pub(crate) estimated_completion: Option<DateTime<Utc>>,
}

/// Each phase by itself.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub(crate) struct PhaseProgress {
    pub(crate) fetching: PhaseView,
    pub(crate) enriching: PhaseView,
    pub(crate) storing: PhaseView,
}

/// A phase.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct PhaseView {
    pub(crate) status: String,
    pub(crate) processed: i32,
    pub(crate) total: Option<i32>,
    pub(crate) errors: i32,
    pub(crate) start_time: Option<DateTime<Utc>>,
    pub(crate) end_time: Option<DateTime<Utc>>,
}

/// Why it waits.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct WaitingView {
    pub(crate) reason: String,
    pub(crate) reset_at: Option<DateTime<Utc>>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Results {
    pub(crate) fetch: FetchResults,
    pub(crate) enrich: EnrichResults,
    pub(crate) store: StoreResults,
}

/// What reading brought.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct FetchResults {
    pub(crate) total_fetched: i32,
    pub(crate) filtered_count: i32,
    pub(crate) duplicates_skipped: i32,
}

/// What became of weather and place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct EnrichResults {
    pub(crate) weather_enriched: i32,
    pub(crate) geocoded: i32,
    pub(crate) failed: i32,
    pub(crate) skipped: i32,
}

/// What became of the records.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct StoreResults {
    pub(crate) saved: i32,
    pub(crate) updated: i32,
    pub(crate) skipped: i32,
    pub(crate) failed: i32,
}

/// Why it failed, or is being tried again.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct SyncError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) phase: String,
    pub(crate) retryable: bool,
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) context: Value,
    pub(crate) timestamp: DateTime<Utc>,
}

impl SyncView {
    /// Whether it has ended, well or not.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(
            self.status,
            ClientStatus::Completed | ClientStatus::Failed | ClientStatus::Cancelled
        )
    }

    /// Whether it has ended well.
    pub(crate) const fn has_completed(&self) -> bool {
        matches!(self.status, ClientStatus::Completed)
    }

    /// What it does at the moment, for people.
    pub(crate) fn doing(&self) -> String {
        let phases = &self.progress.phase_progress;
        let of = |phase: &PhaseView| match phase.total {
            Some(total) => format!("{} of {total}", phase.processed),
            None => phase.processed.to_string(),
        };
        if let Some(waiting) = &self.waiting {
            let until = waiting
                .reset_at
                .map_or_else(String::new, |at| format!(" until {}", at.format("%H:%M:%S")));
            return format!("waiting ({}){until}", waiting.reason);
        }
        match self.status {
            ClientStatus::Initiated => "queued".to_owned(),
            ClientStatus::FetchingActivities => format!("fetching, {}", of(&phases.fetching)),
            ClientStatus::EnrichingWeather => format!("enriching, {}", of(&phases.enriching)),
            ClientStatus::StoringData => format!("storing, {}", of(&phases.storing)),
            ClientStatus::Completed => format!("completed, {} stored", phases.storing.processed),
            ClientStatus::Cancelled => "cancelled".to_owned(),
            ClientStatus::Failed | ClientStatus::Retrying => {
                let word = if self.has_ended() { "failed" } else { "trying again" };
                self.error
                    .as_ref()
                    .map_or_else(|| word.to_owned(), |error| format!("{word}: {}", error.message))
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A sync as the API would answer it.
    pub(crate) fn answered(
        status: &str,
        fetched: i32,
        to_store: Option<i32>,
        stored: i32,
    ) -> Value {
        let phase = |status: &str, processed: i32, total: Option<i32>| {
            json!({"status": status, "processed": processed, "total": total, "errors": 0,
                   "startTime": null, "endTime": null})
        };
        json!({
            "syncId": "019a9c6e-7b0c-7d4e-9d52-0a6a1c0e8f11", "provider": "strava", "jobType": "activities",
            "attempt": 1, "createdAt": "2026-11-21T10:00:00Z", "updatedAt": "2026-11-21T10:00:01Z",
            "timeRange": {"after": null, "before": null}, "status": status,
            "progress": {
                "percent": 40, "totalActivities": to_store, "processedActivities": stored,
                "currentPhase": "fetching", "currentBatch": 3,
                "phaseProgress": {
                    "fetching": phase("in_progress", fetched, to_store), "enriching": phase("pending", 0, to_store),
                    "storing": phase("pending", stored, to_store)
                },
                "startTime": null, "estimatedCompletion": null
            }
        })
    }

    #[test]
    fn what_the_api_says_in_camel_case_the_command_line_says_in_snake_case() {
        let mut answer = answered("FETCHING_ACTIVITIES", 400, None, 0);
        answer["waiting"] = json!({"reason": "rate_limit", "resetAt": "2026-11-21T10:15:00Z"});
        answer["aFieldOfTheFuture"] = json!(1);
        let sync: SyncView = serde_json::from_value(answer).unwrap();
        let written = serde_json::to_value(&sync).unwrap();
        assert_eq!(written["progress"]["phase_progress"]["fetching"]["processed"], 400);
        assert_eq!(written["waiting"]["reset_at"], "2026-11-21T10:15:00Z");
        assert_eq!(written["status"], "FETCHING_ACTIVITIES");
        assert!(written.get("results").is_none());
        assert_eq!(sync.doing(), "waiting (rate_limit) until 10:15:00");
    }

    #[test]
    fn people_are_told_what_is_being_done() {
        let doing = |status, fetched, total, stored| {
            serde_json::from_value::<SyncView>(answered(status, fetched, total, stored))
                .unwrap()
                .doing()
        };
        assert_eq!(doing("FETCHING_ACTIVITIES", 400, None, 0), "fetching, 400");
        assert_eq!(doing("STORING_DATA", 400, Some(400), 200), "storing, 200 of 400");
        assert_eq!(doing("COMPLETED", 400, Some(400), 400), "completed, 400 stored");
        assert_eq!(doing("RETRYING", 0, None, 0), "trying again");
    }
}
