//! `/api/v1/syncs`: start, list, watch, retry, cancel.

pub(super) mod request;

use crate::{
    app::App,
    auth::Caller,
    cursor::{Cursor, page},
    extract::{Bounded, IdempotencyKey, Json, Query, SyncId},
    idempotency::{self, Answer},
    observe::{acted, request_id},
    openapi::problems,
    problem::{Kind, Problem},
    view::{failure::RecordFailureView, sync::SyncView},
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use paceline_shared::{
    JobId, Provider, UserId,
    db::{
        self,
        connections::{self, Connection, State as ConnectionState},
        record_failures,
        sync_jobs::{self, CancelOutcome, Enqueued, NewSync, RetryOptions, RetryOutcome, WhenLive},
        syncs::{self, Filter, Sync},
    },
    job_state::JobState,
    notify,
    progress::ClientStatus,
    sync_spec::Class,
};
use request::{Asked, SyncRequest};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor};
use std::time::Duration;

problems!(CreateProblems: AnotherUser, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest,
    IdempotencyKeyReused, NotConnected, NeedsReauth, ProviderGone, AlreadyRunning);
problems!(ListProblems: AnotherUser, InvalidRequest, InvalidCursor);
problems!(ShowProblems: AnotherUser, InvalidRequest, UnknownSync);
problems!(FailuresProblems: AnotherUser, InvalidRequest, InvalidCursor, UnknownSync);
problems!(RetryProblems: AnotherUser, InvalidRequest, UnknownSync, IdempotencyKeyReused, NotConnected,
    NeedsReauth, ProviderGone, AlreadyRunning, NothingToRetry);
problems!(CancelProblems: AnotherUser, InvalidRequest, UnknownSync, AlreadyEnded);

/// Starts a sync.
///
/// It is queued and the answer shows it; watch it with `GET /api/v1/syncs/{id}?wait=25`. A user has
/// one sync at a time with a provider. With an `Idempotency-Key` a request may be repeated: it is
/// answered the same for a day, and nothing is started twice.
#[utoipa::path(post, path = "/api/v1/syncs", operation_id = "createSync", tag = "syncs", security(("bearer" = [])),
    params(IdempotencyKey),
    request_body = SyncRequest,
    responses(
        (status = ACCEPTED, description = "Queued", body = SyncView,
            headers(("Location" = String, description = "The sync"),
                ("Idempotency-Replayed" = String, description = "`true` when this was answered before"))),
        CreateProblems))]
pub(super) async fn create(
    State(app): State<App>,
    me: Caller,
    key: IdempotencyKey,
    Json(ask): Json<SyncRequest>,
) -> Result<Answer, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let once = idempotency::Request::new(key, me.user, "POST /api/v1/syncs", &ask)?;
    let provider = ask.provider;
    let Asked { job_type, range, options } = ask.checked()?;

    let mut tx = db::begin(&app.db).await?;
    if let Some(answer) = once.answered(&mut tx).await? {
        return Ok(answer);
    }
    let connection = usable_connection(&mut tx, user, provider).await?.id;
    let class = Class::Interactive;
    let (trace, requested_by) = (request_id(), me.on_behalf_of(user));
    let sync = NewSync {
        user,
        connection,
        provider,
        job_type,
        class,
        range,
        options,
        trace,
        requested_by,
    };
    let id = match sync_jobs::enqueue(&mut tx, &sync, WhenLive::Refuse).await? {
        Enqueued::New(id) => id,
        Enqueued::Live(id) | Enqueued::Merged(id) => return Err(already_running(provider, id)),
    };
    let queued = found(&mut *tx, user, id).await?;
    let answer = once.accepted(&mut tx, &SyncView::from(&queued)).await?;
    tx.commit().await.map_err(db::Error::from)?;
    acted("submit", me.user, user, id, provider);
    wake(&app, provider, id);
    Ok(answer)
}

/// Which syncs to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this provider's.
    provider: Option<Provider>,
    /// Only those with this status.
    status: Option<ClientStatus>,
    /// How many, 50 by default.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 200)]
    limit: Option<Bounded<1, 200>>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

/// A page of syncs.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncPage {
    /// The syncs, newest first.
    items: Vec<SyncView>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Lists syncs, newest first.
