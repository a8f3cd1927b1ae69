//! A job as its pipeline sees it, and what all jobs of a process share. It knows neither the queue's
//! statements nor any provider's ways.

use crate::{providers, weather::Weather};
use chrono::{DateTime, Utc};
use paceline_shared::{
    ConnectionId, JobId, JobType, Provider, UserId, WorkerId,
    db::{self, sync_jobs::Claimed},
    failure::{Code, Failure},
    notify::Notifier,
    progress::{Checkpoint, Counts, Phase},
    sealing::Keyring,
    sync_spec::SyncOptions,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sqlx::postgres::types::PgRange;
use std::sync::Arc;

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
    /// Strava.
    pub strava: Arc<providers::strava::Strava>,
    /// The weather service.
    pub weather: Arc<Weather>,
    /// This life of this process.
    pub worker: WorkerId,
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
    /// What.
    pub job_type: JobType,
    /// Start times asked for.
    pub range: PgRange<DateTime<Utc>>,
    /// How.
    pub options: SyncOptions,
    /// Where to go on.
    pub checkpoint: Checkpoint,
    /// What was counted so far.
    pub counts: Counts,
}

impl Job {
    /// Reads what was claimed.
    pub fn read(claimed: &Claimed) -> Result<Self, Failure> {
        Ok(Self {
            id: claimed.id,
            user: claimed.user,
            connection: claimed.connection,
            provider: claimed.provider,
            job_type: part("job_type", &Value::from(claimed.job_type.as_str()))?,
            range: claimed.range,
            options: part("payload", &claimed.payload)?,
            checkpoint: part("checkpoint", &claimed.checkpoint)?,
            counts: part("counts", &claimed.counts)?,
        })
    }
}

fn part<T: DeserializeOwned>(name: &str, value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|error| Failure {
        code: Code::InvalidData,
        message: format!("the job's {name} cannot be read: {error}"),
        phase: Phase::Fetch,
        context: Map::new(),
        at: Utc::now(),
    })
}
