//! `/{provider}/sync/…`: the single-sync face, for clients that know one sync per provider and poll its status. Its
//! names are in snake case, as those clients have them.

use super::syncs::{already_running, unusable, usable_connection, wake};
use crate::{
    app::App,
    auth::Caller,
    extract::{JobTypeName, Json, ProviderName},
    observe::{acted, request_id},
    openapi::problems,
    problem::{Kind, Problem},
    view::single_sync::SingleSyncView,
};
use axum::{extract::State, http::StatusCode};
use paceline_shared::{
    JobType, Provider,
    db::{
        self,
        connections::State as ConnectionState,
        sync_jobs::{self, Enqueued, NewSync, WhenLive},
        syncs,
    },
    sync_spec::{Class, SyncOptions},
};
use sqlx::postgres::types::PgRange;
use std::ops::Bound;

problems!(StartProblems: UnknownProvider, UnknownJobType, NotConnected, NeedsReauth, ProviderGone, AlreadyRunning);
problems!(StatusProblems: UnknownProvider);

/// Starts a sync of all that is new.
///
/// One at a time with a provider, whatever is read: a second start is refused while the first is under way.
#[utoipa::path(post, path = "/{provider}/sync/{job_type}", operation_id = "startSingleSync", tag = "single sync", security(("bearer" = [])),
    params(("provider" = Provider, Path, description = "From where"), ("job_type" = JobType, Path, description = "What")),
    responses((status = ACCEPTED, description = "Started", body = SingleSyncView), StartProblems))]
pub(super) async fn start(
    State(app): State<App>,
    me: Caller,
    ProviderName(provider): ProviderName,
    JobTypeName(job_type): JobTypeName,
) -> Result<(StatusCode, Json<SingleSyncView>), Problem> {
    if !provider.job_types().contains(&job_type) {
        let known: Vec<_> = provider.job_types().iter().map(|known| known.as_str()).collect();
        return Err(Problem::new(Kind::UnknownJobType).detail(if known.is_empty() {
            format!("{} cannot be synced yet.", provider.title())
        } else {
            format!("{} has {}.", provider.title(), known.join(", "))
        }));
    }
    let mut tx = db::begin(&app.db).await?;
    let connection = usable_connection(&mut tx, me.user, provider).await?;
    if connection.state == ConnectionState::Revoked {
        return Err(unusable(provider, connection.state));
    }
    let sync = NewSync {
        user: me.user,
        connection: connection.id,
        provider,
        job_type,
        class: Class::Interactive,
        range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
        options: SyncOptions { only_new: true, ..SyncOptions::default() },
        trace: request_id(),
        requested_by: None,
    };
    let id = match sync_jobs::enqueue(&mut tx, &sync, WhenLive::Refuse).await? {
        Enqueued::New(id) => id,
        Enqueued::Live(id) | Enqueued::Merged(id) => return Err(already_running(provider, id)),
    };
    tx.commit().await.map_err(db::Error::from)?;
    acted("submit", me.user, me.user, id, provider);
    wake(&app, provider, id);
    let started = syncs::find(&app.db, me.user, id).await?;
    Ok((StatusCode::ACCEPTED, Json(started.as_ref().into())))
}

/// Tells how the newest sync with a provider is; `idle` when there was none.
#[utoipa::path(get, path = "/{provider}/sync/status", operation_id = "showSingleSync", tag = "single sync", security(("bearer" = [])),
    params(("provider" = Provider, Path, description = "From where")),
    responses((status = OK, description = "How it is", body = SingleSyncView), StatusProblems))]
pub(super) async fn status(
    State(app): State<App>,
    me: Caller,
    ProviderName(provider): ProviderName,
) -> Result<Json<SingleSyncView>, Problem> {
    let last = syncs::last(&app.db, me.user, provider).await?;
    Ok(Json(last.as_ref().into()))
}
