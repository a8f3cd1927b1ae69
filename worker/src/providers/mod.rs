//! What the rest of the worker needs of a provider, and what can go wrong with one.
//!
//! Each provider is one file or folder: its URLs, JSON, paging, errors, quota rules, units and
//! tests. Outside it the name appears only in [`paceline_shared::Provider`], and once in the registry.

pub mod accounts;
pub mod fitbit;
pub mod garmin;
pub mod http;
mod json;
pub mod registry;
pub mod source;
pub mod spans;
pub mod strava;
pub mod withings;

pub use accounts::{Accounts, Code, ExchangeError, Exchanged, RefreshError};
pub use registry::Registry;
pub use source::{Access, Answer, Ask, Glance, Item, Plan, Replaced, Source, Staged};

use paceline_shared::{db, failure};
use serde_json::{Map, Value};
use std::time::Duration;

/// A record that cannot be read; it fails alone.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// Why a provider gave nothing. An error is never an empty answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wait: a quota is spent, the breaker is open, or the provider said so.
    #[error("{reason}: asked to wait {after:?}")]
    Wait {
        /// `rate_limit`, `quota_exceeded`, `breaker_open`, or `preparing`: the provider gets ready what it was asked for.
        reason: &'static str,
        /// How long until it may be asked again.
        after: Duration,
    },
    /// The access token is not accepted: refresh it once, then reconnect.
    #[error("the access token is not accepted")]
    Unauthorized(Detail),
    /// A refresh cannot help: the user, or the provider's programme, withholds this.
    #[error("access is not granted: {}", .0.message)]
    Denied(Detail),
    /// The provider has ended.
    #[error("the provider has ended")]
    Gone(Detail),
    /// No answer, or a broken one, after the retries.
    #[error("no answer: {}", .0.message)]
    Network(Detail),
    /// An answer that says "not now", or that is no data, after the retries.
    #[error("no data: {}", .0.message)]
    Temporary(Detail),
    /// An answer that no retry will better.
    #[error("the request was refused: {}", .0.message)]
    Refused(Detail),
    /// A body over its limit.
    #[error("an answer was larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Which call.
        detail: Detail,
    },
    /// No call was made: whether one may be could not be asked of Postgres.
    #[error("no call may be made while Postgres does not answer")]
    Unmetered(#[source] db::Error),
}

/// Which call, and what came back; never a token or a body.
#[derive(Clone, Debug, Default)]
pub struct Detail {
    /// For people.
    pub message: String,
    /// The path asked for.
    pub endpoint: String,
    /// The HTTP status, where there was one.
    pub status: Option<u16>,
    /// How often it was tried.
    pub tries: u32,
    /// Whether no connection came about: the provider cannot have seen it.
    pub unsent: bool,
}

impl Error {
    /// The code under which the attempt is reported.
    #[must_use]
    pub const fn code(&self) -> failure::Code {
        use failure::Code;
        match self {
            Self::Wait { .. } => Code::RateLimit,
            Self::Unauthorized(_) => Code::AuthenticationError,
            Self::Denied(_) => Code::PermissionDenied,
            Self::Gone(_) => Code::ProviderGone,
            Self::Network(_) => Code::NetworkError,
            Self::Temporary(_) => Code::TemporaryApiError,
            Self::Refused(_) => Code::InvalidData,
            Self::TooLarge { .. } => Code::MemoryLimit,
            Self::Unmetered(_) => Code::DatabaseTimeout,
        }
    }

    /// Endpoint, status and tries, for the report.
    #[must_use]
    pub fn context(&self) -> Map<String, Value> {
        let (Self::Unauthorized(detail)
        | Self::Denied(detail)
        | Self::Gone(detail)
        | Self::Network(detail)
        | Self::Temporary(detail)
        | Self::Refused(detail)
        | Self::TooLarge { detail, .. }) = self
        else {
            return Map::new();
        };
        let mut context = Map::new();
        context.insert("endpoint".to_owned(), detail.endpoint.clone().into());
        context.insert("httpStatus".to_owned(), detail.status.into());
        context.insert("tries".to_owned(), detail.tries.into());
        context
    }
}
