//! Stories through the front door: the real `paceline` binary as separate processes, a real Postgres,
//! the simulated world over HTTP. Each has a database of its own; all may run at once.
#![expect(clippy::unwrap_used, reason = "a story that cannot go on has failed")]

mod accounts;
mod admin;
mod again;
mod alone;
mod backfill;
mod breaker;
mod budgets;
mod cancel;
mod crash;
mod dashboard;
mod database;
mod drain;
mod faults;
mod first_sync;
mod fleet;
mod garmin;
mod goodbyes;
mod kept_slot;
mod lists;
mod logs;
mod metrics;
mod model;
mod operations;
mod options;
mod outage;
mod pooler;
mod problems;
mod records;
mod reports;
mod retention;
mod retry;
mod single_sync;
mod timeouts;
mod tokens;
mod tombstones;
mod waiting;
mod wakeup;
mod weather;
mod withings;
