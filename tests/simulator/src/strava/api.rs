//! Strava's API: the athlete, the list of activities, one activity.

use std::ops::Range;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde_json::json;

use super::athlete::Athlete;
use super::edit;
use super::errors::Refusal;
use super::marks::Mark;
use super::oauth::bearer;
use super::profile;
use super::tokens::Bearer;
use crate::http::{self, Fields};
use crate::locks::reading;
use crate::world::World;

const READ: &[&str] = &["activity:read", "activity:read_all"];
const READ_ALL: &[&str] = &["activity:read_all"];
const DEFAULT_PER_PAGE: usize = 30;
const MOST_PER_PAGE: usize = 200;

/// `GET /athlete`.
pub(super) async fn athlete(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let bearer = bearer(&world, &headers).ok_or(Refusal::Unauthorized)?;
    let athlete = world.strava.athlete(bearer.athlete).ok_or(Refusal::Unauthorized)?;
    let athlete = reading(&athlete);
    let at_length = bearer.may(&["profile:read_all"]);
    let body = if at_length { profile::detailed(&athlete) } else { profile::summary(&athlete) };
    Ok(http::json(200, body.to_string()))
}

/// `GET /athlete/activities`: ascending when `after` is given, else newest first. Both bounds are
/// excluded.
pub(super) async fn activities(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let bearer = reader(&world, &headers)?;
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let after: Option<i64> = number(&fields, "after")?;
    let before: Option<i64> = number(&fields, "before")?;
    let page: usize = number(&fields, "page")?.unwrap_or(1);
    let per_page: usize = number(&fields, "per_page")?.unwrap_or(DEFAULT_PER_PAGE);
    for (field, value, most) in [("page", page, usize::MAX), ("per_page", per_page, MOST_PER_PAGE)]
    {
        if !(1..=most).contains(&value) {
            return Err(Refusal::Invalid { resource: "Activity", field });
        }
    }
    let athlete = world.strava.athlete(bearer.athlete).ok_or(Refusal::Unauthorized)?;
    let athlete = reading(&athlete);
    let held = athlete.range(after, before);
    let seen: Vec<u32>;
    let list = if bearer.may(READ_ALL) {
        held
    } else {
        let public = |&number: &u32| !athlete.slot(number).marks.has(Mark::Private);
        seen = held.iter().copied().filter(public).collect();
        &seen
    };
    let range = world.strava.paging(athlete.id, per_page).page(list.len(), page);
    Ok(http::json(200, page_of(&athlete, list, range, after.is_some())))
}

fn page_of(athlete: &Athlete, list: &[u32], range: Range<usize>, ascending: bool) -> Vec<u8> {
    let mut body = Vec::with_capacity(range.len() * 2048 + 2);
    body.push(b'[');
    for (nth, at) in range.enumerate() {
        if nth > 0 {
            body.push(b',');
        }
        athlete.write(list[if ascending { at } else { list.len() - 1 - at }], &mut body);
    }
    body.push(b']');
    body
}

/// `GET /activities/{id}`: the list's fields and those only found here.
pub(super) async fn activity(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let bearer = reader(&world, &headers)?;
    let missing = Refusal::NotFound { resource: "Activity", field: "id" };
    let athlete = world.strava.athlete(bearer.athlete).ok_or(Refusal::Unauthorized)?;
    let athlete = reading(&athlete);
    let number = id.parse().ok().and_then(|id| athlete.number(id)).ok_or(missing)?;
    if athlete.slot(number).marks.has(Mark::Private) && !bearer.may(READ_ALL) {
        return Err(missing);
    }
    let more = json!({
        "resource_state": 3,
        "description": null,
        "calories": 311.0 + f64::from(number % 700),
        "embed_token": format!("{id}-embed"),
        "partner_brand_tag": null,
        "perceived_exertion": null,
        "prefer_perceived_exertion": false,
        "segment_leaderboard_opt_out": false,
        "leaderboard_opt_out": false,
        "photos": { "primary": null, "count": 0 },
        "gear": null,
        "segment_efforts": [],
        "splits_metric": [],
        "splits_standard": [],
        "laps": [],
        "best_efforts": [],
        "similar_activities": null,
        "available_zones": [],
    });
    let more = more.as_object().cloned().unwrap_or_default();
    edit::extend(&athlete.json(number), more).map(|body| http::json(200, body)).ok_or(missing)
}

fn reader(world: &World, headers: &HeaderMap) -> Result<Bearer, Refusal> {
    let bearer = bearer(world, headers).ok_or(Refusal::Unauthorized)?;
    if bearer.may(READ) {
        Ok(bearer)
    } else {
        Err(Refusal::MissingScope("activity:read_permission"))
    }
}

fn number<T: std::str::FromStr>(
    fields: &Fields,
    field: &'static str,
) -> Result<Option<T>, Refusal> {
    let invalid = Refusal::Invalid { resource: "Activity", field };
    let parse = |text: &str| text.parse().ok().ok_or(invalid);
    fields.one(field).filter(|text| !text.is_empty()).map(parse).transpose()
}
