//! Why a call gave nothing, before anybody says what that means.

use super::Closed;
use crate::providers::{Detail, Error};
use bytes::Bytes;
use paceline_shared::db;
use reqwest::{StatusCode, header::HeaderMap};
use std::{fmt, time::Duration};

/// An answer that says no: 3xx or 4xx.
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; may be anything.
    pub body: Bytes,
    /// Which call.
    pub detail: Detail,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refusal").field("detail", &self.detail).finish_non_exhaustive()
    }
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The provider said no; its file knows what that means.
    #[error("refused: {}", .0.detail.message)]
    Refused(Box<Refusal>),
    /// No answer, or a broken one.
    #[error("no answer: {}", .0.message)]
    Network(Detail),
    /// 5xx, or a 2xx whose body is no data.
    #[error("no data: {}", .0.message)]
    Temporary(Detail),
    /// A body over its limit.
    #[error("an answer was larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: usize,
        /// Which call.
        detail: Detail,
    },
    /// The request cannot be made at all: the base URL is none.
    #[error("the request cannot be sent: {}", .0.message)]
    Unsendable(Detail),
    /// The gate asks to wait; no call was made.
    #[error("{scope} asks to wait {after:?}")]
    Wait {
        /// `rate_limit`, `quota_exceeded` or `breaker_open`.
        reason: &'static str,
        /// How long until it may be asked again.
        after: Duration,
        /// Which budget or breaker.
        scope: String,
    },
    /// The gate could not find out whether a call may be made; none was.
    #[error("no call may be made while Postgres does not answer")]
    Unmetered(#[source] db::Error),
}

impl From<Closed> for Failure {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Wait { reason, after, scope } => Self::Wait { reason, after, scope },
            Closed::Unmetered(error) => Self::Unmetered(error),
        }
    }
}

impl Failure {
    /// The error that this is, when `refused` says what a refusal means.
    pub fn or_refused(self, refused: impl FnOnce(Refusal) -> Error) -> Error {
        match self {
            Self::Refused(refusal) => refused(*refusal),
            Self::Network(detail) => Error::Network(detail),
            Self::Temporary(detail) => Error::Temporary(detail),
            Self::TooLarge { limit, detail } => Error::TooLarge { limit, detail },
            Self::Unsendable(detail) => Error::Refused(detail),
            Self::Wait { reason, after, .. } => Error::Wait { reason, after },
            Self::Unmetered(error) => Error::Unmetered(error),
        }
    }

    /// Its label in metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Refused(refusal) if refusal.status == StatusCode::TOO_MANY_REQUESTS => {
                "rate_limited"
            }
            Self::Refused(_) => "refused",
            Self::Network(_) => "network",
            Self::Temporary(_) => "temporary",
            Self::TooLarge { .. } => "too_large",
            Self::Unsendable(_) => "unsendable",
            Self::Wait { .. } | Self::Unmetered(_) => "not_made",
        }
    }
}
