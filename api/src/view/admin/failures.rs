//! Failures in groups.

use crate::view::failure::redacted;
use chrono::{DateTime, Utc};
use paceline_shared::{JobId, db::admin_failures::Group};
use serde::Serialize;
use serde_json::{Map, Value};

/// Failed attempts of one kind.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureGroup {
    /// What they have in common; jobs can be looked for by it.
    pub(crate) fingerprint: String,
    /// From where.
    pub(crate) provider: String,
    /// Where in the pipeline.
    pub(crate) phase: String,
    /// Which failure.
    pub(crate) code: String,
    /// How many attempts.
    pub(crate) count: i64,
    /// How many users they met.
    pub(crate) users: i64,
    /// Those whose job has not completed since.
    pub(crate) open: i64,
    /// Those whose job has.
    pub(crate) resolved: i64,
    /// The first within the window.
    pub(crate) first_seen_at: DateTime<Utc>,
    /// The last.
    pub(crate) last_seen_at: DateTime<Utc>,
    /// The last one.
    pub(crate) sample: FailureSample,
}

/// One of the failures.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureSample {
    /// For people.
    pub(crate) message: String,
    /// Of which job.
    pub(crate) sync_id: JobId,
    /// What helps to find the cause. No secrets.
    #[schema(value_type = Object)]
    pub(crate) context: Map<String, Value>,
}

impl From<Group> for FailureGroup {
    fn from(group: Group) -> Self {
        Self {
            fingerprint: group.fingerprint,
            provider: group.provider,
            phase: group.phase,
            code: group.code,
            count: group.count,
            users: group.users,
            open: group.open,
            resolved: group.count - group.open,
            first_seen_at: group.first_seen_at,
            last_seen_at: group.last_seen_at,
            sample: FailureSample {
                message: group.message,
                sync_id: JobId(group.job),
                context: group.context.as_object().map(redacted).unwrap_or_default(),
            },
        }
    }
}