#[utoipa::path(get, path = "/api/v1/syncs", operation_id = "listSyncs", tag = "syncs", security(("bearer" = [])), params(ListQuery),
    responses((status = OK, description = "A page", body = SyncPage), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    me: Caller,
    Query(ask): Query<ListQuery>,
) -> Result<Json<SyncPage>, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let before = ask.cursor.as_deref().map(JobId::from_text).transpose()?;
    let filter = Filter { provider: ask.provider, status: ask.status, before };
    let limit = page_size(ask.limit);
    let rows = syncs::list(&app.db, user, filter, limit + 1).await?;
    let (rows, next_cursor) = page(rows, limit, |sync| sync.id);
    Ok(Json(SyncPage { items: rows.iter().map(SyncView::from).collect(), next_cursor }))
}

/// How to read one sync.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ShowQuery {
    /// Seconds to wait for its end; 0 by default. The answer comes as soon as it has ended, else
    /// when the time is over.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 25)]
    wait: Option<Bounded<0, 25>>,
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

/// Shows a sync, at once or when it has ended.
#[utoipa::path(get, path = "/api/v1/syncs/{id}", operation_id = "showSync", tag = "syncs", security(("bearer" = [])),
    params(("id" = JobId, Path, description = "The syncId"), ShowQuery),
    responses((status = OK, description = "The sync", body = SyncView), ShowProblems))]
pub(super) async fn show(
    State(app): State<App>,
    me: Caller,
    SyncId(id): SyncId,
    Query(ask): Query<ShowQuery>,
) -> Result<Json<SyncView>, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let seconds = ask.wait.map_or(0, Bounded::value);
    // Before the read: an end between the two is seen.
    let wait = (seconds > 0).then(|| app.live.wait_for(id));
    let mut sync = found(&app.db, user, id).await?;
    if let Some(wait) = wait
        && !sync.state.is_final()
    {
        wait.ended(Duration::from_secs(u64::from(seconds.unsigned_abs()))).await;
        sync = found(&app.db, user, id).await?;
    }
    Ok(Json(SyncView::from(&sync)))
}

/// Which failures to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct FailuresQuery {
    /// How many, 50 by default.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 200)]
    limit: Option<Bounded<1, 200>>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

/// A page of records that failed.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailurePage {
    /// The failures, in the provider's order.
    items: Vec<RecordFailureView>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Lists the records of a sync that could not be read or stored.
#[utoipa::path(get, path = "/api/v1/syncs/{id}/failures", operation_id = "listSyncFailures", tag = "syncs", security(("bearer" = [])),
    params(("id" = JobId, Path, description = "The syncId"), FailuresQuery),
    responses((status = OK, description = "A page", body = FailurePage), FailuresProblems))]
pub(super) async fn failures(
    State(app): State<App>,
    me: Caller,
    SyncId(id): SyncId,
    Query(ask): Query<FailuresQuery>,
) -> Result<Json<FailurePage>, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let after = ask.cursor.as_deref().map(<(i32, i32)>::from_text).transpose()?;
    found(&app.db, user, id).await?;
    let limit = page_size(ask.limit);
    // Pages count from 1, so (0, 0) is before all of them.
    let rows =
        record_failures::of_sync(&app.db, user, id, after.unwrap_or((0, 0)), limit + 1).await?;
    let (rows, next_cursor) = page(rows, limit, |row| (row.page, row.position));
    Ok(Json(FailurePage { items: rows.into_iter().map(Into::into).collect(), next_cursor }))
}

/// On whose behalf.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ForUser {
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

/// Queues an ended sync again, under the same id.
///
/// A failed sync goes on where it stopped, with the pages it has; a cancelled one begins anew.
#[utoipa::path(post, path = "/api/v1/syncs/{id}/retry", operation_id = "retrySync", tag = "syncs", security(("bearer" = [])),
    params(("id" = JobId, Path, description = "The syncId"), ForUser, IdempotencyKey),
    responses(
        (status = ACCEPTED, description = "Queued again", body = SyncView,
            headers(("Location" = String, description = "The sync"),
                ("Idempotency-Replayed" = String, description = "`true` when this was answered before"))),
        RetryProblems))]
