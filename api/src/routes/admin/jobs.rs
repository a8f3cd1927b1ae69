//! `/api/v1/admin/jobs`: lists of jobs, and how many there are.

use super::{filter::JobFilter, page_size};
use crate::{
    app::App,
    auth::{Staff, Viewer},
    cursor::{Cursor, page},
    extract::{Bounded, Json, Query, Span},
    openapi::problems,
    problem::Problem,
    view::admin::{counts::JobCounts, job::JobView},
};
use axum::extract::State;
use paceline_shared::{
    JobId, Provider,
    db::{
        self,
        admin_jobs::{self, Range},
        job_counts,
    },
    failure::Code,
    job_state::JobState,
};
use serde::{Deserialize, Serialize};

problems!(ListProblems: RoleNeeded, InvalidRequest, InvalidCursor, TooBroad);
problems!(CountsProblems: RoleNeeded);

/// Which jobs to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Where in its life.
    state: Option<JobState>,
    /// From where.
    provider: Option<Provider>,
    /// Whose: the subject of his tokens, or our own id.
    user: Option<String>,
    /// Whose failure has this code: failed jobs, and live ones that failed before.
    error_type: Option<Code>,
    /// Whose failure is of this kind; as `errorType`.
    #[param(max_length = 64)]
    fingerprint: Option<String>,
    /// Accepted longer ago than this.
    #[param(value_type = Option<String>, example = "15m")]
    older_than: Option<Span>,
    /// Accepted more recently than this.
    #[param(value_type = Option<String>, example = "7d")]
    newer_than: Option<Span>,
    /// In the message of a failure or the user's subject, or at the beginning of the id.
    #[param(min_length = 3, max_length = 200)]
    text: Option<String>,
    /// How many, 50 by default.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 200)]
    limit: Option<Bounded<1, 200>>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// A page of jobs.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobPage {
    /// The jobs, newest first.
    items: Vec<JobView>,
    /// Where the next page begins; null on the last. It says that there is more to search, not that more is found.
    next_cursor: Option<String>,
}

/// Lists jobs of all users, live and ended, newest first.
///
/// A text in messages, and failures of live jobs, are looked for in the newest 10,000 jobs that the rest of the filter leaves,
/// page by page: a page may hold fewer items than asked for, even none, while there is a `nextCursor`. Asks for `viewer`.
#[utoipa::path(get, path = "/api/v1/admin/jobs", operation_id = "adminListJobs", tag = "admin", security(("bearer" = [])), params(ListQuery),
    responses((status = OK, description = "A page", body = JobPage), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    _me: Staff<Viewer>,
    Query(ask): Query<ListQuery>,
) -> Result<Json<JobPage>, Problem> {
    let before = ask.cursor.as_deref().map(JobId::from_text).transpose()?;
    let limit = page_size(ask.limit);
    let filter = JobFilter {
        state: ask.state,
        provider: ask.provider,
        user: ask.user,
        error_type: ask.error_type,
        fingerprint: ask.fingerprint,
        older_than: ask.older_than,
        newer_than: ask.newer_than,
        text: ask.text,
    };
    let filter = filter.resolved(&app, "").await?;
    let within = before.map_or(Range::ALL, Range::older_than);
    let mut tx = admin_jobs::search(&app.db).await?;
    let found = admin_jobs::page(&mut tx, &filter, within, limit + 1).await?;
    tx.rollback().await.map_err(db::Error::from)?;
    let (jobs, next_cursor) = page(found.jobs, limit, |job| job.id);
    let next_cursor = next_cursor.or_else(|| Some(found.searched_to?.to_text()));
    Ok(Json(JobPage { items: jobs.into_iter().map(Into::into).collect(), next_cursor }))
}

/// How many jobs there are, by state and provider, as last counted. Asks for `viewer`.
#[utoipa::path(get, path = "/api/v1/admin/jobs/counts", operation_id = "adminCountJobs", tag = "admin", security(("bearer" = [])),
    responses((status = OK, description = "The figures, with their age", body = JobCounts), CountsProblems))]
pub(super) async fn counts(
    State(app): State<App>,
    _me: Staff<Viewer>,
) -> Result<Json<JobCounts>, Problem> {
    let mut tx = db::begin(&app.db).await?;
    let (counts, taken) = job_counts::read(&mut tx).await?;
    tx.rollback().await.map_err(db::Error::from)?;
    Ok(Json(JobCounts::new(&counts, &taken)))
}
