//! How requests are read and answers written. Each extractor fails as a problem: the plain text of
//! axum's own never reaches a caller.

mod bounded;
mod day;
mod fields;
mod json;
mod params;
mod query;
mod span;
mod unix_seconds;

pub(crate) use bounded::Bounded;
pub(crate) use day::Day;
pub(crate) use json::{Json, Object};
pub(crate) use params::{
    AnyJob, AuthorizationName, ConnectionName, IdempotencyKey, JobTypeName, LaneName, OperationId,
    ProblemName, ProgressId, ProviderName, SyncId, WorkerName,
};
pub(crate) use query::Query;
pub(crate) use span::Span;
pub(crate) use unix_seconds::UnixSeconds;
