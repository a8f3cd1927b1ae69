//! Who is calling: bearer tokens, the profiles of their issuers, and the user behind a subject.

mod caller;
mod identity;
mod keys;
pub mod local;
mod role;
mod staff;
mod subjects;
mod verifier;

pub use role::{Role, UnknownRole};

pub(crate) use caller::Caller;
pub(crate) use identity::identity;
pub(crate) use staff::{Admin, Operator, Staff, Viewer};
pub(crate) use subjects::Subjects;
pub(crate) use verifier::Verifier;
