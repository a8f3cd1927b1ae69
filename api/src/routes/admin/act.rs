//! What staff do to one job: retry, cancel, change its class.

use super::{checked_reason, note, show::found};
use crate::{
    app::App,
    auth::{Operator, Staff},
    extract::{AnyJob, IdempotencyKey, Json},
    idempotency::{self, Answer},
    observe::request_id,
    openapi::problems,
    problem::{Kind, Problem},
    routes::syncs::{already_running, unusable},
    view::admin::{
        job::{ClassName, JobView},
        operation::RetryFrom,
    },
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use paceline_shared::{
    JobId, Provider,
    db::{
        self,
        sync_jobs::{self, CancelOutcome, ClassOutcome, RetryOptions, RetryOutcome},
    },
    job_state::JobState,
    notify,
    sync_spec::Class,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

problems!(RetryProblems: RoleNeeded, UnknownJob, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest,
    IdempotencyKeyReused, NothingToRetry, AlreadyRunning, NotConnected, NeedsReauth, ProviderGone);
problems!(CancelProblems: RoleNeeded, UnknownJob, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest, AlreadyEnded);
problems!(ChangeProblems: RoleNeeded, UnknownJob, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest, AlreadyEnded);

/// How to retry.
#[derive(Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct RetryAsk {
    /// Where it goes on; `checkpoint` by default.
    from: RetryFrom,
    /// Why; it is written down.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Queues an ended job again, under the same id.
///
/// With an `Idempotency-Key` a request may be repeated: where the job has failed anew meanwhile, it is not queued
/// a third time. Asks for `operator`.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/retry", operation_id = "adminRetryJob", tag = "admin", security(("bearer" = [])),
    params(("id" = JobId, Path, description = "The syncId"), IdempotencyKey),
    request_body = Option<RetryAsk>,
    responses(
        (status = ACCEPTED, description = "Queued again", body = JobView,
            headers(("Location" = String, description = "The job"),
                ("Idempotency-Replayed" = String, description = "`true` when this was answered before"))),
        RetryProblems))]
pub(super) async fn retry(
    State(app): State<App>,
    me: Staff<Operator>,
    AnyJob(id): AnyJob,
    key: IdempotencyKey,
    ask: Option<Json<RetryAsk>>,
) -> Result<Answer, Problem> {
    let Json(ask) = ask.unwrap_or(Json(RetryAsk::default()));
    let route = format!("POST /api/v1/admin/jobs/{id}/retry");
    let once = idempotency::Request::of_staff(key, &me.subject, route, &ask)?;
    let reason = checked_reason(ask.reason)?;
    let mut tx = db::begin(&app.db).await?;
    if let Some(answer) = once.answered(&mut tx).await? {
        return Ok(answer);
    }
    let options = RetryOptions {
        from_scratch: ask.from == RetryFrom::Scratch,
        trace: request_id(),
        requested_by: Some(&me.subject),
        ..RetryOptions::default()
    };
    let outcome = sync_jobs::retry_many(&mut tx, &[id], options).await?.pop();
    let provider = match outcome.map_or(RetryOutcome::NotFound, |(_, outcome)| outcome) {
        RetryOutcome::Queued(provider) => provider,
        RetryOutcome::NotFound => return Err(Problem::new(Kind::UnknownJob)),
        RetryOutcome::Completed => return Err(Problem::new(Kind::NothingToRetry).sync(id)),
        refused => {
            let provider = found(&mut tx, id).await?.provider.parse::<Provider>();
            let provider = provider.map_err(|_unknown| Problem::new(Kind::UnknownJob))?;
            return Err(match refused {
                RetryOutcome::Live(live) => already_running(provider, live),
                RetryOutcome::Unusable(state) => unusable(provider, state),
                _ => already_running(provider, id),
            });
        }
    };
    let detail = json!({ "from": ask.from, "reason": reason });
    note(&mut tx, &me, "job.retry", &format!("job:{id}"), detail).await?;
    let job = JobView::from(found(&mut tx, id).await?);
    let answer = once.accepted(&mut tx, &job).await?;
    tx.commit().await.map_err(db::Error::from)?;
    app.notifier.say(notify::JOBS, &provider);
    app.notifier.say(notify::LIVE, &id);
    Ok(answer)
}

