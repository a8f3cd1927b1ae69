//! `/api/v1/admin/providers`: how the fleet treats each provider, and how staff steer that.

use super::{act::Because, checked_reason, note};
use crate::{
    app::App,
    auth::{Admin, Operator, Staff, Viewer},
    extract::{IdempotencyKey, Json, LaneName, ProviderName, Span},
    idempotency::{self, Answer},
    openapi::problems,
    problem::Problem,
    view::admin::lane::LaneView,
};
use axum::{extract::State, http::StatusCode};
use chrono::{DateTime, TimeDelta, Utc};
use paceline_shared::{
    Provider,
    db::{
        self, admin_budgets, breakers, job_counts, lanes,
        sync_jobs::{self, Parked},
    },
    notify,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgConnection;

problems!(ListProblems: RoleNeeded);
problems!(ActProblems: RoleNeeded, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest, UnknownProvider);
problems!(PauseProblems: RoleNeeded, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest, UnknownProvider,
    IdempotencyKeyReused);

/// All lanes.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LaneList {
    /// First the one for all providers, then each.
    items: Vec<LaneView>,
    /// When the figures in it were counted; null: not yet.
    counts_as_of: Option<DateTime<Utc>>,
}

async fn lanes_now(tx: &mut PgConnection) -> Result<LaneList, db::Error> {
    let (counts, taken) = job_counts::read(tx).await?;
    let budgets = admin_budgets::of_applications(&mut *tx).await?;
    let lanes = lanes::read(&mut *tx).await?;
    let items = lanes.into_iter().map(|lane| LaneView::new(lane, &counts, &budgets)).collect();
    Ok(LaneList { items, counts_as_of: taken.live_at })
}

async fn lane_now(tx: &mut PgConnection, lane: Option<Provider>) -> Result<LaneView, Problem> {
    let name = lane.map_or("all", |provider| provider.as_str());
    let mut lanes = lanes_now(tx).await?.items.into_iter();
    lanes
        .find(|lane| lane.provider == name)
        .ok_or(Problem::new(crate::problem::Kind::UnknownProvider))
}

/// Lists providers: what runs and waits, limits, pauses, breakers, budgets. Asks for `viewer`.
#[utoipa::path(get, path = "/api/v1/admin/providers", operation_id = "adminListProviders", tag = "admin", security(("bearer" = [])),
    responses((status = OK, description = "The providers", body = LaneList), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    _me: Staff<Viewer>,
) -> Result<Json<LaneList>, Problem> {
    let mut tx = db::begin(&app.db).await?;
    let lanes = lanes_now(&mut tx).await?;
    tx.rollback().await.map_err(db::Error::from)?;
    Ok(Json(lanes))
}

/// How long and why.
#[derive(Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PauseAsk {
    /// Its end; without this and `for`: until somebody resumes.
    until: Option<DateTime<Utc>>,
    /// Its length, instead of its end.
    #[schema(value_type = Option<String>, example = "30m")]
    r#for: Option<Span>,
    /// Why; people who wait will read it.
    #[schema(min_length = 1, max_length = 500)]
    reason: String,
}

impl PauseAsk {
    fn end(&self, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Problem> {
        match (self.until, &self.r#for) {
            (Some(_), Some(_)) => {
                Err(Problem::invalid_field("for", "must be left out where until is given"))
            }
            (Some(until), None) if until <= now => {
                Err(Problem::invalid_field("until", "must lie in the future"))
            }
            (until, None) => Ok(until),
            (None, Some(span)) => {
                Ok(TimeDelta::from_std(span.length()).ok().and_then(|d| now.checked_add_signed(d)))
            }
        }
    }
}

/// Pauses a provider, or `all`: no job is taken any more, and what runs goes on.
///
/// A second pause takes the place of the first; with an `Idempotency-Key` a request may be repeated, and does not
/// prolong it. Asks for `operator`.
#[utoipa::path(post, path = "/api/v1/admin/providers/{provider}/pause", operation_id = "adminPauseProvider", tag = "admin", security(("bearer" = [])),
    params(("provider" = String, Path, description = "The provider, or `all`"), IdempotencyKey),
    request_body = PauseAsk,
    responses(
        (status = OK, description = "Paused", body = LaneView,
            headers(("Idempotency-Replayed" = String, description = "`true` when this was answered before"))),
        PauseProblems))]
