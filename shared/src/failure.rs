//! Why an attempt failed, in the words that tables, clients and admins share. The worker decides
//! which it was; the retry policy is the worker's as well.

use crate::progress::Phase;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Try again with backoff; costs an attempt.
    Retryable,
    /// Wait until a known time; costs nothing.
    Waiting,
    /// No retry by itself can help.
    Terminal,
    /// Our own trouble: as retryable.
    System,
}

/// The codes, one per thing a reader would do differently.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Code {
    /// No answer, or a broken one.
    NetworkError,
    /// The provider answered 5xx, or with something that is no data.
    TemporaryApiError,
    /// A statement of ours took too long or was in another's way.
    DatabaseTimeout,
    /// The provider asked for fewer calls.
    RateLimit,
    /// The provider's quota is spent.
    QuotaExceeded,
    /// The provider does not know our token any more.
    AuthenticationError,
    /// The user did not allow this.
    PermissionDenied,
    /// The whole answer makes no sense.
    InvalidData,
    /// The provider has ended.
    ProviderGone,
    /// The attempt took too long.
    FunctionTimeout,
    /// An answer was larger than it may be.
    MemoryLimit,
    /// Worker after worker was lost at the same place.
    WorkerLost,
    /// Anything else.
    UnknownError,
}

impl Code {
    /// What to do about it.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::NetworkError | Self::TemporaryApiError | Self::DatabaseTimeout => {
                Class::Retryable
            }
            Self::RateLimit | Self::QuotaExceeded => Class::Waiting,
            Self::AuthenticationError
            | Self::PermissionDenied
            | Self::InvalidData
            | Self::ProviderGone => Class::Terminal,
            Self::FunctionTimeout | Self::MemoryLimit | Self::WorkerLost | Self::UnknownError => {
                Class::System
            }
        }
    }

    /// What the user can do, as a word that an app turns into a button.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::AuthenticationError => "reconnect",
            Self::PermissionDenied => "grant_access",
            Self::ProviderGone => "connect_another_provider",
            Self::InvalidData => "contact_support",
            Self::RateLimit | Self::QuotaExceeded => "wait",
            _ => "retry",
        }
    }
}

/// One failed attempt, as kept in `last_error` and shown to its user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Which failure.
    pub code: Code,
    /// For people. Never a token, an email or a body.
    pub message: String,
    /// Where in the pipeline.
    pub phase: Phase,
    /// Page, endpoint, HTTP status: what helps to find the cause.
    #[serde(default)]
    pub context: serde_json::Map<String, serde_json::Value>,
    /// When, by the clock of the process that saw it.
    pub at: DateTime<Utc>,
}