/// Why somebody acts.
#[derive(Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Because {
    /// Why; it is written down.
    #[schema(max_length = 500)]
    pub(super) reason: Option<String>,
}

/// Cancels a job. What was stored stays, and ranges that were joined to it are synced after it. To repeat it is
/// harmless. Asks for `operator`.
#[utoipa::path(post, path = "/api/v1/admin/jobs/{id}/cancel", operation_id = "adminCancelJob", tag = "admin", security(("bearer" = [])),
    params(("id" = JobId, Path, description = "The syncId")),
    request_body = Option<Because>,
    responses(
        (status = OK, description = "Cancelled", body = JobView),
        (status = ACCEPTED, description = "Its worker was asked to stop, and nothing forgets it", body = JobView),
        CancelProblems))]
pub(super) async fn cancel(
    State(app): State<App>,
    me: Staff<Operator>,
    AnyJob(id): AnyJob,
    ask: Option<Json<Because>>,
) -> Result<Response, Problem> {
    let reason = checked_reason(ask.and_then(|Json(ask)| ask.reason))?;
    let mut tx = db::begin(&app.db).await?;
    let outcome = sync_jobs::cancel_many(&mut tx, &[id]).await?.pop();
    let (status, channel) = match outcome.map_or(CancelOutcome::NotFound, |(_, outcome)| outcome) {
        CancelOutcome::Done => (StatusCode::OK, notify::LIVE),
        CancelOutcome::Asked => (StatusCode::ACCEPTED, notify::CANCEL),
        CancelOutcome::Ended(JobState::Cancelled) => {
            let job = found(&mut tx, id).await?;
            return Ok(Json(JobView::from(job)).into_response());
        }
        CancelOutcome::Ended(_) => return Err(Problem::new(Kind::AlreadyEnded).sync(id)),
        CancelOutcome::NotFound => return Err(Problem::new(Kind::UnknownJob)),
    };
    note(&mut tx, &me, "job.cancel", &format!("job:{id}"), json!({ "reason": reason })).await?;
    let job = found(&mut tx, id).await?;
    tx.commit().await.map_err(db::Error::from)?;
    app.notifier.say(channel, &id);
    // Something may follow it.
    app.notifier.say(notify::JOBS, &job.provider);
    Ok((status, Json(JobView::from(job))).into_response())
}

/// A new place in the queue.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeAsk {
    /// How urgent it is from now on.
    class: ClassName,
    /// Why; it is written down.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Changes how urgent a live job is. One that runs goes on. Asks for `operator`.
#[utoipa::path(patch, path = "/api/v1/admin/jobs/{id}", operation_id = "adminChangeJob", tag = "admin", security(("bearer" = [])),
    params(("id" = JobId, Path, description = "The syncId")),
    request_body = ChangeAsk,
    responses((status = OK, description = "Changed", body = JobView), ChangeProblems))]
pub(super) async fn change(
    State(app): State<App>,
    me: Staff<Operator>,
    AnyJob(id): AnyJob,
    Json(ask): Json<ChangeAsk>,
) -> Result<Json<JobView>, Problem> {
    let reason = checked_reason(ask.reason)?;
    let mut tx = db::begin(&app.db).await?;
    let before = found(&mut tx, id).await?;
    let moved = sync_jobs::set_class(&mut *tx, id, class_of(ask.class)).await?;
    if moved == ClassOutcome::NotLive {
        let detail = "It has ended: it has no place in the queue.";
        return Err(Problem::new(Kind::AlreadyEnded).detail(detail).sync(id));
    }
    let detail =
        json!({ "from": ClassName::of_rank(before.class), "to": ask.class, "reason": reason });
    note(&mut tx, &me, "job.class", &format!("job:{id}"), detail).await?;
    let job = found(&mut tx, id).await?;
    tx.commit().await.map_err(db::Error::from)?;
    app.notifier.say(notify::JOBS, &job.provider);
    Ok(Json(job.into()))
}

const fn class_of(name: ClassName) -> Class {
    match name {
        ClassName::Webhook => Class::Webhook,
        ClassName::Interactive => Class::Interactive,
        ClassName::Scheduled => Class::Scheduled,
        ClassName::Backfill => Class::Backfill,
    }
}
