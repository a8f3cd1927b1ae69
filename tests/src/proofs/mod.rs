//! The proofs, one file each, and what they share.

pub(crate) mod bulk;
mod everywhere;
pub(crate) mod fair;
pub(crate) mod faults;
pub(crate) mod limits;
pub(crate) mod model;
mod noop;
pub(crate) mod pipeline;
pub(crate) mod queue;
pub(crate) mod report;
pub(crate) mod status;
pub(crate) mod tokens;
pub(crate) mod truth;
mod usage;
