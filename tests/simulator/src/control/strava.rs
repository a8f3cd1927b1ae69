//! Controls of Strava: athletes, activities, consent, quota.

use axum::extract::{Path, Query, State};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::world::Sim;
use super::{Answer, answer, body};
use crate::http;
use crate::simulator::Simulator;
use crate::strava::{FULL_SCOPE, Population, StartRange, StravaQuota};

pub(super) async fn quota(State(world): Sim) -> Answer {
    answer(200, &Simulator(world).strava_usage())
}

pub(super) async fn set_quota(State(world): Sim, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    let quota: StravaQuota = body(&bytes)?;
    simulator.set_strava_quota(quota);
    answer(200, &simulator.strava_usage())
}

pub(super) async fn forget_usage(State(world): Sim) -> Answer {
    let simulator = Simulator(world);
    simulator.forget_strava_usage();
    answer(200, &simulator.strava_usage())
}

pub(super) async fn calls(State(world): Sim) -> Answer {
    answer(200, &Simulator(world).strava_calls())
}

pub(super) async fn athletes(State(world): Sim) -> Answer {
    answer(200, &json!({ "athletes": Simulator(world).athletes() }))
}

pub(super) async fn add_athlete(State(world): Sim, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    let population: Population = body(&bytes)?;
    let id = simulator.add_athlete(&population)?;
    answer(201, &simulator.athlete(id, StartRange::default())?)
}

pub(super) async fn athlete(
    State(world): Sim,
    Path(id): Path<u64>,
    Query(range): Query<StartRange>,
) -> Answer {
    answer(200, &Simulator(world).athlete(id, range)?)
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TruthQuery {
    cursor: usize,
    limit: usize,
    after: Option<i64>,
    before: Option<i64>,
}

impl Default for TruthQuery {
    fn default() -> Self {
        Self { cursor: 0, limit: 500, after: None, before: None }
    }
}

pub(super) async fn activities(
    State(world): Sim,
    Path(id): Path<u64>,
    Query(query): Query<TruthQuery>,
) -> Answer {
    let range = StartRange { after: query.after, before: query.before };
    answer(200, &Simulator(world).activities(id, range, query.cursor, query.limit)?)
}

/// `start_date`, and `fields` to replace. The raw text keeps numbers that fit no type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LateUpload {
    start_date: Option<DateTime<Utc>>,
    fields: Option<Box<RawValue>>,
}

pub(super) async fn add_activity(State(world): Sim, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    let upload: LateUpload = body(&bytes)?;
    let start = upload.start_date.unwrap_or_else(|| simulator.now() - chrono::TimeDelta::days(3));
    let fields = upload.fields.as_deref().map(RawValue::get);
    Ok(http::json(201, simulator.add_activity(id, start, fields)?))
}

pub(super) async fn activity(
    State(world): Sim,
    Path((athlete, activity)): Path<(u64, u64)>,
) -> Answer {
    Ok(http::json(200, Simulator(world).activity(athlete, activity)?))
}

pub(super) async fn edit_activity(
    State(world): Sim,
    Path((athlete, activity)): Path<(u64, u64)>,
    bytes: Bytes,
) -> Answer {
    let patch: Box<RawValue> = body(&bytes)?;
    Ok(http::json(200, Simulator(world).edit_activity(athlete, activity, patch.get())?))
}

pub(super) async fn delete_activity(
    State(world): Sim,
    Path((athlete, activity)): Path<(u64, u64)>,
) -> Answer {
    Simulator(world).delete_activity(athlete, activity)?;
    answer(200, &json!({ "deleted": activity }))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Consent {
    scope: String,
}

impl Default for Consent {
    fn default() -> Self {
        Self { scope: FULL_SCOPE.to_owned() }
    }
}

pub(super) async fn code(State(world): Sim, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let Consent { scope } = body(&bytes)?;
    let code = Simulator(world).authorization_code(id, &scope)?;
    answer(201, &json!({ "code": code, "scope": scope }))
}

pub(super) async fn grant(State(world): Sim, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let Consent { scope } = body(&bytes)?;
    answer(201, &Simulator(world).grant(id, &scope)?)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expiry {
    in_s: i64,
}

pub(super) async fn expire(State(world): Sim, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let Expiry { in_s } = body(&bytes)?;
    answer(200, &json!({ "tokens": Simulator(world).expire_access_tokens(id, in_s)? }))
}

pub(super) async fn revoke(State(world): Sim, Path(id): Path<u64>) -> Answer {
    answer(200, &json!({ "authorizations": Simulator(world).revoke(id)? }))
}
