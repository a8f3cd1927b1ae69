//! What callers see: pure functions from rows to answers.

pub(crate) mod activity;
pub(crate) mod admin;
pub(crate) mod failure;
pub(crate) mod phases;
pub(crate) mod sync;
