//! The proofs, one file each, and what they share.

pub(crate) mod faults;
mod noop;
pub(crate) mod pipeline;
pub(crate) mod queue;
pub(crate) mod report;
mod usage;
