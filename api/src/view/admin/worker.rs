//! A worker process.

use chrono::{DateTime, Utc};
use paceline_shared::{
    WorkerId,
    db::workers::{State, Worker},
};
use serde::Serialize;

/// How a process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkerState {
    /// It beats and takes jobs.
    Alive,
    /// It takes no more jobs and ends when it has none.
    Draining,
    /// It ended as it should.
    Stopped,
    /// It fell silent without a word.
    Lost,
}

/// A process that works, or did within the last 24 hours.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Worker)]
pub(crate) struct WorkerView {
    /// This life of the process.
    pub(crate) worker_id: WorkerId,
    /// For people; several may share one.
    pub(crate) label: String,
    /// The machine.
    pub(crate) host: String,
    /// The process there.
    pub(crate) pid: i32,
    /// Its release.
    pub(crate) version: String,
    /// How it stands.
    pub(crate) state: WorkerState,
    /// Jobs that it can have at a time.
    pub(crate) slots: i32,
    /// Jobs that it had at its last beat.
    pub(crate) jobs: i32,
    /// Whose jobs it takes.
    pub(crate) providers: Vec<String>,
    /// The newest payload that it can read.
    pub(crate) payload_version: i32,
    /// Whether notifications reach it; else it polls.
    pub(crate) listening: bool,
    /// Memory that it occupies, in bytes; 0 where that is not known.
    pub(crate) rss_bytes: i64,
    /// When it began.
    pub(crate) started_at: DateTime<Utc>,
    /// Its last sign of life.
    pub(crate) last_beat_at: DateTime<Utc>,
    /// When it ended, if it did as it should.
    pub(crate) stopped_at: Option<DateTime<Utc>>,
    /// When it was asked to drain.
    pub(crate) drain_requested_at: Option<DateTime<Utc>>,
    /// Who asked.
    pub(crate) drain_requested_by: Option<String>,
}

impl From<Worker> for WorkerView {
    fn from(worker: Worker) -> Self {
        Self {
            worker_id: worker.id,
            label: worker.label,
            host: worker.host,
            pid: worker.pid,
            version: worker.version,
            state: match worker.state {
                State::Alive => WorkerState::Alive,
                State::Draining => WorkerState::Draining,
                State::Stopped => WorkerState::Stopped,
                State::Lost => WorkerState::Lost,
            },
            slots: worker.slots,
            jobs: worker.jobs,
            providers: worker.providers,
            payload_version: worker.payload_version,
            listening: worker.listening,
            rss_bytes: worker.rss_bytes,
            started_at: worker.started_at,
            last_beat_at: worker.beat_at,
            stopped_at: worker.stopped_at,
            drain_requested_at: worker.drain_requested_at,
            drain_requested_by: worker.drain_requested_by,
        }
    }
}
