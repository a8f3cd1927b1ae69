//! What both sides of Paceline and its database speak: types, tables with their SQL, pure rules,
//! sealing and telemetry.
//!
//! It knows no HTTP server, no provider's JSON and no retry policy. If only one side would miss a
//! thing, and it is no table, it belongs to that side.

pub mod activity;
pub mod db;
pub mod failure;
pub mod ids;
pub mod job_state;
pub mod listen;
pub mod measures;
pub mod notify;
pub mod oauth;
pub mod progress;
pub mod provider;
pub mod record;
pub mod sealing;
pub mod slices;
pub mod sync_spec;
pub mod telemetry;
pub mod waiting;

pub use ids::{AuthorizationId, ConnectionId, JobId, UserId, WorkerId};
pub use provider::{JobType, Provider};
