//! `/api/v1/admin/operations`: one act on all jobs that match a filter. Accepted here, done by the workers.

use super::{act::Because, checked_reason, filter::JobFilter, note, page_size};
use crate::{
    app::App,
    auth::{Admin, Staff, Viewer},
    cursor::{Cursor, page},
    extract::{Bounded, IdempotencyKey, Json, Object, OperationId, Query},
    idempotency::{self, Answer},
    observe::request_id,
    openapi::problems,
    problem::{Kind, Problem},
    view::admin::{
        job::JobView,
        operation::{OperationView, RetryFrom},
    },
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use paceline_shared::{
    JobId,
    db::{
        self,
        admin_jobs::{self, Filter, Range, Side},
        admin_operations::{self, Act, New, Options, Stop},
    },
    job_state::JobState,
    notify,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgExecutor;
use uuid::Uuid;

problems!(PreviewProblems: RoleNeeded, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest, TooBroad);
problems!(StartProblems: RoleNeeded, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest, TooBroad, CountDiffers,
    IdempotencyKeyReused);
problems!(ListProblems: RoleNeeded, InvalidRequest, InvalidCursor);
problems!(ShowProblems: RoleNeeded, UnknownOperation);
problems!(StopProblems: RoleNeeded, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest, UnknownOperation, OperationOver);

/// Jobs that a preview shows.
const SAMPLE: i64 = 20;

/// What to do to which jobs.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct OperationAsk {
    /// `retry` is for failed jobs, or cancelled ones where the filter says so; `cancel` for live ones.
    act: Act,
    /// Which jobs; one field at least.
    #[schema(value_type = JobFilter)]
    filter: Object<JobFilter>,
    /// Where retried jobs go on; `checkpoint` by default.
    #[serde(default)]
    from: RetryFrom,
    /// Why; it is written down.
    #[schema(max_length = 500)]
    reason: Option<String>,
    /// How many jobs were seen to match; where another number does, nothing is done.
    #[schema(minimum = 0)]
    expect: Option<u32>,
}

/// A request that makes sense, and the jobs that it is about at this moment.
struct Asked {
    act: Act,
    written: serde_json::Value,
    search: Filter,
    side: Side,
    until: JobId,
}

impl Asked {
    async fn read(app: &App, act: Act, filter: JobFilter) -> Result<Self, Problem> {
        if filter.is_empty() {
            let message = "needs at least one field: it must say which jobs";
            return Err(Problem::invalid_field("filter", message));
        }
        let allowed: &[JobState] = match act {
            Act::Retry => &[JobState::Failed, JobState::Cancelled],
            Act::Cancel => &[JobState::Queued, JobState::Waiting, JobState::Running],
        };
        if filter.state.is_some_and(|state| !allowed.contains(&state)) {
            let names: Vec<&str> = allowed.iter().map(|state| state.as_str()).collect();
            let message = format!("must be {} to {}", names.join(" or "), act.as_str());
            return Err(Problem::invalid_field("filter.state", message));
        }
        let written = json!(filter);
        let mut search = filter.resolved(app, "filter.").await?;
        let side = match act {
            Act::Retry => {
                search.state = search.state.or(Some(JobState::Failed));
                Side::Ended
            }
            Act::Cancel => Side::Live,
        };
        Ok(Self { act, written, search, side, until: JobId::fresh() })
    }
}

/// What would be done.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Preview {
    /// How many jobs match now.
    count: i64,
    /// The newest of them.
    sample: Vec<JobView>,
}

/// Says how many jobs match, and shows some, without doing anything. Asks for `admin`.
#[utoipa::path(post, path = "/api/v1/admin/operations/preview", operation_id = "adminPreviewOperation", tag = "admin", security(("bearer" = [])),
    request_body = OperationAsk,
    responses((status = OK, description = "What would be done", body = Preview), PreviewProblems))]
pub(super) async fn preview(
    State(app): State<App>,
    _me: Staff<Admin>,
    Json(ask): Json<OperationAsk>,
) -> Result<Json<Preview>, Problem> {
    let Object(filter) = ask.filter;
    let mut asked = Asked::read(&app, ask.act, filter).await?;
    let mut tx = admin_jobs::search(&app.db).await?;
    let within = Range::until(asked.until);
    let count = admin_jobs::count(&mut tx, &asked.search, asked.side, within).await?;
    let sample = if asked.search.state.is_some() {
        admin_jobs::page(&mut tx, &asked.search, within, SAMPLE).await?.jobs
    } else {
        live_sample(&mut tx, &mut asked.search, within).await?
    };
    tx.rollback().await.map_err(db::Error::from)?;
    Ok(Json(Preview { count, sample: sample.into_iter().map(Into::into).collect() }))
}

/// The newest live jobs that match, whichever of the live states they are in.
async fn live_sample(
    tx: &mut sqlx::PgConnection,
    search: &mut Filter,
    within: Range,
) -> Result<Vec<admin_jobs::Job>, Problem> {
    let mut jobs = Vec::new();
    for state in [JobState::Queued, JobState::Waiting, JobState::Running] {
        search.state = Some(state);
        jobs.extend(admin_jobs::page(tx, search, within, SAMPLE).await?.jobs);
    }
    jobs.sort_unstable_by_key(|job| std::cmp::Reverse(job.id));
    jobs.dedup_by_key(|job| job.id);
    jobs.truncate(usize::try_from(SAMPLE).unwrap_or(0));
    Ok(jobs)
}

