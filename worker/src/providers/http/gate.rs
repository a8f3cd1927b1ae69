//! What stands before each try of a call and hears how it went: quotas, breakers, pace. Here is only its
//! shape; [`crate::budget`] has one.

use futures::future::BoxFuture;
use paceline_shared::db;
use reqwest::{StatusCode, header::HeaderMap};
use std::{fmt, time::Duration};

/// Lets calls pass, one by one.
pub trait Gate: fmt::Debug + Send + Sync {
    /// Asks for a single try of a call, and waits a moment for it where that is enough.
    fn enter(&self) -> BoxFuture<'_, Result<Box<dyn Pass>, Closed>>;
}

/// The right to one try. Dropped without [`Pass::over`], nobody knows what became of it.
pub trait Pass: Send {
    /// The head of an answer came.
    fn heard(&mut self, status: StatusCode, headers: &HeaderMap);
    /// The try has ended.
    fn over(self: Box<Self>, end: End);
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a whole answer, good or bad.
    Whole,
    /// With none, or with a broken one.
    Broken,
    /// Without a connection: the provider saw nothing.
    Unsent,
    /// Before it began, through a fault of ours.
    Unmade,
}

/// Why no try may be made now.
#[derive(Debug)]
pub enum Closed {
    /// Wait.
    Wait {
        /// `rate_limit`, `quota_exceeded` or `breaker_open`.
        reason: &'static str,
        /// How long until it may be asked again.
        after: Duration,
        /// Which budget or breaker.
        scope: String,
    },
    /// Nothing is reserved any more, and Postgres, which keeps the books, did not answer.
    Unmetered(db::Error),
}
