//! x
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]
#[path = "../stories/accounts.rs"]
mod accounts;
#[path = "../stories/lists.rs"]
mod lists;
