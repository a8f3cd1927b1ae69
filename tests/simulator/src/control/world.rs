//! Controls of the world at large: time, weather, faults, the log.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;

use super::{Answer, ControlError, answer, body};
use crate::clock::ClockSetting;
use crate::fault_rule::FaultRule;
use crate::open_meteo::WeatherQuota;
use crate::simulator::Simulator;
use crate::world::World;

pub(super) type Sim = State<Arc<World>>;

pub(super) async fn health(State(world): Sim) -> Answer {
    let simulator = Simulator(world);
    answer(200, &json!({ "ok": true, "seed": simulator.seed(), "now": simulator.now() }))
}

pub(super) async fn clock(State(world): Sim) -> Answer {
    answer(200, &json!({ "now": Simulator(world).now() }))
}

/// `"real"`, `{"fixed": "2026-11-21T10:00:00Z"}` or `{"advance_s": 3600}`.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClockChange {
    Real,
    Fixed(DateTime<Utc>),
    AdvanceS(i64),
}

pub(super) async fn set_clock(State(world): Sim, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    match body(&bytes)? {
        ClockChange::Real => simulator.set_clock(ClockSetting::Real),
        ClockChange::Fixed(instant) => simulator.set_clock(ClockSetting::Fixed(instant)),
        ClockChange::AdvanceS(seconds) => simulator.advance_clock(seconds),
    }
    answer(200, &json!({ "now": simulator.now() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Latency {
    ms: u64,
}

pub(super) async fn set_latency(State(world): Sim, bytes: Bytes) -> Answer {
    let latency: Latency = body(&bytes)?;
    Simulator(world).set_latency(Duration::from_millis(latency.ms));
    answer(200, &json!({ "ms": latency.ms }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WeatherQuery {
    latitude: f64,
    longitude: f64,
    /// Unix seconds or RFC 3339.
    time: String,
}

pub(super) async fn weather(State(world): Sim, Query(query): Query<WeatherQuery>) -> Answer {
    let seconds = query.time.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let time = seconds.or_else(|| query.time.parse().ok());
    let time = time.ok_or_else(|| ControlError::Query(format!("{} is no time", query.time)))?;
    let values = Simulator(world).all_weather(query.latitude, query.longitude, time);
    let of = |value: fn(&crate::simulator::WeatherValue) -> serde_json::Value| {
        let pairs = values.iter().map(|one| (one.variable.to_owned(), value(one)));
        pairs.collect::<serde_json::Map<_, _>>()
    };
    let told = json!({
        "values": of(|one| json!(one.value)),
        "units": of(|one| json!(one.unit)),
        "in_archive": of(|one| json!(one.in_archive)),
    });
    answer(200, &told)
}

pub(super) async fn weather_quota(State(world): Sim) -> Answer {
    answer(200, &Simulator(world).weather_quota())
}

pub(super) async fn set_weather_quota(State(world): Sim, bytes: Bytes) -> Answer {
    let quota: WeatherQuota = body(&bytes)?;
    Simulator(world).set_weather_quota(quota);
    answer(200, &quota)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArchiveLag {
    days: u32,
}

pub(super) async fn set_archive_lag(State(world): Sim, bytes: Bytes) -> Answer {
    let lag: ArchiveLag = body(&bytes)?;
    Simulator(world).set_archive_lag_days(lag.days);
    answer(200, &json!({ "days": lag.days }))
}

pub(super) async fn faults(State(world): Sim) -> Answer {
    answer(200, &json!({ "faults": Simulator(world).faults() }))
}

/// A rule, or `{"preset": "flaky", "probability": 0.1}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Preset {
    preset: PresetName,
    probability: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum PresetName {
    Flaky,
}

pub(super) async fn add_fault(State(world): Sim, bytes: Bytes) -> Answer {
    let simulator = Simulator(world);
    if let Ok(Preset { preset: PresetName::Flaky, probability }) = body(&bytes) {
        return answer(201, &json!({ "ids": simulator.make_flaky(probability.unwrap_or(0.1))? }));
    }
    let rule: FaultRule = body(&bytes)?;
    answer(201, &json!({ "ids": [simulator.add_fault(rule)?] }))
}

pub(super) async fn remove_fault(State(world): Sim, Path(id): Path<u64>) -> Answer {
    if !Simulator(world).remove_fault(id) {
        return Err(ControlError::UnknownFault(id));
    }
    answer(200, &json!({ "removed": id }))
}

pub(super) async fn clear_faults(State(world): Sim) -> Answer {
    Simulator(world).clear_faults();
    answer(200, &json!({ "faults": [] }))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LogQuery {
    since: u64,
    limit: usize,
    athlete: Option<u64>,
    user: Option<String>,
    /// Paths that begin so.
    path: String,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self { since: 0, limit: 10_000, athlete: None, user: None, path: String::new() }
    }
}

pub(super) async fn log(State(world): Sim, Query(query): Query<LogQuery>) -> Answer {
    let mut entries = Simulator(world).log(query.since, query.limit);
    let next = entries.last().map_or(query.since, |entry| entry.seq);
    entries.retain(|entry| {
        query.athlete.is_none_or(|athlete| entry.athlete == Some(athlete))
            && query.user.as_ref().is_none_or(|user| entry.user.as_ref() == Some(user))
            && entry.path.starts_with(&query.path)
    });
    answer(200, &json!({ "entries": entries, "next": next }))
}

pub(super) async fn clear_log(State(world): Sim) -> Answer {
    Simulator(world).clear_log();
    answer(200, &json!({ "entries": [] }))
}

pub(super) async fn counts(State(world): Sim) -> Answer {
    answer(200, &Simulator(world).counts())
}
