//! `/api/v1/admin/jobs/{id}`: one job, whole, and why it is where it is.

use crate::{
    app::App,
    auth::{Staff, Viewer},
    extract::{AnyJob, Json},
    openapi::problems,
    problem::{Kind, Problem},
    view::{
        admin::{
            job::JobView,
            whole::{Parts, WholeView},
            why::{self, Reason},
        },
        sync::SyncView,
    },
};
use axum::extract::State;
use paceline_shared::{
    JobId,
    db::{
        self, admin_audit,
        admin_jobs::{self, Facts, Job},
        sync_attempts, syncs,
    },
    job_state::JobState,
};
use serde::Serialize;
use sqlx::PgConnection;

problems!(ShowProblems: RoleNeeded, UnknownJob, TooBroad);

/// Acts of staff that are shown with a job.
const AUDIT: i64 = 50;

/// The job with this id; a problem when there is none.
pub(super) async fn found(tx: &mut PgConnection, id: JobId) -> Result<Job, Problem> {
    let mut jobs = admin_jobs::rows(tx, &[id.0]).await.map_err(db::Error::from)?;
    jobs.pop().ok_or(Problem::new(Kind::UnknownJob))
}

/// A job with the facts about it. One that ends meanwhile is read again.
async fn with_facts(tx: &mut PgConnection, id: JobId) -> Result<(Job, Option<Facts>), Problem> {
    let facts = admin_jobs::facts(tx, id).await?;
    Ok((found(tx, id).await?, facts))
}

fn reasons(job: &Job, facts: Option<&Facts>) -> Vec<Reason> {
    facts.filter(|_| !job.state.is_final()).map_or_else(|| why::ended(job), why::why)
}

/// Shows a job whole: state, progress, attempts, lease, payload, what staff did to it, and why it is where it is.
///
/// Asks for `viewer`. What could be secret is hidden.
#[utoipa::path(get, path = "/api/v1/admin/jobs/{id}", operation_id = "adminShowJob", tag = "admin", security(("bearer" = [])),
    params(("id" = JobId, Path, description = "The syncId")),
    responses((status = OK, description = "The job", body = WholeView), ShowProblems))]
pub(super) async fn show(
    State(app): State<App>,
    _me: Staff<Viewer>,
    AnyJob(id): AnyJob,
) -> Result<Json<WholeView>, Problem> {
    let mut tx = admin_jobs::search(&app.db).await?;
    let (job, facts) = with_facts(&mut tx, id).await?;
    let inside = admin_jobs::inside(&mut tx, id).await?.ok_or(Problem::new(Kind::UnknownJob))?;
    let sync = syncs::find(&mut *tx, job.user, id).await?;
    let target = format!("job:{id}");
    let of_job = admin_audit::Filter { target: Some(&target), ..admin_audit::Filter::default() };
    let audit = admin_audit::list(&mut *tx, of_job, AUDIT).await?;
    tx.rollback().await.map_err(db::Error::from)?;
    // After the job: one that is seen as completed has its failures resolved.
    let attempts = sync_attempts::of_job(&app.db, id).await?;
    let why = reasons(&job, facts.as_ref());
    Ok(Json(WholeView::from(Parts {
        job: JobView::from(job),
        sync: sync.as_ref().map(SyncView::from),
        inside,
        attempts,
        facts,
        why,
        audit: audit.into_iter().map(Into::into).collect(),
    })))
}

/// Why a job is where it is.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    /// Which job.
    sync_id: JobId,
    /// Where in its life.
    state: JobState,
    /// All that hold, what holds the longest first.
    why: Vec<Reason>,
}

/// Why a job is not running, or what it does if it is, answered from the facts of this moment. Asks for `viewer`.
#[utoipa::path(get, path = "/api/v1/admin/jobs/{id}/why", operation_id = "adminExplainJob", tag = "admin", security(("bearer" = [])),
    params(("id" = JobId, Path, description = "The syncId")),
    responses((status = OK, description = "The reasons", body = Explanation), ShowProblems))]
pub(super) async fn explain(
    State(app): State<App>,
    _me: Staff<Viewer>,
    AnyJob(id): AnyJob,
) -> Result<Json<Explanation>, Problem> {
    let mut tx = admin_jobs::search(&app.db).await?;
    let (job, facts) = with_facts(&mut tx, id).await?;
    tx.rollback().await.map_err(db::Error::from)?;
    let why = reasons(&job, facts.as_ref());
    let state = facts.filter(|_| !job.state.is_final()).map_or(job.state, |facts| facts.state);
    Ok(Json(Explanation { sync_id: id, state, why }))
}
