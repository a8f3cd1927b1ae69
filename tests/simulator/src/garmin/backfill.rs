//! Asking Garmin for history: `GET /backfill/{type}`.
//!
//! Accepted at once, done later: what began in the range is uploaded once more, so that a pull of
//! that second finds it (Garmin would push it instead).

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::api::{asker, permitted, range};
use super::errors::Refusal;
use super::summary_type::{GarminType, HISTORICAL_DATA_EXPORT};
use crate::http::{self, Fields};
use crate::locks::{locked, writing};
use crate::world::World;

const DAY_S: i64 = 86_400;

/// `GET /backfill/{type}`: the range is of summaries' starts, its end excluded.
pub(super) async fn backfill(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Path(of): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let of = GarminType::named(&of).ok_or(Refusal::NotFound)?;
    let user = asker(&world, &headers)?;
    let mut user = writing(&user);
    if !user.permissions.contains(HISTORICAL_DATA_EXPORT) {
        return Err(Refusal::NoHistory);
    }
    permitted(&user, of)?;
    let settings = world.garmin.settings();
    if settings.not_enabled.contains(&of) {
        return Err(Refusal::NotEnabled(of));
    }
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let (from, to) = range(&fields, "summaryStartTimeInSeconds", "summaryEndTimeInSeconds")?;
    if to - from > i64::from(of.most_backfill_days()) * DAY_S {
        return Err(Refusal::Bad("Backfill range exceeds the limit of days per request"));
    }
    let now = world.clock.now();
    if from < now.timestamp() - i64::from(settings.history_days(of)) * DAY_S {
        return Err(Refusal::Bad("Backfill range starts before the history that can be exported"));
    }
    let days = u32::try_from((to - from + DAY_S - 1) / DAY_S).unwrap_or(u32::MAX);
    if !locked(&world.garmin.meter).admit_days(&settings, days, now) {
        return Err(Refusal::RateLimited);
    }
    let uploaded = now.timestamp() + i64::from(settings.backfill_delay_s);
    if !user.backfill(of, from, to, uploaded) {
        return Err(Refusal::Duplicate);
    }
    Ok(http::reply(202, http::JSON, ""))
}
