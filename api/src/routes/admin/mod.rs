//! `/api/v1/admin`: what staff see and do. Each handler names the role that it asks for by the type of its
//! caller; each act is written down in its own transaction.

mod act;
mod audit;
mod failures;
mod filter;
mod jobs;
mod operations;
mod providers;
mod show;
mod workers;

use crate::{
    app::App,
    auth::Staff,
    extract::Bounded,
    observe::request_id,
    problem::{Kind, Problem},
};
use paceline_shared::db::{
    self,
    admin_audit::{self, Act},
    admin_jobs::SearchError,
};
use serde_json::Value;
use sqlx::PgConnection;
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes with their document.
pub(super) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::counts))
        .routes(routes!(show::show, act::change))
        .routes(routes!(show::explain))
        .routes(routes!(act::retry))
        .routes(routes!(act::cancel))
        .routes(routes!(operations::start, operations::list))
        .routes(routes!(operations::preview))
        .routes(routes!(operations::show))
        .routes(routes!(operations::stop))
        .routes(routes!(workers::list))
        .routes(routes!(workers::drain))
        .routes(routes!(providers::list))
        .routes(routes!(providers::pause))
        .routes(routes!(providers::resume))
        .routes(routes!(providers::unblock))
        .routes(routes!(providers::close_breaker))
        .routes(routes!(providers::limit))
        .routes(routes!(failures::list))
        .routes(routes!(audit::list))
}

/// Writes down what a member of staff does, in the transaction of the act.
async fn note<N>(
    tx: &mut PgConnection,
    me: &Staff<N>,
    act: &str,
    target: &str,
    detail: Value,
) -> Result<(), db::Error> {
    let role = me.role.as_str();
    let request_id = request_id();
    tracing::info!(action = act, actor = me.subject, role, target, "staff acted");
    admin_audit::write(tx, &Act { actor: &me.subject, role, act, target, detail, request_id }).await
}

/// The longest reason, in bytes.
const REASON_LIMIT: usize = 500;

/// Why somebody acts, in his own words.
fn checked_reason(reason: Option<String>) -> Result<Option<String>, Problem> {
    let reason = reason.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if reason.as_ref().is_some_and(|r| r.len() > REASON_LIMIT || r.contains(char::is_control)) {
        let message = format!("must be at most {REASON_LIMIT} bytes without control characters");
        return Err(Problem::invalid_field("reason", message));
    }
    Ok(reason)
}

fn page_size(asked: Option<Bounded<1, 200>>) -> i64 {
    asked.map_or(50, |limit| i64::from(limit.value()))
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::TooBroad => Self::new(Kind::TooBroad),
            SearchError::Db(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests;
