//! A job as an admin sees it.

use super::{short, time};
use crate::sync::{ProgressView, Results};
use chrono::{DateTime, Utc};
use paceline_shared::JobId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A job in a list.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[expect(clippy::struct_field_names, reason = "as the API names them")]
pub(crate) struct Job {
    pub(crate) sync_id: JobId,
    pub(crate) user_id: String,
    pub(crate) internal_user_id: String,
    pub(crate) provider: String,
    pub(crate) job_type: String,
    pub(crate) kind: String,
    pub(crate) class: String,
    pub(crate) state: String,
    pub(crate) phase: String,
    pub(crate) attempt: i64,
    pub(crate) max_retries: i64,
    pub(crate) crashes: i64,
    pub(crate) retrying: bool,
    pub(crate) waiting: Option<Waiting>,
    pub(crate) cancel_requested_at: Option<DateTime<Utc>>,
    pub(crate) worker: Option<String>,
    pub(crate) error: Option<JobError>,
    pub(crate) processed: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

/// Why it waits.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct Waiting {
    pub(crate) reason: String,
    pub(crate) reset_at: Option<DateTime<Utc>>,
}

/// Its newest failure.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct JobError {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) fingerprint: Option<String>,
    pub(crate) context: Value,
    pub(crate) at: Option<DateTime<Utc>>,
}

impl Job {
    /// The columns of a list.
    pub(crate) const HEADER: [&str; 8] =
        ["job", "user", "provider", "state", "phase", "attempt", "created", "detail"];

    /// Its row in a list.
    pub(crate) fn row(&self) -> [String; 8] {
        [
            self.sync_id.to_string(),
            short(&self.user_id, 24),
            self.provider.clone(),
            self.state.clone(),
            self.phase.clone(),
            format!("{}/{}", self.attempt, self.max_retries + 1),
            time(self.created_at),
            self.detail(),
        ]
    }

    fn detail(&self) -> String {
        if let Some(waiting) = &self.waiting {
            let until =
                waiting.reset_at.map_or_else(String::new, |at| format!(" until {}", time(at)));
            return format!("{}{until}", waiting.reason);
        }
        self.error.as_ref().map_or_else(String::new, |error| {
            short(&format!("{}: {}", error.code, error.message), 72)
        })
    }
}

/// A job with all that is known of it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct Whole {
    #[serde(flatten)]
    pub(crate) job: Job,
    pub(crate) why: Vec<Reason>,
    pub(crate) time_range: Option<Range>,
    pub(crate) progress: Option<ProgressView>,
    pub(crate) results: Option<Results>,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) lease: Option<Lease>,
    pub(crate) connection: Connection,
    pub(crate) payload: Value,
    pub(crate) payload_version: i64,
    pub(crate) checkpoint: Value,
    pub(crate) follow_up: Value,
    pub(crate) trace_id: Option<String>,
    pub(crate) requested_by: Option<String>,
    pub(crate) pages_pruned_at: Option<DateTime<Utc>>,
    pub(crate) audit: Vec<super::report::Entry>,
}

/// Start times asked for; open where nothing is said.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Range {
    pub(crate) after: Option<DateTime<Utc>>,
    pub(crate) before: Option<DateTime<Utc>>,
}

/// A failed attempt.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[expect(clippy::struct_field_names, reason = "as the API names them")]
pub(crate) struct Attempt {
    pub(crate) attempt: i64,
    pub(crate) phase: String,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) fingerprint: Option<String>,
    pub(crate) context: Value,
    pub(crate) at: DateTime<Utc>,
    pub(crate) resolved_at: Option<DateTime<Utc>>,
}

/// Who has it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct Lease {
    pub(crate) worker: String,
    pub(crate) label: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) epoch: i64,
    pub(crate) last_beat_at: Option<DateTime<Utc>>,
    pub(crate) last_checkpoint_at: Option<DateTime<Utc>>,
    pub(crate) reported_stuck_at: Option<DateTime<Utc>>,
}

/// The link that it uses. No state: it is gone.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Connection {
    pub(crate) id: String,
    pub(crate) state: Option<String>,
}

/// A reason why it stands where it stands.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Reason {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) until: Option<DateTime<Utc>>,
}

/// The answer to "why is it not running?".
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[expect(clippy::struct_field_names, reason = "as the API names them")]
pub(crate) struct Why {
    pub(crate) sync_id: JobId,
    pub(crate) state: String,
    pub(crate) why: Vec<Reason>,
}

/// Jobs by state, as last counted.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct Counts {
    pub(crate) as_of: Option<DateTime<Utc>>,
    pub(crate) age_s: Option<f64>,
    pub(crate) history_as_of: Option<DateTime<Utc>>,
    pub(crate) oldest_runnable_at: Option<DateTime<Utc>>,
    pub(crate) oldest_runnable_age_s: Option<f64>,
    pub(crate) states: States,
    pub(crate) providers: Vec<OfProvider>,
}

/// Jobs of a provider by state.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct OfProvider {
    pub(crate) provider: String,
    pub(crate) states: States,
}

/// Jobs by state; runnable is queued and not held back.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct States {
    pub(crate) queued: i64,
    pub(crate) runnable: i64,
    pub(crate) waiting: i64,
    pub(crate) running: i64,
    pub(crate) completed: i64,
    pub(crate) failed: i64,
    pub(crate) cancelled: i64,
}
