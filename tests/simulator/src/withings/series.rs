//! The second version's lists: `getactivity` and `getworkouts` at `/v2/measure`, `getsummary` at
//! `/v2/sleep`.
//!
//! Here `more` is a truth value, and always there. Figures that the documentation marks so come only
//! when `data_fields` names them.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::ask::Ask;
use super::errors::Refusal;
use super::record::{Record, WithingsKind};
use crate::http;
use crate::locks::reading;
use crate::patch::{self, Fields};
use crate::world::World;

/// A list, and which of its figures must be asked for by name.
struct Series {
    kind: WithingsKind,
    list: &'static str,
    /// Whether the figures are under `data`.
    nested: bool,
    /// Only when named; names with spaces between.
    on_demand: &'static str,
    /// Also when nothing is named, and not when only others are.
    usual: &'static str,
}

const ACTIVITY: Series = Series {
    kind: WithingsKind::Activity,
    list: "activities",
    nested: false,
    on_demand: "steps distance elevation soft moderate intense active calories hr_average hr_min hr_max \
        hr_zone_0 hr_zone_1 hr_zone_2 hr_zone_3",
    usual: "totalcalories",
};
const WORKOUTS: Series = Series {
    kind: WithingsKind::Workouts,
    list: "series",
    nested: true,
    on_demand: "calories manual_distance manual_calories hr_average hr_min hr_max hr_zone_0 hr_zone_1 \
        hr_zone_2 hr_zone_3 core_body_temperature_avg core_body_temperature_min \
        core_body_temperature_max core_body_temperature_status steps distance elevation \
        pool_laps strokes pool_length",
    usual: "intensity manual_intensity pause_duration algo_pause_duration spo2_average",
};
const SLEEP: Series = Series {
    kind: WithingsKind::Sleep,
    list: "series",
    nested: true,
    on_demand: "total_timeinbed total_sleep_time asleepduration lightsleepduration remsleepduration \
        deepsleepduration sleep_efficiency sleep_latency wakeup_latency wakeupduration \
        wakeupcount waso nb_rem_episodes durationtosleep durationtowakeup out_of_bed_count \
        hr_average hr_min hr_max rr_average rr_min rr_max chest_movement_rate_wellness_average \
        chest_movement_rate_wellness_min chest_movement_rate_wellness_max breathing_sounds \
        breathing_sounds_episode_count chest_movement_rate_average chest_movement_rate_min \
        chest_movement_rate_max core_body_temperature_min core_body_temperature_max \
        core_body_temperature_avg core_body_temperature_status",
    usual: "breathing_quality_assessment breathing_disturbances_intensity snoring \
        snoringepisodecount sleep_score night_events apnea_hypopnea_index mvt_score_avg \
        mvt_active_duration rmssd_start_avg rmssd_end_avg withings_index",
};

pub(super) async fn measure(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Refusal> {
    let ask = Ask::read(&world, &headers, query.as_deref(), &body)?;
    match ask.action() {
        "getactivity" => page(&ask, &ACTIVITY),
        "getworkouts" => page(&ask, &WORKOUTS),
        _ => Err(Refusal::NotImplemented),
    }
}

pub(super) async fn sleep(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Refusal> {
    let ask = Ask::read(&world, &headers, query.as_deref(), &body)?;
    match ask.action() {
        "getsummary" => page(&ask, &SLEEP),
        _ => Err(Refusal::NotImplemented),
    }
}

fn page(ask: &Ask, series: &Series) -> Result<Response, Refusal> {
    ask.needs("user.activity")?;
    let filter = ask.days_or_change()?;
    let named: Vec<String> = ask.many("data_fields")?;
    let user = reading(&ask.user);
    let (page, next) = user.shelf(series.kind).page(&filter, ask.offset()?, ask.cut);
    let records: Vec<Box<RawValue>> =
        page.into_iter().map(|record| series.told(record, &named)).collect();
    let told = json!({ "more": next.is_some(), "offset": next.unwrap_or(0) });
    Ok(http::json(200, answer(&told, series.list, &records)))
}

impl Series {
    fn told(&self, record: &Record, named: &[String]) -> Box<RawValue> {
        let tell = || -> Option<Box<RawValue>> {
            let mut fields: Fields = serde_json::from_str(record.json.get()).ok()?;
            if self.nested {
                let mut data: Fields = patch::read(&fields, "data")?;
                data.retain(|name, _| self.tells(name, named));
                fields.insert("data".to_owned(), serde_json::value::to_raw_value(&data).ok()?);
            } else {
                fields.retain(|name, _| self.tells(name, named));
            }
            serde_json::value::to_raw_value(&fields).ok()
        };
        // An edit may have left something that has no figures to choose from.
        tell().unwrap_or_else(|| record.json.clone())
    }

    fn tells(&self, name: &str, named: &[String]) -> bool {
        let listed = |list: &str| list.split(' ').any(|other| other == name);
        let usual = listed(self.usual);
        if !usual && !listed(self.on_demand) {
            return true;
        }
        named.iter().any(|other| other == name) || (named.is_empty() && usual)
    }
}

/// An answer of status 0: `told`, and the records under `list`.
pub(super) fn answer(told: &Value, list: &str, records: &[Box<RawValue>]) -> String {
    let mut body = told.to_string();
    // `told` is an object with something in it: the list goes before its last brace.
    body.pop();
    let records: Vec<&str> = records.iter().map(|record| record.get()).collect();
    format!("{{\"status\":0,\"body\":{body},\"{list}\":[{}]}}}}", records.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_when_they_are_named_and_the_usual_ones_when_none_is() {
        let workout = json!({ "id": 7, "data": { "steps": 5, "spo2_average": 96, "new": 1 } });
        let workout = Record::new(WithingsKind::Workouts, &workout).unwrap();
        let told = |named: &[&str]| {
            let named: Vec<String> = named.iter().map(|&name| name.to_owned()).collect();
            let told: Value = serde_json::from_str(WORKOUTS.told(&workout, &named).get()).unwrap();
            told["data"].clone()
        };
        assert_eq!(told(&[]), json!({ "spo2_average": 96, "new": 1 }));
        assert_eq!(told(&["steps"]), json!({ "steps": 5, "new": 1 }));
        let day = Record::new(WithingsKind::Activity, &json!({ "date": "2026-01-01", "steps": 5 }));
        assert_eq!(ACTIVITY.told(&day.unwrap(), &[]).get(), r#"{"date":"2026-01-01"}"#);
    }

    #[test]
    fn an_answer_is_json_with_or_without_records() {
        let one = serde_json::value::to_raw_value(&json!({ "id": 7 })).unwrap();
        for records in [vec![], vec![one.clone()], vec![one.clone(), one]] {
            let text = answer(&json!({ "more": false }), "series", &records);
            let told: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(told["status"], 0);
            assert_eq!(told["body"]["series"].as_array().unwrap().len(), records.len());
        }
    }
}
