//! What a sync is asked to do: options and limits, as clients send them and jobs carry them.

use crate::AuthorizationId;
use serde::{Deserialize, Serialize};

/// The payload's shape; a worker claims only versions that it knows.
pub const PAYLOAD_VERSION: i32 = 2;

/// The most records that one batch of the pipeline may hold.
pub const MAX_BATCH_SIZE: u16 = 200;

/// The most retries that a client may ask for.
pub const MAX_RETRIES: i16 = 20;

/// The shortest and the longest limit of an attempt that a client may ask for, in seconds.
pub const TIMEOUT_SECONDS: std::ops::RangeInclusive<u32> = 30..=21_600;

/// Options of a sync. What is left out has the default that the field names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SyncOptions {
    /// Records per enrich and store batch, 1 to 200; 200 by default.
    #[schema(minimum = 1, maximum = 200, default = 200)]
    pub batch_size: u16,
    /// Failed attempts that are retried, 0 to 20; 5 by default.
    #[schema(minimum = 0, maximum = 20, default = 5)]
    pub max_retries: i16,
    /// How long one attempt may take, 30 to 21,600 s; the worker's own limit when it is absent.
    #[schema(minimum = 30, maximum = 21_600)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// Leaves the weather out; false by default.
    pub skip_weather_enrichment: bool,
    /// Adds city, state and country; true by default.
    pub include_geocoding: bool,
    /// Reads only what was not read before, and the look-back in which the provider's records may still change;
    /// false by default.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub only_new: bool,
    /// Keeps only these of the provider's sport types; absent or empty keeps all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub activity_types: Vec<String>,
}

impl Default for SyncOptions {
    fn default() -> Self {
        Self {
            batch_size: MAX_BATCH_SIZE,
            max_retries: 5,
            timeout_seconds: None,
            skip_weather_enrichment: false,
            include_geocoding: true,
            only_new: false,
            activity_types: Vec::new(),
        }
    }
}

/// Which kind of work a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    /// Reads a provider's records and stores them.
    Sync,
    /// Does nothing and completes, but takes the way of every job: for measuring and checking a fleet. Users
    /// never see one, for the view `syncs` does not show it.
    Noop,
    /// Buys tokens with the code that a user came back with, and connects the account.
    Exchange,
    /// Tells a provider that we are done with an account, and forgets its tokens.
    Deauthorize,
}

/// The payload of a [`JobKind::Exchange`]. The code itself is in the authorization, sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExchangeOptions {
    /// Whose code.
    pub authorization: AuthorizationId,
}

/// The payload of a [`JobKind::Deauthorize`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct DeauthorizeOptions {
    /// Whether what was read through the connection is deleted as well; false by default.
    pub delete_records: bool,
}

/// The payload of a [`JobKind::Noop`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NoopOptions {
    /// It keeps its slot for so long; 0 by default.
    pub hold_ms: u32,
}

impl JobKind {
    /// As the tables spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Noop => "noop",
            Self::Exchange => "exchange",
            Self::Deauthorize => "deauthorize",
        }
    }
}

/// How urgent a job is; with the time of its enqueue this makes its place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A provider said that something changed.
    Webhook,
    /// A user waits for it.
    Interactive,
    /// Its time came.
    Scheduled,
    /// History, in slices.
    Backfill,
}

impl Class {
    /// The number in the table: each step is half an hour ahead in the queue.
    #[must_use]
    pub const fn rank(self) -> i16 {
        match self {
            Self::Webhook => 4,
            Self::Interactive => 3,
            Self::Scheduled => 2,
            Self::Backfill => 1,
        }
    }
}
