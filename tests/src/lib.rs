//! The harness of stories and proofs: a database of its own for each test, the simulated world, and
//! the real `paceline` binary as processes that can be killed, frozen and drained.
//!
//! It panics where an application would answer an error: a test that cannot be set up has failed.
//! It knows no internals of api and worker; what it looks at in the database it reads with SQL of
//! its own, so that a mistake in the application's statements shows.

pub mod binary;
pub mod browser;
pub mod client;
pub mod database;
pub mod model;
pub mod pgbouncer;
pub mod process;
pub mod proxy;
pub mod rows;
pub mod server;
pub mod stack;
pub mod truth;
pub mod wait;
