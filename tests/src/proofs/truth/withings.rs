//! Withings. Every change is told by its time (`lastupdate`), however old the record; a deletion never is: a sync of
//! what is new reads thirty days again for it.
//!
//! Which values of a group count, and their decimals, is the world's to say: it has the documentation's rules.

use super::facts::{ACTIVITIES, DAYS, Facts, MEASUREMENTS, field, positive, sum, times};
use super::line::{Act, Deed, Line, found_if, pick, some_time, within};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use paceline_simulator::{
    Error, LogEntry, Provider, Simulator, Tally, WithingsKind, WithingsPopulation, WithingsRecord,
};
use serde_json::{Map, Value, json};

const KINDS: [WithingsKind; 4] =
    [WithingsKind::Measures, WithingsKind::Activity, WithingsKind::Workouts, WithingsKind::Sleep];
/// Some days less than are read again: days have zones, and nights two dates.
const LOOK_BACK_DAYS: i64 = 26;
const KILOCALORIE_J: f64 = 4_184.0;

/// Type, our word, and the foot where it is one of two.
const MEASURES: [(i64, &str, &str); 35] = [
    (1, "weight", ""),
    (4, "height", ""),
    (5, "fat_free_mass", ""),
    (6, "body_fat", ""),
    (8, "fat_mass", ""),
    (9, "blood_pressure_diastolic", ""),
    (10, "blood_pressure_systolic", ""),
    (11, "heart_rate", ""),
    (12, "temperature", ""),
    (54, "spo2", ""),
    (71, "body_temperature", ""),
    (73, "skin_temperature", ""),
    (76, "muscle_mass", ""),
    (77, "hydration", ""),
    (88, "bone_mass", ""),
    (91, "pulse_wave_velocity", ""),
    (123, "vo2max", ""),
    (130, "afib_ecg", ""),
    (135, "qrs_interval", ""),
    (136, "pr_interval", ""),
    (137, "qt_interval", ""),
    (138, "corrected_qt_interval", ""),
    (155, "vascular_age", ""),
    (168, "extracellular_water", ""),
    (169, "intracellular_water", ""),
    (170, "visceral_fat", ""),
    (173, "segmental_fat_free_mass", ""),
    (174, "segmental_fat_mass", ""),
    (175, "segmental_muscle_mass", ""),
    (196, "electrodermal_activity", ""),
    (197, "electrodermal_activity", "left_foot"),
    (198, "electrodermal_activity", "right_foot"),
    (226, "basal_metabolic_rate", ""),
    (227, "metabolic_age", ""),
    (229, "skin_conductance", ""),
];

#[derive(Debug)]
pub(super) struct Withings;

/// A record with its number, for the controls.
struct Held {
    number: usize,
    record: Value,
}

fn held(world: &Simulator, account: &str, kind: WithingsKind) -> Result<Vec<Held>> {
    let page = world.withings_records(account.parse()?, kind, 0, usize::MAX)?;
    let read = |one: &WithingsRecord| {
        Ok(Held { number: one.number, record: serde_json::from_str(one.record.get())? })
    };
    page.records.iter().map(read).collect()
}

fn began(record: &Value) -> Option<DateTime<Utc>> {
    let seconds = record["startdate"].as_i64().or_else(|| record["date"].as_i64());
    match seconds {
        Some(seconds) => DateTime::from_timestamp(seconds, 0),
        None => Some(
            record["date"]
                .as_str()?
                .parse::<chrono::NaiveDate>()
                .ok()?
                .and_hms_opt(12, 0, 0)?
                .and_utc(),
        ),
    }
}

