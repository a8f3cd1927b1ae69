//! Who is calling: bearer tokens, the profiles of their issuers, and the user behind a subject.

mod caller;
mod keys;
pub mod local;
mod subjects;
mod verifier;

pub(crate) use caller::Caller;
pub(crate) use subjects::Subjects;
pub(crate) use verifier::Verifier;
