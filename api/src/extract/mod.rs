//! How requests are read and answers written. Each extractor fails as a problem: the plain text of
//! axum's own never reaches a caller.

mod bounded;
mod fields;
mod json;
mod params;
mod query;
mod unix_seconds;

pub(crate) use bounded::Bounded;
pub(crate) use json::{Json, Object};
pub(crate) use params::{IdempotencyKey, ProblemName, SyncId};
pub(crate) use query::Query;
pub(crate) use unix_seconds::UnixSeconds;