/// A patch: fields of `data` are replaced together.
fn edit(kind: WithingsKind, record: &Value, chance: &mut fastrand::Rng) -> Value {
    let whole = chance.i32(100..9_000);
    let within_data = |changes: &[(&str, Value)]| {
        let mut data = record["data"].as_object().cloned().unwrap_or_default();
        data.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        json!({ "data": data })
    };
    match kind {
        WithingsKind::Measures => {
            let mut measures = record["measures"].as_array().cloned().unwrap_or_default();
            if let Some(first) = measures.first_mut() {
                first["value"] = json!(whole);
                first["unit"] = json!(-chance.i32(1..4));
            }
            json!({ "measures": measures })
        }
        WithingsKind::Activity => {
            json!({ "steps": whole, "distance": f64::from(whole) * 0.75, "totalcalories": 2_000.25 })
        }
        WithingsKind::Workouts => within_data(&[
            ("calories", json!(whole)),
            ("hr_average", json!(120)),
            ("pause_duration", json!(60)),
        ]),
        WithingsKind::Sleep => {
            within_data(&[("total_sleep_time", json!(whole)), ("sleep_score", json!(77))])
        }
    }
}

impl Line for Withings {
    fn name(&self) -> &'static str {
        "withings"
    }

    fn limits(&self) -> &'static str {
        "all:300/20s"
    }

    fn options(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("--withings-api-url", format!("{base}/withings")),
            // The world refuses no repetition here: a proof cannot wait ten seconds for each.
            ("--withings-repeat-after", "50ms".to_owned()),
        ]
    }

    fn add_user(&self, world: &Simulator, seed: u64) -> Result<String> {
        let population = WithingsPopulation {
            measures: 250,
            days: 200,
            workouts: 90,
            nights: 200,
            years: 1,
            seed: Some(seed),
            ..WithingsPopulation::default()
        };
        Ok(world.add_withings_user(&population)?.to_string())
    }

    fn act(&self, world: &Simulator, account: &str, chance: &mut fastrand::Rng) -> Result<Act> {
        let (user, kind) = (account.parse()?, KINDS[chance.usize(..KINDS.len())]);
        let deed = Deed::drawn(chance);
        if deed == Deed::Add {
            return match world.add_withings_record(user, kind, some_time(chance), None) {
                Ok(_) => Ok(Act::Found),
                Err(Error::RecordExists(_)) => Ok(Act::Nothing),
                Err(error) => Err(error.into()),
            };
        }
        let all = held(world, account, kind)?;
        let Some(Held { number, record }) = pick(&all, chance, |one| began(&one.record)) else {
            return Ok(Act::Nothing);
        };
        let is_recent = within(began(record), LOOK_BACK_DAYS);
        if deed == Deed::Delete {
            world.delete_withings_record(user, kind, *number)?;
            return Ok(found_if(is_recent));
        }
        if kind == WithingsKind::Measures && chance.u8(..4) == 0 {
            // The scale is not sure any more whose it was: it counts no longer.
            world.edit_withings_record(user, kind, *number, r#"{"attrib":1}"#)?;
            return Ok(found_if(is_recent));
        }
        let patch = edit(kind, record, chance);
        world.edit_withings_record(user, kind, *number, &patch.to_string())?;
        Ok(Act::Found)
    }

    fn truth(&self, world: &Simulator, account: &str) -> Result<Facts> {
        let mut facts = measured(world, account)?;
        for Held { record, .. } in held(world, account, WithingsKind::Workouts)? {
            facts.insert(
                (ACTIVITIES, record["id"].to_string(), "workouts".to_owned()),
                workout(&record),
            );
        }
        for Held { record, .. } in held(world, account, WithingsKind::Activity)? {
            let date = record["date"].as_str().context("a date")?.to_owned();
            facts.insert((DAYS, date, "activity".to_owned()), day(&record));
        }
        for Held { record, .. } in held(world, account, WithingsKind::Sleep)? {
            facts.insert((DAYS, record["id"].to_string(), "sleep".to_owned()), night(&record));
        }
        Ok(facts)
    }

    fn expire(&self, world: &Simulator, account: &str, in_s: i64) -> Result<usize> {
        Ok(world.expire_withings_tokens(account.parse()?, in_s)?)
    }

    fn tally(&self, world: &Simulator, account: &str) -> Result<Tally> {
        Ok(world.withings_user(account.parse()?)?.tokens)
    }

    fn over_limit(&self, world: &Simulator) -> u64 {
        world.withings_calls().over_limit
    }

    fn is_read(&self, entry: &LogEntry) -> bool {
        entry.provider == Provider::Withings && !entry.path.contains("oauth2")
    }

    /// For each of four lists what changed, and the thirty days: no page of either is full.
    fn fewest(&self, _world: &Simulator, _account: &str) -> Result<u64> {
        Ok(8)
    }
}

