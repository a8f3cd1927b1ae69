//! Controls of Withings: users, records, consent, quota.

use axum::extract::{Path, Query, State};
use axum::routing::{delete, get, patch, post};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::world::Sim;
use super::{Answer, answer, body};
use crate::simulator::Simulator;
use crate::withings::{WITHINGS_SCOPE, WithingsKind, WithingsPopulation, WithingsQuota};

/// The routes under `/_sim/withings/`.
pub(super) fn routes() -> axum::Router<std::sync::Arc<crate::world::World>> {
    axum::Router::new()
        .route("/_sim/withings/quota", get(quota).put(set_quota).delete(forget_usage))
        .route("/_sim/withings/calls", get(calls))
        .route("/_sim/withings/users", get(users).post(add_user))
        .route("/_sim/withings/users/{id}", get(user))
        .route("/_sim/withings/users/{id}/values", get(values))
        .route("/_sim/withings/users/{id}/code", post(code))
        .route("/_sim/withings/users/{id}/grant", post(grant))
        .route("/_sim/withings/users/{id}/expire", post(expire))
        .route("/_sim/withings/users/{id}/revoke", post(revoke))
        .route("/_sim/withings/users/{id}/{kind}", get(records).post(add_record))
        .route(
            "/_sim/withings/users/{id}/{kind}/{number}",
            get(record).merge(patch(edit_record)).merge(delete(delete_record)),
        )
}

async fn quota(State(world): Sim) -> Answer {
    answer(200, &Simulator(world).withings_usage())
}

async fn set_quota(State(world): Sim, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    let quota: WithingsQuota = body(&bytes)?;
    simulator.set_withings_quota(quota);
    answer(200, &simulator.withings_usage())
}

async fn forget_usage(State(world): Sim) -> Answer {
    let simulator = Simulator(world);
    simulator.forget_withings_usage();
    answer(200, &simulator.withings_usage())
}

async fn calls(State(world): Sim) -> Answer {
    answer(200, &Simulator(world).withings_calls())
}

async fn users(State(world): Sim) -> Answer {
    answer(200, &json!({ "users": Simulator(world).withings_users() }))
}

async fn add_user(State(world): Sim, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    let population: WithingsPopulation = body(&bytes)?;
    let id = simulator.add_withings_user(&population)?;
    answer(201, &simulator.withings_user(id)?)
}

async fn user(State(world): Sim, Path(id): Path<u64>) -> Answer {
    answer(200, &Simulator(world).withings_user(id)?)
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TruthQuery {
    cursor: usize,
    limit: usize,
}

impl Default for TruthQuery {
    fn default() -> Self {
        Self { cursor: 0, limit: 500 }
    }
}

async fn values(
    State(world): Sim,
    Path(id): Path<u64>,
    Query(TruthQuery { cursor, limit }): Query<TruthQuery>,
) -> Answer {
    answer(200, &Simulator(world).withings_values(id, cursor, limit)?)
}

async fn records(
    State(world): Sim,
    Path((id, kind)): Path<(u64, WithingsKind)>,
    Query(TruthQuery { cursor, limit }): Query<TruthQuery>,
) -> Answer {
    answer(200, &Simulator(world).withings_records(id, kind, cursor, limit)?)
}

/// A late upload: taken at `at`, or an hour ago.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NewRecord {
    at: Option<DateTime<Utc>>,
    fields: Option<Box<RawValue>>,
}

async fn add_record(
    State(world): Sim,
    Path((id, kind)): Path<(u64, WithingsKind)>,
    bytes: Bytes,
) -> Answer {
    let simulator = Simulator(world);
    let NewRecord { at, fields } = body(&bytes)?;
    let at = at.unwrap_or_else(|| simulator.now() - chrono::TimeDelta::hours(1));
    let patch = fields.as_ref().map(|fields| fields.get());
    answer(201, &simulator.add_withings_record(id, kind, at, patch)?)
}

type One = Path<(u64, WithingsKind, usize)>;

async fn record(State(world): Sim, Path((id, kind, number)): One) -> Answer {
    answer(200, &Simulator(world).withings_record(id, kind, number)?)
}

async fn edit_record(State(world): Sim, Path((id, kind, number)): One, bytes: Bytes) -> Answer {
    let patch: Box<RawValue> = body(&bytes)?;
    answer(200, &Simulator(world).edit_withings_record(id, kind, number, patch.get())?)
}

async fn delete_record(State(world): Sim, Path((id, kind, number)): One) -> Answer {
    let simulator = Simulator(world);
    let gone = simulator.withings_record(id, kind, number)?;
    simulator.delete_withings_record(id, kind, number)?;
    answer(200, &gone)
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Consent {
    scope: String,
}

impl Default for Consent {
    fn default() -> Self {
        Self { scope: WITHINGS_SCOPE.to_owned() }
    }
}

async fn code(State(world): Sim, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let Consent { scope } = body(&bytes)?;
    let code = Simulator(world).withings_code(id, &scope)?;
    answer(201, &json!({ "code": code, "scope": scope }))
}

async fn grant(State(world): Sim, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let Consent { scope } = body(&bytes)?;
    answer(201, &Simulator(world).grant_withings(id, &scope)?)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Expiry {
    in_s: i64,
}

async fn expire(State(world): Sim, Path(id): Path<u64>, bytes: Bytes) -> Answer {
    let Expiry { in_s } = body(&bytes)?;
    answer(200, &json!({ "tokens": Simulator(world).expire_withings_tokens(id, in_s)? }))
}

async fn revoke(State(world): Sim, Path(id): Path<u64>) -> Answer {
    answer(200, &json!({ "authorizations": Simulator(world).revoke_withings(id)? }))
}