pub(super) async fn retry(
    State(app): State<App>,
    me: Caller,
    SyncId(id): SyncId,
    key: IdempotencyKey,
    Query(ask): Query<ForUser>,
) -> Result<Answer, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let route = format!("POST /api/v1/syncs/{id}/retry");
    let once = idempotency::Request::new(key, me.user, route, &ask.user_id)?;

    let mut tx = db::begin(&app.db).await?;
    if let Some(answer) = once.answered(&mut tx).await? {
        return Ok(answer);
    }
    let sync = found(&mut *tx, user, id).await?;
    let requested_by = me.on_behalf_of(user);
    let options = RetryOptions {
        trace: request_id(),
        requested_by: requested_by.as_deref(),
        ..RetryOptions::default()
    };
    let provider = match sync_jobs::retry(&mut tx, user, id, options).await? {
        RetryOutcome::Queued(provider) => provider,
        RetryOutcome::Live(live) => return Err(already_running(sync.provider, live)),
        RetryOutcome::NotEnded => return Err(already_running(sync.provider, id)),
        RetryOutcome::Completed => return Err(Problem::new(Kind::NothingToRetry).sync(id)),
        RetryOutcome::Unusable(state) => return Err(unusable(sync.provider, state)),
        RetryOutcome::NotFound => return Err(Problem::new(Kind::UnknownSync)),
    };
    let queued = found(&mut *tx, user, id).await?;
    let answer = once.accepted(&mut tx, &SyncView::from(&queued)).await?;
    tx.commit().await.map_err(db::Error::from)?;
    acted("retry", me.user, user, id, provider);
    wake(&app, provider, id);
    Ok(answer)
}

/// Cancels a sync.
///
/// Nothing that was stored is taken back; ranges that were joined to the sync meanwhile are synced after it. To repeat
/// the call is harmless: no `Idempotency-Key` is needed.
#[utoipa::path(post, path = "/api/v1/syncs/{id}/cancel", operation_id = "cancelSync", tag = "syncs", security(("bearer" = [])),
    params(("id" = JobId, Path, description = "The syncId"), ForUser),
    responses(
        (status = OK, description = "Cancelled", body = SyncView),
        (status = ACCEPTED, description = "Its worker was asked to stop, and nothing forgets it", body = SyncView),
        CancelProblems))]
pub(super) async fn cancel(
    State(app): State<App>,
    me: Caller,
    SyncId(id): SyncId,
    Query(ask): Query<ForUser>,
) -> Result<Response, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let status = match sync_jobs::cancel(&app.db, user, id).await? {
        CancelOutcome::Done => {
            app.notifier.say(notify::LIVE, &id);
            StatusCode::OK
        }
        CancelOutcome::Asked => {
            app.notifier.say(notify::CANCEL, &id);
            StatusCode::ACCEPTED
        }
        CancelOutcome::Ended(JobState::Cancelled) => StatusCode::OK,
        CancelOutcome::Ended(_) => return Err(Problem::new(Kind::AlreadyEnded).sync(id)),
        CancelOutcome::NotFound => return Err(Problem::new(Kind::UnknownSync)),
    };
    let sync = found(&app.db, user, id).await?;
    // Something may follow it.
    app.notifier.say(notify::JOBS, &sync.provider);
    acted("cancel", me.user, user, id, sync.provider);
    Ok((status, Json(SyncView::from(&sync))).into_response())
}

async fn found(db: impl PgExecutor<'_>, user: UserId, id: JobId) -> Result<Sync, Problem> {
    syncs::find(db, user, id).await?.ok_or(Problem::new(Kind::UnknownSync))
}

/// The connection that a sync would use, or why there is none.
pub(super) async fn usable_connection(
    tx: &mut PgConnection,
    user: UserId,
    provider: Provider,
) -> Result<Connection, Problem> {
    match connections::of(tx, user, provider).await? {
        Some(connection) if connection.state.is_usable() => Ok(connection),
        unused => Err(unusable(provider, unused.map_or(ConnectionState::Revoked, |c| c.state))),
    }
}

/// Why a connection in this state brings nothing, and what its user can do.
pub(super) fn unusable(provider: Provider, state: ConnectionState) -> Problem {
    let title = provider.title();
    match state {
        ConnectionState::NeedsReauth => Problem::new(Kind::NeedsReauth)
            .detail(format!("{title} no longer accepts our access: connect it again."))
            .action("reconnect"),
        ConnectionState::ProviderGone => {
            Problem::new(Kind::ProviderGone).action("connect_another_provider")
        }
        ConnectionState::Active | ConnectionState::Limited | ConnectionState::Revoked => {
            Problem::new(Kind::NotConnected)
                .detail(format!("There is no connection to {title}."))
                .action("connect")
        }
    }
}

pub(super) fn already_running(provider: Provider, live: JobId) -> Problem {
    Problem::new(Kind::AlreadyRunning)
        .detail(format!("A sync with {} is under way.", provider.title()))
        .sync(live)
}

/// After the commit: there is something to claim, and something to see.
pub(super) fn wake(app: &App, provider: Provider, id: JobId) {
    app.notifier.say(notify::JOBS, &provider);
    app.notifier.say(notify::LIVE, &id);
}

fn page_size(asked: Option<Bounded<1, 200>>) -> i64 {
    asked.map_or(50, |limit| i64::from(limit.value()))
}
