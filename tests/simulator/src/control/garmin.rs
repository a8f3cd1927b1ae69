//! Controls of Garmin: users, summaries, consent, rules.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, patch, post};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::world::Sim;
use super::{Answer, ControlError, answer, body};
use crate::garmin::{GARMIN_PERMISSIONS, GarminPopulation, GarminSettings, GarminType};
use crate::http;
use crate::simulator::Simulator;
use crate::strava::StartRange;
use crate::world::World;

/// Their routes.
pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/_sim/garmin/settings", get(settings).put(set_settings))
        .route("/_sim/garmin/calls", get(calls).delete(forget_usage))
        .route("/_sim/garmin/users", get(users).post(add_user))
        .route("/_sim/garmin/users/{id}", get(user))
        .route("/_sim/garmin/users/{id}/{type}", get(records).post(add_record))
        .route(
            "/_sim/garmin/users/{id}/{type}/{summary}",
            get(record).merge(patch(edit_record)).merge(delete(delete_record)),
        )
        .route("/_sim/garmin/users/{id}/code", post(code))
        .route("/_sim/garmin/users/{id}/grant", post(grant))
        .route("/_sim/garmin/users/{id}/permissions", post(permissions))
        .route("/_sim/garmin/users/{id}/expire", post(expire))
        .route("/_sim/garmin/users/{id}/revoke", post(revoke))
}

pub(super) async fn settings(State(world): Sim) -> Answer {
    answer(200, &Simulator(world).garmin_settings())
}

/// Only the settings that are named change.
pub(super) async fn set_settings(State(world): Sim, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    let change: serde_json::Map<String, Value> = body(&bytes)?;
    let mut whole = serde_json::to_value(simulator.garmin_settings())?;
    if let Some(fields) = whole.as_object_mut() {
        fields.extend(change);
    }
    let settings: GarminSettings = serde_json::from_value(whole)?;
    simulator.set_garmin_settings(settings.clone());
    answer(200, &settings)
}

pub(super) async fn calls(State(world): Sim) -> Answer {
    answer(200, &Simulator(world).garmin_calls())
}

pub(super) async fn forget_usage(State(world): Sim) -> Answer {
    let simulator = Simulator(world);
    simulator.forget_garmin_usage();
    answer(200, &simulator.garmin_calls())
}

pub(super) async fn users(State(world): Sim) -> Answer {
    answer(200, &json!({ "users": Simulator(world).garmin_users() }))
}

pub(super) async fn add_user(State(world): Sim, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    let population: GarminPopulation = body(&bytes)?;
    let id = simulator.add_garmin_user(&population)?;
    answer(201, &simulator.garmin_user(&id)?)
}

pub(super) async fn user(State(world): Sim, Path(id): Path<String>) -> Answer {
    answer(200, &Simulator(world).garmin_user(&id)?)
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

pub(super) async fn records(
    State(world): Sim,
    Path((id, of)): Path<(String, String)>,
    Query(query): Query<TruthQuery>,
) -> Answer {
    let range = StartRange { after: query.after, before: query.before };
    let of = named(&of)?;
    answer(200, &Simulator(world).garmin_records(&id, of, range, query.cursor, query.limit)?)
}

/// `start`, and `fields` to replace. The raw text keeps numbers that fit no type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LateUpload {
    start: Option<DateTime<Utc>>,
    fields: Option<Box<RawValue>>,
}

pub(super) async fn add_record(
    State(world): Sim,
    Path((id, of)): Path<(String, String)>,
    bytes: Bytes,
) -> Answer {
    let simulator = Simulator(world);
    let upload: LateUpload = body(&bytes)?;
    let start = upload.start.unwrap_or_else(|| simulator.now() - chrono::TimeDelta::days(3));
    let fields = upload.fields.as_deref().map(RawValue::get);
    Ok(http::json(201, simulator.add_garmin_record(&id, named(&of)?, start, fields)?))
}

pub(super) async fn record(
    State(world): Sim,
    Path((id, of, summary)): Path<(String, String, String)>,
) -> Answer {
    Ok(http::json(200, Simulator(world).garmin_record(&id, named(&of)?, &summary)?))
}

pub(super) async fn edit_record(
    State(world): Sim,
    Path((id, of, summary)): Path<(String, String, String)>,
    bytes: Bytes,
) -> Answer {
    let patch: Box<RawValue> = body(&bytes)?;
    let edited = Simulator(world).edit_garmin_record(&id, named(&of)?, &summary, patch.get())?;
    Ok(http::json(200, edited))
}

pub(super) async fn delete_record(
    State(world): Sim,
    Path((id, of, summary)): Path<(String, String, String)>,
) -> Answer {
    Simulator(world).delete_garmin_record(&id, named(&of)?, &summary)?;
    answer(200, &json!({ "deleted": summary }))
}

fn named(of: &str) -> Result<GarminType, ControlError> {
    GarminType::named(of).ok_or_else(|| ControlError::Query(format!("{of} is no summary type")))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Consent {
    permissions: Vec<String>,
    code_challenge: Option<String>,
}

impl Default for Consent {
    fn default() -> Self {
        let permissions = GARMIN_PERMISSIONS.map(str::to_owned).to_vec();
        Self { permissions, code_challenge: None }
    }
}

impl Consent {
    fn permissions(&self) -> Vec<&str> {
        self.permissions.iter().map(String::as_str).collect()
    }
}

pub(super) async fn code(State(world): Sim, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let consent: Consent = body(&bytes)?;
    let challenge = consent.code_challenge.as_deref();
    let code = Simulator(world).garmin_code(&id, &consent.permissions(), challenge)?;
    answer(201, &json!({ "code": code, "permissions": consent.permissions }))
}

pub(super) async fn grant(State(world): Sim, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let consent: Consent = body(&bytes)?;
    answer(201, &Simulator(world).grant_garmin(&id, &consent.permissions())?)
}

pub(super) async fn permissions(State(world): Sim, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    let consent: Consent = body(&bytes)?;
    simulator.set_garmin_permissions(&id, &consent.permissions())?;
    answer(200, &json!({ "permissions": consent.permissions }))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expiry {
    in_s: i64,
    refresh_too: bool,
}

pub(super) async fn expire(State(world): Sim, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let Expiry { in_s, refresh_too } = body(&bytes)?;
    let tokens = Simulator(world).expire_garmin_tokens(&id, in_s, refresh_too)?;
    answer(200, &json!({ "tokens": tokens }))
}

pub(super) async fn revoke(State(world): Sim, Path(id): Path<String>) -> Answer {
    answer(200, &json!({ "authorizations": Simulator(world).revoke_garmin(&id)? }))
}
