//! An act on many jobs, as the API shows it.

use super::time_or_dash;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// What an act would meet.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Preview {
    pub(crate) count: i64,
    pub(crate) sample: Vec<super::job::Job>,
}

/// An act on many jobs: how far it is, and its receipt.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[expect(clippy::struct_field_names, reason = "as the API names them")]
pub(crate) struct Operation {
    pub(crate) operation_id: String,
    pub(crate) act: String,
    pub(crate) filter: Value,
    pub(crate) from: String,
    pub(crate) reason: Option<String>,
    pub(crate) state: String,
    pub(crate) expected: i64,
    pub(crate) done: i64,
    pub(crate) skipped: i64,
    pub(crate) skipped_by: Map<String, Value>,
    pub(crate) actor: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) started_at: Option<DateTime<Utc>>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) stop_requested_at: Option<DateTime<Utc>>,
    pub(crate) stop_requested_by: Option<String>,
    pub(crate) last_error: Option<String>,
}

impl Operation {
    /// The columns of a list.
    pub(crate) const HEADER: [&str; 8] =
        ["operation", "act", "state", "expected", "done", "skipped", "by", "finished"];

    /// Its row in a list.
    pub(crate) fn row(&self) -> [String; 8] {
        [
            self.operation_id.clone(),
            self.act.clone(),
            self.state.clone(),
            self.expected.to_string(),
            self.done.to_string(),
            self.skipped.to_string(),
            self.actor.clone(),
            time_or_dash(self.finished_at),
        ]
    }

    /// Whether nothing more will happen.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "completed" | "stopped" | "failed")
    }

    /// Jobs dealt with, one way or another.
    pub(crate) const fn dealt_with(&self) -> i64 {
        self.done + self.skipped
    }

    /// What came of it, for people.
    pub(crate) fn receipt(&self) -> String {
        let mut line = format!(
            "{}: {} of {} jobs, {} skipped",
            self.state, self.done, self.expected, self.skipped
        );
        if !self.skipped_by.is_empty() {
            let by: Vec<_> = self.skipped_by.iter().map(|(why, n)| format!("{why} {n}")).collect();
            // Writing to a String cannot fail.
            let _ = write!(line, " ({})", by.join(", "));
        }
        if let Some(error) = &self.last_error {
            let _ = write!(line, "; last error: {error}");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_receipt_says_what_became_of_every_job() {
        let operation: Operation = serde_json::from_value(json!({
            "operationId": "019a", "act": "retry", "filter": {"state": "failed"}, "from": "checkpoint", "reason": null,
            "state": "completed", "expected": 10, "done": 7, "skipped": 3, "skippedBy": {"live": 3},
            "actor": "ann", "createdAt": "2026-11-21T10:00:00Z", "startedAt": null, "updatedAt": "2026-11-21T10:00:02Z",
            "finishedAt": "2026-11-21T10:00:02Z", "stopRequestedAt": null, "stopRequestedBy": null, "lastError": null
        }))
        .unwrap();
        assert_eq!(operation.receipt(), "completed: 7 of 10 jobs, 3 skipped (live 3)");
        assert!(operation.is_over());
        assert_eq!(operation.dealt_with(), 10);
    }
}
