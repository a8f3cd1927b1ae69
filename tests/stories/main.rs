//! Stories through the front door: the real `paceline` binary as separate processes, a real Postgres,
//! the simulated world over HTTP. Each has a database of its own; all may run at once.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod again;
mod cancel;
mod crash;
mod database;
mod faults;
mod first_sync;
mod fleet;
mod lists;
mod operations;
mod options;
mod outage;
mod problems;
mod records;
mod retry;
mod tokens;
mod waiting;
mod weather;