pub(super) async fn pause(
    State(app): State<App>,
    me: Staff<Operator>,
    LaneName(lane): LaneName,
    key: IdempotencyKey,
    Json(ask): Json<PauseAsk>,
) -> Result<Answer, Problem> {
    let route = format!("POST /api/v1/admin/providers/{}/pause", lanes::name(lane));
    let once = idempotency::Request::of_staff(key, &me.subject, route, &ask)?;
    let until = ask.end(Utc::now())?;
    let Some(reason) = checked_reason(Some(ask.reason))? else {
        return Err(Problem::invalid_field("reason", "must say why"));
    };
    let mut tx = db::begin(&app.db).await?;
    if let Some(answer) = once.answered(&mut tx).await? {
        return Ok(answer);
    }
    lanes::pause(&mut tx, lane, until, &me.subject, &reason).await?;
    let detail = json!({ "until": until, "reason": reason });
    note(&mut tx, &me, "lane.pause", &target(lane), detail).await?;
    let shown = lane_now(&mut tx, lane).await?;
    let answer = once.answer(&mut tx, StatusCode::OK, &shown).await?;
    commit(&app, tx, lane).await?;
    Ok(answer)
}

/// Ends a pause. Asks for `operator`.
#[utoipa::path(post, path = "/api/v1/admin/providers/{provider}/resume", operation_id = "adminResumeProvider", tag = "admin", security(("bearer" = [])),
    params(("provider" = String, Path, description = "The provider, or `all`")),
    request_body = Option<Because>,
    responses((status = OK, description = "It goes on", body = LaneView), ActProblems))]
pub(super) async fn resume(
    State(app): State<App>,
    me: Staff<Operator>,
    LaneName(lane): LaneName,
    ask: Option<Json<Because>>,
) -> Result<Json<LaneView>, Problem> {
    let reason = checked_reason(ask.and_then(|Json(ask)| ask.reason))?;
    let mut tx = db::begin(&app.db).await?;
    let was_paused = lanes::resume(&mut tx, lane).await?;
    let detail = json!({ "wasPaused": was_paused, "reason": reason });
    note(&mut tx, &me, "lane.resume", &target(lane), detail).await?;
    changed(&app, tx, lane).await
}

/// Ends the block that a spent quota led to, before its time, and wakes what is parked for it.
///
/// For a quota that was raised, or counted wrongly: where calls are spent indeed, the next of them finds it out, and
/// the provider is blocked again. To repeat it is harmless. Asks for `operator`.
#[utoipa::path(post, path = "/api/v1/admin/providers/{provider}/unblock", operation_id = "adminUnblockProvider", tag = "admin", security(("bearer" = [])),
    params(("provider" = String, Path, description = "The provider")),
    request_body = Option<Because>,
    responses((status = OK, description = "Not blocked", body = LaneView), ActProblems))]
pub(super) async fn unblock(
    State(app): State<App>,
    me: Staff<Operator>,
    ProviderName(provider): ProviderName,
    ask: Option<Json<Because>>,
) -> Result<Json<LaneView>, Problem> {
    let reason = checked_reason(ask.and_then(|Json(ask)| ask.reason))?;
    let mut tx = db::begin(&app.db).await?;
    let was_blocked = lanes::unblock(&mut *tx, provider).await?;
    let woken = sync_jobs::make_due(&mut tx, provider, Parked::Quota).await?;
    let lane = Some(provider);
    let detail = json!({ "wasBlocked": was_blocked, "woken": woken, "reason": reason });
    note(&mut tx, &me, "lane.unblock", &target(lane), detail).await?;
    changed(&app, tx, lane).await
}

