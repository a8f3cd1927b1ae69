//! A bulk operation: what it is, how far it is, and in the end its receipt.

use chrono::{DateTime, Utc};
use paceline_shared::db::admin_operations::{Act, Operation, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Where a retried job goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RetryFrom {
    /// Where it stopped. One that was cancelled, or whose pages are gone, begins anew.
    #[default]
    Checkpoint,
    /// At the beginning.
    Scratch,
}

/// One act on all jobs that matched a filter.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Operation)]
pub(crate) struct OperationView {
    /// Its id.
    pub(crate) operation_id: Uuid,
    /// What is done to each job.
    pub(crate) act: Act,
    /// The filter as it was given.
    #[schema(value_type = Object)]
    pub(crate) filter: Value,
    /// Where retried jobs go on.
    pub(crate) from: RetryFrom,
    /// Why, in its author's words.
    pub(crate) reason: Option<String>,
    /// How far it is.
    pub(crate) state: State,
    /// How many matched when it was accepted.
    pub(crate) expected: i64,
    /// Jobs that it was done to.
    pub(crate) done: i64,
    /// Jobs left as they were.
    pub(crate) skipped: i64,
    /// The same by reason: `live` (the user has one under way), `connection` (it cannot be used),
    /// `completed`, `ended`, `gone`.
    #[schema(value_type = Object)]
    pub(crate) skipped_by: BTreeMap<String, i64>,
    /// Who started it.
    pub(crate) actor: String,
    /// When it was accepted.
    pub(crate) created_at: DateTime<Utc>,
    /// When its first batch began.
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// When something last happened.
    pub(crate) updated_at: DateTime<Utc>,
    /// When it was over.
    pub(crate) finished_at: Option<DateTime<Utc>>,
    /// When its end was asked for.
    pub(crate) stop_requested_at: Option<DateTime<Utc>>,
    /// Who asked.
    pub(crate) stop_requested_by: Option<String>,
    /// What a batch failed of, the last time that one did.
    pub(crate) last_error: Option<String>,
}

impl From<Operation> for OperationView {
    fn from(operation: Operation) -> Self {
        let options = operation.options.0;
        Self {
            operation_id: operation.id,
            act: operation.act,
            filter: operation.filter,
            from: if options.from_scratch { RetryFrom::Scratch } else { RetryFrom::Checkpoint },
            reason: options.reason,
            state: operation.state,
            expected: operation.expected,
            done: operation.done,
            skipped: operation.skipped,
            skipped_by: serde_json::from_value(operation.skipped_by).unwrap_or_default(),
            actor: operation.actor,
            created_at: operation.created_at,
            started_at: operation.started_at,
            updated_at: operation.updated_at,
            finished_at: operation.finished_at,
            stop_requested_at: operation.stop_requested_at,
            stop_requested_by: operation.stop_requested_by,
            last_error: operation.last_error,
        }
    }
}
