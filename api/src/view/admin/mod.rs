//! What staff see: pure functions from rows and facts to answers.

pub(crate) mod audit;
pub(crate) mod counts;
pub(crate) mod failures;
pub(crate) mod job;
pub(crate) mod lane;
pub(crate) mod operation;
pub(crate) mod whole;
pub(crate) mod why;
pub(crate) mod worker;
