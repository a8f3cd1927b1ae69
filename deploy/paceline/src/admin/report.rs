//! Groups of failures and the record of what people did, as the API shows them.

use chrono::{DateTime, Utc};
use paceline_shared::JobId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Failures of one kind.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct FailureGroup {
    pub(crate) fingerprint: String,
    pub(crate) provider: String,
    pub(crate) phase: String,
    pub(crate) code: String,
    pub(crate) count: i64,
    pub(crate) users: i64,
    pub(crate) open: i64,
    pub(crate) resolved: i64,
    pub(crate) first_seen_at: DateTime<Utc>,
    pub(crate) last_seen_at: DateTime<Utc>,
    pub(crate) sample: Sample,
}

/// One of them.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct Sample {
    pub(crate) message: String,
    pub(crate) sync_id: JobId,
    #[serde(default)]
    pub(crate) context: Value,
}

/// What somebody did.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) actor: String,
    pub(crate) role: String,
    pub(crate) act: String,
    pub(crate) target: String,
    pub(crate) detail: Value,
    pub(crate) request_id: Option<String>,
}

impl Entry {
    /// What else is known of the act, as `name=value`.
    pub(crate) fn details(&self) -> String {
        let Value::Object(fields) = &self.detail else { return String::new() };
        let of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let known = fields.iter().filter(|(_, value)| !value.is_null());
        known.map(|(name, value)| format!("{name}={}", of(value))).collect::<Vec<_>>().join(" ")
    }
}
