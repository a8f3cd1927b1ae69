//! The proofs, one file each, and what they share.

pub(crate) mod crash;
pub(crate) mod pipeline;
pub(crate) mod report;
mod usage;