/// Starts an act on all jobs that match.
///
/// It is accepted at once; workers do it batch by batch, and any of them goes on where another died. Jobs made
/// later are left alone. With an `Idempotency-Key` a request may be repeated: it is answered the same for a day, and
/// nothing is started twice. Asks for `admin`.
#[utoipa::path(post, path = "/api/v1/admin/operations", operation_id = "adminStartOperation", tag = "admin", security(("bearer" = [])),
    params(IdempotencyKey),
    request_body = OperationAsk,
    responses(
        (status = ACCEPTED, description = "Accepted", body = OperationView,
            headers(("Location" = String, description = "The operation"),
                ("Idempotency-Replayed" = String, description = "`true` when this was answered before"))),
        StartProblems))]
pub(super) async fn start(
    State(app): State<App>,
    me: Staff<Admin>,
    key: IdempotencyKey,
    Json(ask): Json<OperationAsk>,
) -> Result<Answer, Problem> {
    let route = "POST /api/v1/admin/operations";
    let once = idempotency::Request::of_staff(key, &me.subject, route, &ask)?;
    let reason = checked_reason(ask.reason)?;
    let Object(filter) = ask.filter;
    let asked = Asked::read(&app, ask.act, filter).await?;
    let mut tx = admin_jobs::search(&app.db).await?;
    if let Some(answer) = once.answered(&mut tx).await? {
        return Ok(answer);
    }
    let within = Range::until(asked.until);
    let expected = admin_jobs::count(&mut tx, &asked.search, asked.side, within).await?;
    if let Some(expect) = ask.expect.filter(|expect| i64::from(*expect) != expected) {
        let detail = format!("{expected} jobs match now, and {expect} were expected.");
        return Err(Problem::new(Kind::CountDiffers).detail(detail));
    }
    let from_scratch = ask.from == RetryFrom::Scratch;
    let detail = json!({
        "act": asked.act, "filter": asked.written, "from": ask.from, "expected": expected, "reason": reason
    });
    let new = New {
        act: asked.act,
        filter: asked.written,
        options: Options { search: asked.search, from_scratch, reason, request_id: request_id() },
        expected,
        until: asked.until,
        actor: &me.subject,
    };
    let id = admin_operations::start(&mut tx, &new).await?;
    note(&mut tx, &me, "operation.start", &format!("operation:{id}"), detail).await?;
    let operation = found(&mut *tx, id).await?;
    let answer = once.accepted(&mut tx, &operation).await?;
    tx.commit().await.map_err(db::Error::from)?;
    app.notifier.say(notify::OPERATIONS, &id);
    Ok(answer)
}

/// Which operations to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// How many, 50 by default.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 200)]
    limit: Option<Bounded<1, 200>>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// A page of operations.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OperationPage {
    /// The operations, newest first.
    items: Vec<OperationView>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Lists bulk operations, newest first. Asks for `viewer`.
#[utoipa::path(get, path = "/api/v1/admin/operations", operation_id = "adminListOperations", tag = "admin", security(("bearer" = [])), params(ListQuery),
    responses((status = OK, description = "A page", body = OperationPage), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    _me: Staff<Viewer>,
    Query(ask): Query<ListQuery>,
) -> Result<Json<OperationPage>, Problem> {
    let before = ask.cursor.as_deref().map(Uuid::from_text).transpose()?;
    let limit = page_size(ask.limit);
    let rows = admin_operations::list(&app.db, before, limit + 1).await?;
    let (rows, next_cursor) = page(rows, limit, |operation| operation.id);
    Ok(Json(OperationPage { items: rows.into_iter().map(Into::into).collect(), next_cursor }))
}

/// Shows how far an operation is, and in the end what came of it. Asks for `viewer`.
#[utoipa::path(get, path = "/api/v1/admin/operations/{id}", operation_id = "adminShowOperation", tag = "admin", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The operationId")),
    responses((status = OK, description = "The operation", body = OperationView), ShowProblems))]
pub(super) async fn show(
    State(app): State<App>,
    _me: Staff<Viewer>,
    OperationId(id): OperationId,
) -> Result<Json<OperationView>, Problem> {
    Ok(Json(found(&app.db, id).await?))
}

/// Stops an operation: no batch begins any more, and what was done stays. Asks for `admin`.
#[utoipa::path(post, path = "/api/v1/admin/operations/{id}/stop", operation_id = "adminStopOperation", tag = "admin", security(("bearer" = [])),
    params(("id" = Uuid, Path, description = "The operationId")),
    request_body = Option<Because>,
    responses((status = ACCEPTED, description = "It stops", body = OperationView), StopProblems))]
pub(super) async fn stop(
    State(app): State<App>,
    me: Staff<Admin>,
    OperationId(id): OperationId,
    ask: Option<Json<Because>>,
) -> Result<Response, Problem> {
    let reason = checked_reason(ask.and_then(|Json(ask)| ask.reason))?;
    let mut tx = db::begin(&app.db).await?;
    match admin_operations::request_stop(&mut tx, id, &me.subject).await? {
        Stop::Asked => {}
        Stop::Over => return Err(Problem::new(Kind::OperationOver)),
        Stop::Unknown => return Err(Problem::new(Kind::UnknownOperation)),
    }
    let target = format!("operation:{id}");
    note(&mut tx, &me, "operation.stop", &target, json!({ "reason": reason })).await?;
    let operation = found(&mut *tx, id).await?;
    tx.commit().await.map_err(db::Error::from)?;
    app.notifier.say(notify::OPERATIONS, &id);
    Ok((StatusCode::ACCEPTED, Json(operation)).into_response())
}

async fn found(db: impl PgExecutor<'_>, id: Uuid) -> Result<OperationView, Problem> {
    let operation = admin_operations::find(db, id).await?;
    operation.map(Into::into).ok_or(Problem::new(Kind::UnknownOperation))
}
