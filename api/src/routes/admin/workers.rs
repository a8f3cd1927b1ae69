//! `/api/v1/admin/workers`: the processes of the fleet.

use super::{act::Because, checked_reason, note};
use crate::{
    app::App,
    auth::{Operator, Staff, Viewer},
    extract::{Json, WorkerName},
    openapi::problems,
    problem::{Kind, Problem},
    view::admin::worker::WorkerView,
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use paceline_shared::{
    WorkerId,
    db::{
        self,
        workers::{self, Drain},
    },
};
use serde::Serialize;
use serde_json::json;

problems!(ListProblems: RoleNeeded);
problems!(DrainProblems: RoleNeeded, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest, UnknownWorker, AlreadyEnded);

/// The processes.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct WorkerList {
    /// Those that are alive first; then those of the last 24 hours.
    items: Vec<WorkerView>,
}

/// Lists worker processes, also those that ended or fell silent within the last 24 hours. Asks for `viewer`.
#[utoipa::path(get, path = "/api/v1/admin/workers", operation_id = "adminListWorkers", tag = "admin", security(("bearer" = [])),
    responses((status = OK, description = "The workers", body = WorkerList), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    _me: Staff<Viewer>,
) -> Result<Json<WorkerList>, Problem> {
    let workers = workers::list(&app.db).await?;
    Ok(Json(WorkerList { items: workers.into_iter().map(Into::into).collect() }))
}

/// Asks a worker to hand back what it has, and to end. Asks for `operator`.
#[utoipa::path(post, path = "/api/v1/admin/workers/{id}/drain", operation_id = "adminDrainWorker", tag = "admin", security(("bearer" = [])),
    params(("id" = WorkerId, Path, description = "The workerId")),
    request_body = Option<Because>,
    responses((status = ACCEPTED, description = "It finds the wish with its next beat", body = WorkerView), DrainProblems))]
pub(super) async fn drain(
    State(app): State<App>,
    me: Staff<Operator>,
    WorkerName(id): WorkerName,
    ask: Option<Json<Because>>,
) -> Result<Response, Problem> {
    let reason = checked_reason(ask.and_then(|Json(ask)| ask.reason))?;
    let mut tx = db::begin(&app.db).await?;
    match workers::request_drain(&mut tx, id, &me.subject).await? {
        Drain::Asked | Drain::AlreadyAsked => {}
        Drain::Stopped => {
            return Err(Problem::new(Kind::AlreadyEnded).detail("The worker has ended already."));
        }
        Drain::Unknown => return Err(Problem::new(Kind::UnknownWorker)),
    }
    let target = format!("worker:{id}");
    note(&mut tx, &me, "worker.drain", &target, json!({ "reason": reason })).await?;
    let workers = workers::list(&mut *tx).await?;
    tx.commit().await.map_err(db::Error::from)?;
    let worker = workers.into_iter().find(|worker| worker.id == id);
    let worker = worker.ok_or(Problem::new(Kind::UnknownWorker))?;
    Ok((StatusCode::ACCEPTED, Json(WorkerView::from(worker))).into_response())
}