/// A value's id is its group and time: one group's number may stand for several moments.
fn measured(world: &Simulator, account: &str) -> Result<Facts> {
    let mut facts = Facts::new();
    for value in world.withings_values(account.parse()?, 0, usize::MAX)?.records {
        let known = MEASURES.iter().find(|(kind, ..)| *kind == value.kind);
        let Some((_, measure, foot)) = known else { continue };
        let position = value.position.map(|position| position.to_string());
        let parts = [*measure, foot, position.as_deref().unwrap_or_default()];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let id = format!("{}/{}", value.grpid, value.date);
        let fields = [("value", json!(value.decimal)), ("measured_at", json!(value.date))];
        facts.insert((MEASUREMENTS, id, parts.join("/")), named(fields));
    }
    Ok(facts)
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Calories are kilocalories, distances metres; what was typed in stands in fields of its own, and
/// counts where nothing was measured; 0 is nothing.
fn workout(record: &Value) -> Map<String, Value> {
    let data = &record["data"];
    let is_typed_in = record["attrib"] == json!(2);
    let told = |name: &str, typed: &str| {
        let (measured, typed) = (field(data, name), positive(&data[typed]));
        let is_measured = !positive(&measured).is_null();
        if is_measured || !is_typed_in || typed.is_null() { measured } else { typed }
    };
    let length = record["enddate"].as_i64().zip(record["startdate"].as_i64());
    let length = length.map(|(end, start)| end - start);
    let paused = data["pause_duration"].as_i64().or_else(|| data["algo_pause_duration"].as_i64());
    named([
        ("start_at", field(record, "startdate")),
        ("zone", field(record, "timezone")),
        ("elapsed_time_s", length.into()),
        ("moving_time_s", length.zip(paused).map(|(length, paused)| length - paused).into()),
        ("distance_m", told("distance", "manual_distance")),
        ("energy_j", times(&told("calories", "manual_calories"), KILOCALORIE_J)),
        ("steps", field(data, "steps")),
        ("average_heart_rate_bpm", positive(&data["hr_average"])),
        ("max_heart_rate_bpm", positive(&data["hr_max"])),
        ("elevation_gain_m", Value::Null),
    ])
}

/// `elevation` counts floors; `active` is moderate and intense time, `soft` lighter.
fn day(record: &Value) -> Map<String, Value> {
    named([
        ("day", field(record, "date")),
        ("zone", field(record, "timezone")),
        ("steps", field(record, "steps")),
        ("distance_m", field(record, "distance")),
        ("floors", field(record, "elevation")),
        ("active_energy_j", times(&record["calories"], KILOCALORIE_J)),
        ("total_energy_j", times(&record["totalcalories"], KILOCALORIE_J)),
        ("active_s", sum(&[field(record, "soft"), field(record, "active")])),
        ("intense_s", field(record, "active")),
        ("average_heart_rate_bpm", positive(&record["hr_average"])),
        ("max_heart_rate_bpm", positive(&record["hr_max"])),
        ("asleep_s", Value::Null),
    ])
}

fn night(record: &Value) -> Map<String, Value> {
    let data = &record["data"];
    named([
        ("day", field(record, "date")),
        ("start_at", field(record, "startdate")),
        ("end_at", field(record, "enddate")),
        ("zone", field(record, "timezone")),
        ("asleep_s", field(data, "total_sleep_time")),
        ("awake_s", field(data, "wakeupduration")),
        ("light_s", field(data, "lightsleepduration")),
        ("deep_s", field(data, "deepsleepduration")),
        ("rem_s", field(data, "remsleepduration")),
        ("sleep_score", field(data, "sleep_score")),
        ("average_heart_rate_bpm", positive(&data["hr_average"])),
        ("max_heart_rate_bpm", positive(&data["hr_max"])),
        ("steps", Value::Null),
    ])
}
