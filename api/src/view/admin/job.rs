//! A job as a list shows it to staff.

use crate::view::{failure::redacted, sync::WaitingView};
use chrono::{DateTime, Utc};
use paceline_shared::{JobId, UserId, WorkerId, db::admin_jobs::Job, job_state::JobState};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How urgent a job is. Each step is half an hour ahead in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = JobClass)]
pub(crate) enum ClassName {
    /// History, in slices.
    Backfill,
    /// Its time came.
    Scheduled,
    /// A user waits for it.
    Interactive,
    /// A provider said that something changed.
    Webhook,
}

impl ClassName {
    pub(crate) const fn of_rank(rank: i16) -> Self {
        match rank {
            ..=1 => Self::Backfill,
            2 => Self::Scheduled,
            3 => Self::Interactive,
            4.. => Self::Webhook,
        }
    }
}

/// A job, live or ended, whoever's it is.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub(crate) struct JobView {
    /// Its id.
    pub(crate) sync_id: JobId,
    /// Whose: the subject of his tokens.
    pub(crate) user_id: String,
    /// The same by our own id.
    pub(crate) internal_user_id: UserId,
    /// From where.
    pub(crate) provider: String,
    /// What.
    pub(crate) job_type: String,
    /// `sync`, or another kind of work.
    pub(crate) kind: String,
    /// How urgent.
    pub(crate) class: ClassName,
    /// Where in its life.
    pub(crate) state: JobState,
    /// Where in the pipeline: `fetch`, `enrich`, `store` or `done`.
    pub(crate) phase: String,
    /// Attempts begun, less those given back.
    pub(crate) attempt: i16,
    /// Failed attempts that may be retried.
    pub(crate) max_retries: i16,
    /// Workers lost at the checkpoint where it is.
    pub(crate) crashes: i16,
    /// Whether an attempt failed and nothing moved since.
    pub(crate) retrying: bool,
    /// Why it is parked, while it is.
    pub(crate) waiting: Option<WaitingView>,
    /// When its end was asked for.
    pub(crate) cancel_requested_at: Option<DateTime<Utc>>,
    /// Which worker has it.
    pub(crate) worker: Option<WorkerId>,
    /// The newest failure.
    pub(crate) error: Option<JobError>,
    /// Records stored, found equal, or given up.
    pub(crate) processed: i32,
    /// When it was accepted.
    pub(crate) created_at: DateTime<Utc>,
    /// When a worker first had it.
    pub(crate) started_at: Option<DateTime<Utc>>,
    /// When something last happened.
    pub(crate) updated_at: DateTime<Utc>,
    /// When it ended.
    pub(crate) finished_at: Option<DateTime<Utc>>,
}

/// A failure, with what groups it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobError {
    /// Which failure.
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
    /// Equal for failures of one kind; null for those from before there were any.
    pub(crate) fingerprint: Option<String>,
    /// What helps to find the cause. No secrets.
    #[schema(value_type = Object)]
    pub(crate) context: Map<String, Value>,
    /// When.
    pub(crate) at: Option<DateTime<Utc>>,
}

impl JobError {
    /// From the failure as stored; one that cannot be read is shown as far as it can.
    fn of(stored: &Value, fingerprint: Option<String>) -> Self {
        let text = |name: &str| stored[name].as_str().unwrap_or_default().to_owned();
        Self {
            code: text("code"),
            message: text("message"),
            fingerprint,
            context: stored["context"].as_object().map(redacted).unwrap_or_default(),
            at: stored["at"].as_str().and_then(|at| at.parse().ok()),
        }
    }
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        let fingerprint = job.fingerprint;
        let waiting = job
            .waiting_for
            .map(|reason| WaitingView::at(&job.provider, &reason, job.waiting_until, Utc::now()));
        Self {
            sync_id: job.id,
            user_id: job.subject,
            internal_user_id: job.user,
            provider: job.provider,
            job_type: job.job_type,
            kind: job.kind,
            class: ClassName::of_rank(job.class),
            state: job.state,
            phase: job.phase,
            attempt: job.attempt,
            max_retries: job.max_retries,
            crashes: job.crashes,
            retrying: job.retrying,
            waiting,
            cancel_requested_at: job.cancel_requested_at,
            worker: job.worker,
            error: job.last_error.map(|stored| JobError::of(&stored, fingerprint)),
            processed: job.processed,
            created_at: job.created_at,
            started_at: job.started_at,
            updated_at: job.updated_at,
            finished_at: job.finished_at,
        }
    }
}
