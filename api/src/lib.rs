//! The HTTP face of Paceline. It serves and never calls out, but for the signing keys of token
//! issuers; what needs a provider is a job for the worker, and Postgres is the only wire between.
//!
//! All routes are on one screen in `routes/mod.rs`; a route group is a file beside it.

mod app;
pub mod auth;
mod config;
mod connect;
mod cursor;
mod extract;
mod idempotency;
mod live;
mod observe;
mod openapi;
mod problem;
mod rate;
mod routes;
mod server;
#[cfg(test)]
mod testing;
mod view;

pub use config::{Algorithm, Config, Issuer, KeySet, RenderMetrics, UnknownAlgorithm};
pub use connect::{InvalidReturnUrl, ReturnUrl};
pub use observe::METRICS;
pub use openapi::openapi;
pub use server::{Error, Server, run};
