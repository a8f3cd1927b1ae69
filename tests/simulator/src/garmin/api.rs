//! Garmin's API: who the user is, what they granted, the end of it, and pulls.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;

use super::errors::Refusal;
use super::summary_type::GarminType;
use super::{SharedUser, User};
use crate::credentials;
use crate::http::{self, Fields};
use crate::locks::{locked, reading, writing};
use crate::world::World;

/// Seconds that a window of upload time may span.
const WINDOW_S: i64 = 86_400;
const DAY_S: i64 = 86_400;

/// `GET /user/id`.
pub(super) async fn user_id(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let user = asker(&world, &headers)?;
    let body = json!({ "userId": reading(&user).id });
    Ok(http::json(200, body.to_string()))
}

/// `GET /user/permissions`.
pub(super) async fn permissions(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let user = asker(&world, &headers)?;
    let body = json!(reading(&user).permissions);
    Ok(http::json(200, body.to_string()))
}

/// `DELETE /user/registration`: ends every authorization of the user.
pub(super) async fn deregister(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let user = asker(&world, &headers)?;
    let mut user = writing(&user);
    user.forget_backfills();
    locked(&world.garmin.tokens).revoke(&user.id);
    Ok(http::reply(204, http::JSON, ""))
}

/// `GET /{type}`: what was uploaded in a window, both ends included, as a bare array in order of
/// upload; a summary that was uploaded twice in the window is there twice.
pub(super) async fn pull(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Path(of): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let of = GarminType::named(&of).ok_or(Refusal::NotFound)?;
    let user = asker(&world, &headers)?;
    let settings = world.garmin.settings();
    if !settings.direct_pulls {
        return Err(Refusal::PullToken);
    }
    let user = reading(&user);
    permitted(&user, of)?;
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let (from, to) = range(&fields, "uploadStartTimeInSeconds", "uploadEndTimeInSeconds")?;
    if to.saturating_sub(from) > WINDOW_S {
        return Err(Refusal::Bad("Time range exceeds the limit of 86400 seconds"));
    }
    let now = world.clock.now().timestamp();
    let kept = now - i64::from(settings.uploads_kept_days) * DAY_S;
    // What is to be uploaded later is not there yet.
    let texts = user.uploaded(of, from.max(kept), to.min(now));
    Ok(http::json(200, format!("[{}]", texts.join(","))))
}

/// Whom the bearer token speaks for.
pub(super) fn asker(world: &World, headers: &HeaderMap) -> Result<SharedUser, Refusal> {
    let token = credentials::bearer(headers).ok_or(Refusal::NoHeader)?;
    let user = locked(&world.garmin.tokens).bearer(token, world.clock.now());
    user.and_then(|id| world.garmin.user(&id)).ok_or(Refusal::Unauthorized)
}

/// Refuses what the user did not grant.
pub(super) fn permitted(user: &User, of: GarminType) -> Result<(), Refusal> {
    let needed = of.permission();
    if user.permissions.contains(needed) { Ok(()) } else { Err(Refusal::Permission(needed)) }
}

/// Two parameters in Unix seconds, in order.
pub(super) fn range(fields: &Fields, from: &str, to: &str) -> Result<(i64, i64), Refusal> {
    let seconds = |name| fields.one(name).filter(|text| !text.is_empty());
    let (Some(from), Some(to)) = (seconds(from), seconds(to)) else {
        return Err(Refusal::Bad("Missing time range parameters"));
    };
    match (from.parse::<i64>(), to.parse::<i64>()) {
        (Ok(from), Ok(to)) if 0 <= from && from <= to => Ok((from, to)),
        (Ok(_), Ok(_)) => Err(Refusal::Bad("The end of the time range is before its start")),
        _ => Err(Refusal::Bad("Time range parameters must be seconds since 1970")),
    }
}