/// Closes a breaker without waiting for a probe, and wakes what is parked for it.
///
/// For a provider that is known to answer again: it opens anew when enough of the calls that follow fail. To
/// repeat it is harmless. Asks for `operator`.
#[utoipa::path(post, path = "/api/v1/admin/providers/{provider}/close-breaker", operation_id = "adminCloseBreaker", tag = "admin", security(("bearer" = [])),
    params(("provider" = String, Path, description = "The provider")),
    request_body = Option<Because>,
    responses((status = OK, description = "Closed", body = LaneView), ActProblems))]
pub(super) async fn close_breaker(
    State(app): State<App>,
    me: Staff<Operator>,
    ProviderName(provider): ProviderName,
    ask: Option<Json<Because>>,
) -> Result<Json<LaneView>, Problem> {
    let reason = checked_reason(ask.and_then(|Json(ask)| ask.reason))?;
    let mut tx = db::begin(&app.db).await?;
    let was_open = breakers::close_by_hand(&mut tx, provider).await?;
    let woken = sync_jobs::make_due(&mut tx, provider, Parked::Breaker).await?;
    let lane = Some(provider);
    let detail = json!({ "wasOpen": was_open, "woken": woken, "reason": reason });
    note(&mut tx, &me, "lane.close_breaker", &target(lane), detail).await?;
    changed(&app, tx, lane).await
}

/// How many at once.
#[derive(Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LimitAsk {
    /// Jobs that may run at once in the whole fleet; null: any number.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(minimum = 1, required = true)]
    max_running: Option<i32>,
    /// Why; it is written down.
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// Limits how many jobs of a provider run at once in the whole fleet. What runs already is left alone. Asks for `admin`.
#[utoipa::path(post, path = "/api/v1/admin/providers/{provider}/limit", operation_id = "adminLimitProvider", tag = "admin", security(("bearer" = [])),
    params(("provider" = String, Path, description = "The provider")),
    request_body = LimitAsk,
    responses((status = OK, description = "Limited", body = LaneView), ActProblems))]
pub(super) async fn limit(
    State(app): State<App>,
    me: Staff<Admin>,
    ProviderName(provider): ProviderName,
    Json(ask): Json<LimitAsk>,
) -> Result<Json<LaneView>, Problem> {
    let reason = checked_reason(ask.reason)?;
    if ask.max_running.is_some_and(|most| most < 1) {
        let message = "must be at least 1, or null for no limit; to stop a provider, pause it";
        return Err(Problem::invalid_field("maxRunning", message));
    }
    let mut tx = db::begin(&app.db).await?;
    lanes::set_limit(&mut tx, provider, ask.max_running).await?;
    let lane = Some(provider);
    let detail = json!({ "maxRunning": ask.max_running, "reason": reason });
    note(&mut tx, &me, "lane.limit", &target(lane), detail).await?;
    changed(&app, tx, lane).await
}

fn target(lane: Option<Provider>) -> String {
    format!("lane:{}", lanes::name(lane))
}

/// Commits, tells the workers, and shows the lane.
async fn changed(
    app: &App,
    mut tx: sqlx::Transaction<'static, sqlx::Postgres>,
    lane: Option<Provider>,
) -> Result<Json<LaneView>, Problem> {
    let shown = lane_now(&mut tx, lane).await?;
    commit(app, tx, lane).await?;
    Ok(Json(shown))
}

async fn commit(
    app: &App,
    tx: sqlx::Transaction<'static, sqlx::Postgres>,
    lane: Option<Provider>,
) -> Result<(), Problem> {
    tx.commit().await.map_err(db::Error::from)?;
    app.notifier.say(notify::LANES, lanes::name(lane));
    app.notifier.say(notify::JOBS, lanes::name(lane));
    Ok(())
}
