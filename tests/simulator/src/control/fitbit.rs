//! Controls of Fitbit: users, their logs, consent, quota, the end of it all.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use bytes::Bytes;
use chrono::{NaiveDate, NaiveDateTime};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::world::Sim;
use super::{Answer, ControlError, answer, body};
use crate::fitbit::{
    FITBIT_FULL_SCOPE, FitbitLog, FitbitPopulation, FitbitQuota, FitbitRange, FitbitRecord,
};
use crate::simulator::Simulator;
use crate::world::World;

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/_sim/fitbit/gone", get(gone).put(set_gone))
        .route("/_sim/fitbit/quota", get(quota).put(set_quota).delete(forget_usage))
        .route("/_sim/fitbit/calls", get(calls))
        .route("/_sim/fitbit/users", get(users).post(add_user))
        .route("/_sim/fitbit/users/{id}", get(user))
        .route("/_sim/fitbit/users/{id}/usage", get(usage))
        .route("/_sim/fitbit/users/{id}/code", post(code))
        .route("/_sim/fitbit/users/{id}/grant", post(grant))
        .route("/_sim/fitbit/users/{id}/expire", post(expire))
        .route("/_sim/fitbit/users/{id}/revoke", post(revoke))
        .route("/_sim/fitbit/users/{id}/logs/{log}", get(records).post(add_record))
        .route(
            "/_sim/fitbit/users/{id}/logs/{log}/{record}",
            get(record).patch(edit_record).delete(delete_record),
        )
}

async fn quota(State(world): Sim) -> Answer {
    answer(200, &Simulator(world).fitbit_quota())
}

async fn set_quota(State(world): Sim, bytes: Bytes) -> Answer {
    let quota: FitbitQuota = body(&bytes)?;
    Simulator(world).set_fitbit_quota(quota);
    answer(200, &quota)
}

async fn forget_usage(State(world): Sim) -> Answer {
    let simulator = Simulator(world);
    simulator.forget_fitbit_usage();
    answer(200, &simulator.fitbit_quota())
}

async fn calls(State(world): Sim) -> Answer {
    answer(200, &Simulator(world).fitbit_calls())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gone {
    gone: bool,
}

async fn gone(State(world): Sim) -> Answer {
    answer(200, &json!({ "gone": Simulator(world).fitbit_gone() }))
}

async fn set_gone(State(world): Sim, bytes: Bytes) -> Answer {
    let Gone { gone } = body(&bytes)?;
    Simulator(world).set_fitbit_gone(gone);
    answer(200, &json!({ "gone": gone }))
}

async fn users(State(world): Sim) -> Answer {
    answer(200, &json!({ "users": Simulator(world).fitbit_users() }))
}

async fn add_user(State(world): Sim, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    let population: FitbitPopulation = body(&bytes)?;
    let id = simulator.add_fitbit_user(&population)?;
    answer(201, &simulator.fitbit_user(&id)?)
}

async fn user(State(world): Sim, Path(id): Path<String>) -> Answer {
    answer(200, &Simulator(world).fitbit_user(&id)?)
}

async fn usage(State(world): Sim, Path(id): Path<String>) -> Answer {
    answer(200, &Simulator(world).fitbit_usage(&id)?)
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TruthQuery {
    cursor: usize,
    limit: usize,
    from: Option<NaiveDate>,
    to: Option<NaiveDate>,
}

impl Default for TruthQuery {
    fn default() -> Self {
        Self { cursor: 0, limit: 500, from: None, to: None }
    }
}

async fn records(
    State(world): Sim,
    Path((id, log)): Path<(String, FitbitLog)>,
    Query(query): Query<TruthQuery>,
) -> Answer {
    let range = FitbitRange { from: query.from, to: query.to };
    let simulator = Simulator(world);
    answer(200, &simulator.fitbit_records(&id, log, range, query.cursor, query.limit)?)
}

/// `began`, local, and `fields` to replace. The raw text keeps numbers that fit no type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LateUpload {
    began: Option<NaiveDateTime>,
    fields: Option<Box<RawValue>>,
}

async fn add_record(
    State(world): Sim,
    Path((id, log)): Path<(String, FitbitLog)>,
    bytes: Bytes,
) -> Answer {
    let simulator = Simulator(world);
    let upload: LateUpload = body(&bytes)?;
    let some_days_ago = simulator.now().naive_utc() - chrono::TimeDelta::days(3);
    let began = upload.began.unwrap_or(some_days_ago);
    let fields = upload.fields.as_deref().map(RawValue::get);
    let record = simulator.add_fitbit_record(&id, log, began, fields)?;
    answer(201, &told(&simulator, &id, log, record)?)
}

async fn record(
    State(world): Sim,
    Path((id, log, record)): Path<(String, FitbitLog, u32)>,
) -> Answer {
    answer(200, &told(&Simulator(world), &id, log, record)?)
}

async fn edit_record(
    State(world): Sim,
    Path((id, log, record)): Path<(String, FitbitLog, u32)>,
    bytes: Bytes,
) -> Answer {
    let simulator = Simulator(world);
    let patch: Box<RawValue> = body(&bytes)?;
    simulator.edit_fitbit_record(&id, log, record, patch.get())?;
    answer(200, &told(&simulator, &id, log, record)?)
}

async fn delete_record(
    State(world): Sim,
    Path((id, log, record)): Path<(String, FitbitLog, u32)>,
) -> Answer {
    Simulator(world).delete_fitbit_record(&id, log, record)?;
    answer(200, &json!({ "deleted": record }))
}

fn told(
    simulator: &Simulator,
    id: &str,
    log: FitbitLog,
    record: u32,
) -> Result<FitbitRecord, ControlError> {
    let fields = RawValue::from_string(simulator.fitbit_record(id, log, record)?)?;
    Ok(FitbitRecord { record, fields })
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Consent {
    scope: String,
}

impl Default for Consent {
    fn default() -> Self {
        Self { scope: FITBIT_FULL_SCOPE.to_owned() }
    }
}

async fn code(State(world): Sim, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let Consent { scope } = body(&bytes)?;
    let code = Simulator(world).fitbit_code(&id, &scope)?;
    answer(201, &json!({ "code": code, "scope": scope }))
}

async fn grant(State(world): Sim, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let Consent { scope } = body(&bytes)?;
    answer(201, &Simulator(world).grant_fitbit(&id, &scope)?)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expiry {
    in_s: i64,
}

async fn expire(State(world): Sim, Path(id): Path<String>, bytes: Bytes) -> Answer {
    let Expiry { in_s } = body(&bytes)?;
    answer(200, &json!({ "tokens": Simulator(world).expire_fitbit_tokens(&id, in_s)? }))
}

async fn revoke(State(world): Sim, Path(id): Path<String>) -> Answer {
    answer(200, &json!({ "authorizations": Simulator(world).revoke_fitbit(&id)? }))
}
