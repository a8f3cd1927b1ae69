//! A job as its pipeline sees it, and what all jobs of a process share. It knows neither the queue's
//! statements nor any provider's ways.

use crate::{account::AccountJob, budget::Tier, providers, weather::Weather};
use chrono::{DateTime, Utc};
use paceline_shared::{
    ConnectionId, JobId, JobType, Provider, UserId, WorkerId,
    db::{self, sync_jobs::Claimed},
    failure::{Code, Failure},
    notify::Notifier,
    progress::{Checkpoint, Counts, Phase},
    sealing::Keyring,
    sync_spec::{JobKind, NoopOptions, SyncOptions},
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sqlx::postgres::types::PgRange;
use std::{sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// What all jobs of a process use.
#[derive(Clone, Debug)]
pub struct App {
    /// For the pipeline.
    pub db: db::Db,
    /// For claims, beats and acknowledgements: jobs must not starve them.
    pub control: db::Db,
    /// Hears what other processes say.
    pub listening: db::Db,
    /// Tells other processes what changed.
    pub notifier: Notifier,
    /// Opens tokens.
    pub keys: Keyring,
    /// The providers that we have an application at.
    pub providers: providers::Registry,
    /// The weather service.
    pub weather: Arc<Weather>,
    /// This life of this process.
    pub worker: WorkerId,
    /// What must come to its end though its job does not: what a code or a refresh token bought is stored here. The
    /// process waits for these before it ends.
    pub vital: TaskTracker,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The pipeline.
    Sync,
    /// Nothing, for so long.
    Noop(Duration),
}

/// What a handler gets.
#[derive(Clone, Debug)]
pub enum Assignment {
    /// Records to read, or nothing to do: the usual kinds.
    Job(Box<Job>),
    /// Something about an account.
    Account(AccountJob),
}

impl Assignment {
    /// From where.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        match self {
            Self::Job(job) => job.provider,
            Self::Account(job) => job.provider,
        }
    }

    /// The request that asked for it.
    #[must_use]
    pub const fn trace(&self) -> Option<Uuid> {
        match self {
            Self::Job(job) => job.trace,
            Self::Account(job) => job.trace,
        }
    }
}

/// A claimed job that could be read.
#[derive(Clone, Debug)]
pub struct Job {
    /// The syncId.
    pub id: JobId,
    /// For whom.
    pub user: UserId,
    /// Through which link.
    pub connection: ConnectionId,
    /// From where.
    pub provider: Provider,
    /// Which kind of work.
    pub work: Work,
    /// What.
    pub job_type: JobType,
    /// Start times asked for.
    pub range: PgRange<DateTime<Utc>>,
    /// How; the usual options where it is no sync.
    pub options: SyncOptions,
    /// Where to go on.
    pub checkpoint: Checkpoint,
    /// What was counted so far.
    pub counts: Counts,
    /// How urgent its calls are.
    pub tier: Tier,
    /// The request that asked for it.
    pub trace: Option<Uuid>,
}

impl Job {
    /// Reads what was claimed.
    pub fn read(claimed: &Claimed) -> Result<Self, Failure> {
        let (work, options) = match part("kind", &Value::from(claimed.kind.as_str()))? {
            JobKind::Sync => (Work::Sync, part("payload", &claimed.payload)?),
            JobKind::Noop => {
                let noop: NoopOptions = part("payload", &claimed.payload)?;
                let hold = Duration::from_millis(noop.hold_ms.into());
                (Work::Noop(hold), SyncOptions::default())
            }
            kind @ (JobKind::Exchange | JobKind::Deauthorize) => {
                let message =
                    format!("a job of the kind {:?} has no place among syncs", kind.as_str());
                return Err(unreadable(message));
            }
        };
        Ok(Self {
            id: claimed.id,
            user: claimed.user,
            connection: claimed.connection,
            provider: claimed.provider,
            work,
            job_type: part("job_type", &Value::from(claimed.job_type.as_str()))?,
            range: claimed.range,
            options,
            checkpoint: stored("checkpoint", claimed.checkpoint.as_ref(), Checkpoint::START)?,
            counts: stored("counts", claimed.counts.as_ref(), Counts::default())?,
            tier: Tier::of(claimed.class),
            trace: claimed.trace_id,
        })
    }
}

impl Job {
    /// How long an attempt may take, if its user said so.
    #[must_use]
    pub fn time_limit(&self) -> Option<Duration> {
        self.options.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }
}

/// What an earlier attempt left.
fn stored<T: DeserializeOwned>(name: &str, value: Option<&Value>, first: T) -> Result<T, Failure> {
    value.map_or(Ok(first), |value| part(name, value))
}

pub(crate) fn part<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, Failure> {
    T::deserialize(value)
        .map_err(|error| unreadable(format!("the job's {name} cannot be read: {error}")))
}

pub(crate) fn unreadable(message: String) -> Failure {
    Failure {
        code: Code::InvalidData,
        message,
        phase: Phase::Fetch,
        context: Map::new(),
        at: Utc::now(),
    }
}
