//! `/api/v1/progress/{id}`: a sync, or all those of one refresh, and how far they are together.

use super::dashboard::wait;
use crate::{
    app::App,
    auth::Caller,
    extract::{Bounded, Json, ProgressId, Query},
    openapi::problems,
    problem::{Kind, Problem},
    view::sync::SyncView,
};
use axum::extract::State;
use paceline_shared::{
    JobId, UserId,
    db::syncs::{self, Sync},
    progress::percent,
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

problems!(ShowProblems: AnotherUser, InvalidRequest, UnknownProgress);

/// How to read it.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ProgressQuery {
    /// Seconds to wait for the end of all of them; 0 by default.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 25)]
    wait: Option<Bounded<0, 25>>,
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

/// Syncs that belong together.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = JointProgress)]
pub(crate) struct Progress {
    /// What was asked for: a syncId or a refreshId.
    #[serde(rename = "progressId")]
    id: Uuid,
    /// Whether all have ended.
    done: bool,
    /// The mean of all, 0 to 100; 100 only when all have completed.
    percent: i16,
    /// Each of them, oldest first.
    syncs: Vec<SyncView>,
}

/// Shows how far a sync, or a refresh with all its syncs, is.
#[utoipa::path(get, path = "/api/v1/progress/{id}", operation_id = "showProgress", tag = "progress", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "A syncId, or the progressId of a refresh"), ProgressQuery),
    responses((status = OK, description = "How far it is", body = Progress), ShowProblems))]
pub(super) async fn show(
    State(app): State<App>,
    me: Caller,
    ProgressId(id): ProgressId,
    Query(ask): Query<ProgressQuery>,
) -> Result<Json<Progress>, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let mut found = of(&app, user, id).await?;
    let seconds = ask.wait.map_or(0, Bounded::value);
    if seconds > 0 && found.iter().any(|sync| !sync.state.is_final()) {
        let ids: Vec<JobId> = found.iter().map(|sync| sync.id).collect();
        wait(&app, user, &ids, Duration::from_secs(u64::from(seconds.unsigned_abs()))).await?;
        found = of(&app, user, id).await?;
    }
    let all = i32::try_from(found.len()).unwrap_or(i32::MAX).max(1);
    let sum: i32 =
        found.iter().map(|sync| i32::from(percent(sync.state, sync.phase, &sync.counts))).sum();
    Ok(Json(Progress {
        id,
        done: found.iter().all(|sync| sync.state.is_final()),
        percent: i16::try_from(sum / all).unwrap_or(0),
        syncs: found.iter().map(SyncView::from).collect(),
    }))
}

async fn of(app: &App, user: UserId, id: Uuid) -> Result<Vec<Sync>, Problem> {
    if let Some(sync) = syncs::find(&app.db, user, JobId(id)).await? {
        return Ok(vec![sync]);
    }
    let group = syncs::of_refresh(&app.db, user, id).await?;
    if group.is_empty() { Err(Problem::new(Kind::UnknownProgress)) } else { Ok(group) }
}
