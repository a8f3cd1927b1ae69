//! `/api/v1/admin/audit`: who did what.

use super::page_size;
use crate::{
    app::App,
    auth::{Staff, Viewer},
    cursor::{Cursor, page},
    extract::{Bounded, Json, Query},
    openapi::problems,
    problem::Problem,
    view::admin::audit::AuditEntry,
};
use axum::extract::State;
use paceline_shared::db::{
    self,
    admin_audit::{self, Filter},
    admin_jobs,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

problems!(ListProblems: RoleNeeded, InvalidRequest, InvalidCursor, TooBroad);

/// Which acts to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this person's: the subject of his tokens.
    actor: Option<String>,
    /// Only this one.
    #[param(example = "job.retry")]
    act: Option<String>,
    /// Only to this.
    #[param(example = "lane:strava")]
    target: Option<String>,
    /// How many, 50 by default.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 200)]
    limit: Option<Bounded<1, 200>>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// A page of acts.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditPage {
    /// The acts, newest first.
    items: Vec<AuditEntry>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Lists what staff did, newest first. Asks for `viewer`.
#[utoipa::path(get, path = "/api/v1/admin/audit", operation_id = "adminListAudit", tag = "admin", security(("bearer" = [])), params(ListQuery),
    responses((status = OK, description = "A page", body = AuditPage), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    _me: Staff<Viewer>,
    Query(ask): Query<ListQuery>,
) -> Result<Json<AuditPage>, Problem> {
    for (field, value) in [("actor", &ask.actor), ("act", &ask.act), ("target", &ask.target)] {
        if value.as_ref().is_some_and(|value| value.len() > 300 || value.contains('\0')) {
            return Err(Problem::invalid_field(field, "is none"));
        }
    }
    let filter = Filter {
        actor: ask.actor.as_deref(),
        act: ask.act.as_deref(),
        target: ask.target.as_deref(),
        before: ask.cursor.as_deref().map(Uuid::from_text).transpose()?,
    };
    let limit = page_size(ask.limit);
    let mut tx = admin_jobs::search(&app.db).await?;
    let entries = admin_audit::list(&mut *tx, filter, limit + 1).await?;
    tx.rollback().await.map_err(db::Error::from)?;
    let (entries, next_cursor) = page(entries, limit, |entry| entry.id);
    Ok(Json(AuditPage { items: entries.into_iter().map(Into::into).collect(), next_cursor }))
}
