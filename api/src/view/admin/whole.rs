//! One job, whole: what it is, how far it is, what went wrong, who has it, what staff did to it, and why it
//! is where it is.

use super::{audit::AuditEntry, job::JobView, why::Reason};
use crate::view::{
    failure::redacted,
    sync::{ProgressView, Results, SyncView, TimeRangeView},
};
use chrono::{DateTime, Utc};
use paceline_shared::{
    ConnectionId, WorkerId,
    db::{
        admin_jobs::{Facts, Inside},
        sync_attempts::Attempt,
    },
};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// A job, whole.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobWhole)]
pub(crate) struct WholeView {
    /// What a list shows of it.
    #[serde(flatten)]
    pub(crate) job: JobView,
    /// Why it is where it is.
    pub(crate) why: Vec<Reason>,
    /// Start times asked for; null: it is no sync.
    pub(crate) time_range: Option<TimeRangeView>,
    /// How far it is, with its phases; null: it is no sync.
    pub(crate) progress: Option<ProgressView>,
    /// What came of it; null until it has ended.
    pub(crate) results: Option<Results>,
    /// Its failed attempts, oldest first; the newest hundred.
    pub(crate) attempts: Vec<AttemptView>,
    /// Who has it; null: nobody.
    pub(crate) lease: Option<LeaseView>,
    /// Its link to the provider.
    pub(crate) connection: JobConnection,
    /// How it shall be done; known and harmless fields only.
    #[schema(value_type = Object)]
    pub(crate) payload: Map<String, Value>,
    /// The payload's shape.
    pub(crate) payload_version: i32,
    /// Where the next attempt goes on.
    #[schema(value_type = Object)]
    pub(crate) checkpoint: Value,
    /// Ranges that were asked for meanwhile and follow it.
    #[schema(value_type = Vec<TimeRangeView>)]
    pub(crate) follow_up: Value,
    /// The request that asked for it; log lines carry it.
    pub(crate) trace_id: Option<Uuid>,
    /// Who asked for it, where it was not the user.
    pub(crate) requested_by: Option<String>,
    /// When the pages of a failed one were deleted: a retry begins anew.
    pub(crate) pages_pruned_at: Option<DateTime<Utc>>,
    /// What staff did to it, newest first; the newest fifty.
    pub(crate) audit: Vec<AuditEntry>,
}

/// A failed attempt.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = FailedAttempt)]
pub(crate) struct AttemptView {
    /// Which, from 1.
    pub(crate) attempt: i16,
    /// Where in the pipeline.
    pub(crate) phase: String,
    /// Which failure.
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
    /// Equal for failures of one kind.
    pub(crate) fingerprint: String,
    /// What helps to find the cause. No secrets.
    #[schema(value_type = Object)]
    pub(crate) context: Map<String, Value>,
    /// When.
    pub(crate) at: DateTime<Utc>,
    /// When a later attempt completed the job.
    pub(crate) resolved_at: Option<DateTime<Utc>>,
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            attempt: attempt.attempt,
            phase: attempt.phase,
            code: attempt.code,
            message: attempt.message,
            fingerprint: attempt.fingerprint,
            context: attempt.context.as_object().map(redacted).unwrap_or_default(),
            at: attempt.at,
            resolved_at: attempt.resolved_at,
        }
    }
}

/// The lease of a running job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JobLease)]
pub(crate) struct LeaseView {
    /// The worker process.
    pub(crate) worker: WorkerId,
    /// Its name for people.
    pub(crate) label: Option<String>,
    /// Its machine.
    pub(crate) host: Option<String>,
    /// Which claim.
    pub(crate) epoch: i64,
    /// Its last sign of life.
    pub(crate) last_beat_at: DateTime<Utc>,
    /// When the work last moved.
    pub(crate) last_checkpoint_at: Option<DateTime<Utc>>,
    /// When it was reported that nothing moves.
    pub(crate) reported_stuck_at: Option<DateTime<Utc>>,
}

impl LeaseView {
    fn of(facts: &Facts) -> Option<Self> {
        let lease = facts.lease.as_ref()?;
        let worker = facts.workers.iter().find(|worker| worker.id == lease.worker);
        let named = |text: &String| (!text.is_empty()).then(|| text.clone());
        Some(Self {
            worker: lease.worker,
            label: worker.and_then(|worker| named(&worker.label)),
            host: worker.and_then(|worker| named(&worker.host)),
            epoch: lease.epoch,
            last_beat_at: lease.beat_at,
            last_checkpoint_at: lease.checkpoint_at,
            reported_stuck_at: lease.stuck_reported_at,
        })
    }
}

/// A link to a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct JobConnection {
    /// Its id; null: the job is there to make one.
    pub(crate) id: Option<ConnectionId>,
    /// `active`, `limited`, `needs_reauth`, `provider_gone` or `revoked`; null: it is gone.
    pub(crate) state: Option<String>,
}

/// What may be seen of a payload. A field that is not here is hidden, whatever it holds.
const SHOWN: [&str; 8] = [
    "batchSize",
    "maxRetries",
    "skipWeatherEnrichment",
    "includeGeocoding",
    "activityTypes",
    "holdMs",
    "authorization",
    "deleteRecords",
];

fn shown(payload: &Value) -> Map<String, Value> {
    let fields = payload.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| {
            let seen = SHOWN.contains(&name.as_str());
            (name.clone(), if seen { value.clone() } else { Value::from("(hidden)") })
        })
        .collect()
}

/// All that is known of a job, as it was read.
pub(crate) struct Parts {
    pub(crate) job: JobView,
    pub(crate) sync: Option<SyncView>,
    pub(crate) inside: Inside,
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) facts: Option<Facts>,
    pub(crate) why: Vec<Reason>,
    pub(crate) audit: Vec<AuditEntry>,
}

/// Attempts that are shown.
const ATTEMPTS: usize = 100;

impl From<Parts> for WholeView {
    fn from(parts: Parts) -> Self {
        let Parts { job, sync, inside, attempts, facts, why, audit } = parts;
        let (time_range, progress, results) = match sync {
            Some(sync) => (Some(sync.time_range), Some(sync.progress), sync.results),
            None => (None, None, None),
        };
        let older = attempts.len().saturating_sub(ATTEMPTS);
        Self {
            job,
            why,
            time_range,
            progress,
            results,
            attempts: attempts.into_iter().skip(older).map(Into::into).collect(),
            lease: facts.as_ref().and_then(LeaseView::of),
            connection: JobConnection { id: inside.connection, state: inside.connection_state },
            payload: shown(&inside.payload),
            payload_version: inside.payload_version,
            checkpoint: inside.checkpoint,
            follow_up: inside.follow_up,
            trace_id: inside.trace_id,
            requested_by: inside.requested_by,
            pages_pruned_at: inside.pages_pruned_at,
            audit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paceline_shared::sync_spec::{NoopOptions, SyncOptions};
    use serde_json::json;

    #[test]
    fn of_a_payload_only_known_fields_are_seen() {
        let payload = json!({"batchSize": 50, "code": "secret", "nested": {"token": "secret"}});
        let seen = Value::Object(shown(&payload));
        assert_eq!(seen, json!({"batchSize": 50, "code": "(hidden)", "nested": "(hidden)"}));
    }

    #[test]
    fn every_option_of_a_job_is_known() {
        let options =
            SyncOptions { activity_types: vec!["Run".to_owned()], ..SyncOptions::default() };
        for payload in [json!(options), json!(NoopOptions::default())] {
            assert_eq!(Value::Object(shown(&payload)), payload);
        }
    }
}
