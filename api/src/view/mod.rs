//! What callers see: pure functions from rows to answers.

pub(crate) mod activity;
pub(crate) mod admin;
pub(crate) mod connection;
pub(crate) mod daily_summary;
pub(crate) mod dashboard;
pub(crate) mod failure;
pub(crate) mod measurement;
pub(crate) mod phases;
pub(crate) mod single_sync;
pub(crate) mod sync;
