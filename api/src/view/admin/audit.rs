//! Acts of staff, as they were written down.

use chrono::{DateTime, Utc};
use paceline_shared::db::admin_audit::Entry;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// Somebody did something.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditEntry {
    /// Its id; ids sort by time.
    pub(crate) id: Uuid,
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// Who: the token's subject.
    pub(crate) actor: String,
    /// With which role.
    pub(crate) role: String,
    /// What, as `job.retry`.
    pub(crate) act: String,
    /// To what, as `job:` and its id.
    pub(crate) target: String,
    /// How, and why if he said so.
    #[schema(value_type = Object)]
    pub(crate) detail: Value,
    /// The request, as answers carry it in `x-request-id`.
    pub(crate) request_id: Option<Uuid>,
}

impl From<Entry> for AuditEntry {
    fn from(entry: Entry) -> Self {
        let Entry { id, at, actor, role, act, target, detail, request_id } = entry;
        Self { id, at, actor, role, act, target, detail, request_id }
    }
}
