//! `/api/v1/admin/failures`: what goes wrong, in groups.

use super::page_size;
use crate::{
    app::App,
    auth::{Staff, Viewer},
    extract::{Bounded, Json, Query, Span},
    openapi::problems,
    problem::Problem,
    view::admin::failures::FailureGroup,
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use paceline_shared::{
    Provider,
    db::{self, admin_failures, admin_jobs},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

problems!(ListProblems: RoleNeeded, InvalidRequest, TooBroad);

/// What is looked at where nothing else is asked for.
const DAY: Duration = Duration::from_hours(24);

/// Which failures.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How far back, `24h` by default.
    #[param(value_type = Option<String>, example = "24h")]
    window: Option<Span>,
    /// Only this provider's.
    provider: Option<Provider>,
    /// How many groups, 50 by default.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 200)]
    limit: Option<Bounded<1, 200>>,
}

/// Failures in groups.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct FailureGroups {
    /// The most frequent first.
    items: Vec<FailureGroup>,
    /// Since when failures were looked at.
    since: DateTime<Utc>,
}

/// Groups the failed attempts of the last hours or days by what they have in common. Asks for `viewer`.
#[utoipa::path(get, path = "/api/v1/admin/failures", operation_id = "adminListFailures", tag = "admin", security(("bearer" = [])), params(ListQuery),
    responses((status = OK, description = "The groups", body = FailureGroups), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    _me: Staff<Viewer>,
    Query(ask): Query<ListQuery>,
) -> Result<Json<FailureGroups>, Problem> {
    let window = ask.window.map_or(DAY, |span| span.length());
    let provider = ask.provider.map(Provider::as_str);
    let mut tx = admin_jobs::search(&app.db).await?;
    let (since, groups) =
        admin_failures::groups(&mut tx, window, provider, page_size(ask.limit)).await?;
    tx.rollback().await.map_err(db::Error::from)?;
    Ok(Json(FailureGroups { items: groups.into_iter().map(Into::into).collect(), since }))
}
