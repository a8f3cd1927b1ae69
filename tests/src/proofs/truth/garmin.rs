//! Garmin. What is uploaded, or uploaded again after an edit, is told by its time of upload, however old it is. A
//! deletion is told nowhere: what is deleted stays stored.

use super::facts::{ACTIVITIES, DAYS, Facts, MEASUREMENTS, decimal, field, positive, sum, times};
use super::line::{Act, Deed, Line, pick, some_time};
use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, Utc};
use paceline_simulator::{
    GarminPopulation, GarminType, LogEntry, Provider, Simulator, StartRange, Tally,
};
use serde_json::{Map, Value, json};

const KILOCALORIE_J: f64 = 4_184.0;

#[derive(Debug)]
pub(super) struct Garmin;

fn held(world: &Simulator, account: &str, of: GarminType) -> Result<Vec<Value>> {
    let page = world.garmin_records(account, of, StartRange::default(), 0, usize::MAX)?;
    Ok(page.records.iter().map(|raw| serde_json::from_str(raw.get())).collect::<Result<_, _>>()?)
}

fn began(summary: &Value) -> Option<DateTime<Utc>> {
    let times = ["startTimeInSeconds", "measurementTimeInSeconds"];
    match times.iter().find_map(|name| summary[*name].as_i64()) {
        Some(seconds) => DateTime::from_timestamp(seconds, 0),
        None => Some(midnight(summary)?.and_utc()),
    }
}

fn midnight(summary: &Value) -> Option<chrono::NaiveDateTime> {
    summary["calendarDate"].as_str()?.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)
}

/// What an app or a late device would correct; the length of a day stays, for a shorter one would be an older one.
fn edit(of: GarminType, chance: &mut fastrand::Rng) -> Value {
    let whole = chance.i32(100..9_000);
    match of {
        GarminType::Activities | GarminType::ManuallyUpdatedActivities => {
            json!({ "activityName": format!("Renamed {whole}"), "distanceInMeters": f64::from(whole) + 0.25 })
        }
        GarminType::MoveIQActivities => json!({ "durationInSeconds": whole }),
        GarminType::Dailies => json!({ "steps": whole, "activeKilocalories": whole / 10 }),
        GarminType::Sleeps => json!({ "remSleepInSeconds": whole }),
        GarminType::BodyComps => json!({ "weightInGrams": 60_000 + whole }),
        GarminType::BloodPressures => json!({ "systolic": 100 + whole / 100 }),
        _ => json!({ "vo2Max": f64::from(300 + whole / 50) / 10.0 }),
    }
}

impl Line for Garmin {
    fn name(&self) -> &'static str {
        "garmin"
    }

    fn limits(&self) -> &'static str {
        "all:6000/1m"
    }

    fn options(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![
            ("--garmin-api-url", format!("{base}/garmin/wellness-api/rest")),
            ("--garmin-auth-url", format!("{base}/garmin")),
            ("--garmin-history-pause", "4s".to_owned()),
        ]
    }

    fn add_user(&self, world: &Simulator, seed: u64) -> Result<String> {
        let population = GarminPopulation {
            activities: 120,
            years: 1,
            seed: Some(seed),
            ..GarminPopulation::default()
        };
        Ok(world.add_garmin_user(&population)?)
    }

    fn act(&self, world: &Simulator, account: &str, chance: &mut fastrand::Rng) -> Result<Act> {
        let of = GarminType::HELD[chance.usize(..GarminType::HELD.len())];
        let deed = Deed::drawn(chance);
        if deed == Deed::Add {
            let added = world.add_garmin_record(account, of, some_time(chance), None);
            // A day has one summary of each type.
            return Ok(if added.is_ok() { Act::Found } else { Act::Nothing });
        }
        let all = held(world, account, of)?;
        let Some(summary) = pick(&all, chance, began) else { return Ok(Act::Nothing) };
        let id = summary["summaryId"].as_str().context("an id")?;
        if deed == Deed::Delete {
            world.delete_garmin_record(account, of, id)?;
            return Ok(Act::Beyond);
        }
        world.edit_garmin_record(account, of, id, &edit(of, chance).to_string())?;
        Ok(Act::Found)
    }

    fn truth(&self, world: &Simulator, account: &str) -> Result<Facts> {
        let mut facts = Facts::new();
        for of in GarminType::HELD {
            for summary in held(world, account, of)? {
                let id = summary["summaryId"].as_str().context("an id")?.to_owned();
                let none = String::new();
                match of {
                    GarminType::Activities | GarminType::ManuallyUpdatedActivities => {
                        facts.insert((ACTIVITIES, id, none), activity(&summary));
                    }
                    GarminType::MoveIQActivities => {
                        let what = "moveIQActivities".to_owned();
                        facts.insert((ACTIVITIES, id, what), event(&summary, "offsetInSeconds"));
                    }
                    GarminType::Dailies => {
                        facts.insert((DAYS, id, "activity".to_owned()), day(&summary));
                    }
                    GarminType::Sleeps => {
                        facts.insert((DAYS, id, "sleep".to_owned()), night(&summary));
                    }
                    _ => facts.extend(measured(&summary, &id)),
                }
            }
        }
        Ok(facts)
    }

    fn tells_deletions(&self) -> bool {
        false
    }

    fn expire(&self, world: &Simulator, account: &str, in_s: i64) -> Result<usize> {
        Ok(world.expire_garmin_tokens(account, in_s, false)?)
    }

    fn tally(&self, world: &Simulator, account: &str) -> Result<Tally> {
        Ok(world.garmin_user(account)?.tokens)
    }

    fn over_limit(&self, world: &Simulator) -> u64 {
        world.garmin_calls().over_limit
    }

    fn is_read(&self, entry: &LogEntry) -> bool {
        entry.provider == Provider::Garmin && entry.path.starts_with("/garmin/wellness-api/")
    }

    /// One window of each type: the last one was read minutes ago.
    fn fewest(&self, _world: &Simulator, _account: &str) -> Result<u64> {
        Ok(u64::try_from(GarminType::HELD.len())?)
    }
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// An offset is no zone.
fn event(summary: &Value, offset: &str) -> Map<String, Value> {
    named([
        ("sport_type", field(summary, "activityType")),
        ("start_at", field(summary, "startTimeInSeconds")),
        ("utc_offset_s", field(summary, offset)),
        ("zone", Value::Null),
        ("elapsed_time_s", field(summary, "durationInSeconds")),
    ])
}

fn activity(summary: &Value) -> Map<String, Value> {
    let mut fields = event(summary, "startTimeOffsetInSeconds");
    fields.extend(named([
        ("name", json!(summary["activityName"].as_str().unwrap_or_default())),
        ("distance_m", field(summary, "distanceInMeters")),
        ("elevation_gain_m", field(summary, "totalElevationGainInMeters")),
        ("average_speed_mps", field(summary, "averageSpeedInMetersPerSecond")),
        ("max_speed_mps", field(summary, "maxSpeedInMetersPerSecond")),
        ("average_heart_rate_bpm", positive(&summary["averageHeartRateInBeatsPerMinute"])),
        ("max_heart_rate_bpm", positive(&summary["maxHeartRateInBeatsPerMinute"])),
        ("energy_j", times(&summary["activeKilocalories"], KILOCALORIE_J)),
        ("steps", field(summary, "steps")),
        ("start_lat", field(summary, "startingLatitudeInDegree")),
        ("start_lon", field(summary, "startingLongitudeInDegree")),
    ]));
    fields
}

fn day(summary: &Value) -> Map<String, Value> {
    let (active, resting) =
        (field(summary, "activeKilocalories"), field(summary, "bmrKilocalories"));
    let intense = [
        field(summary, "moderateIntensityDurationInSeconds"),
        field(summary, "vigorousIntensityDurationInSeconds"),
    ];
    let stress = summary["averageStressLevel"].as_f64().filter(|level| *level >= 0.0);
    named([
        ("day", field(summary, "calendarDate")),
        ("start_at", field(summary, "startTimeInSeconds")),
        ("utc_offset_s", field(summary, "startTimeOffsetInSeconds")),
        ("zone", Value::Null),
        ("steps", field(summary, "steps")),
        ("distance_m", field(summary, "distanceInMeters")),
        ("floors", field(summary, "floorsClimbed")),
        ("active_energy_j", times(&active, KILOCALORIE_J)),
        ("total_energy_j", times(&sum(&[active, resting]), KILOCALORIE_J)),
        ("active_s", field(summary, "activeTimeInSeconds")),
        ("intense_s", sum(&intense)),
        ("resting_heart_rate_bpm", positive(&summary["restingHeartRateInBeatsPerMinute"])),
        ("average_heart_rate_bpm", positive(&summary["averageHeartRateInBeatsPerMinute"])),
        ("max_heart_rate_bpm", positive(&summary["maxHeartRateInBeatsPerMinute"])),
        ("average_stress", stress.map_or(Value::Null, |level| json!(level))),
    ])
}

fn night(summary: &Value) -> Map<String, Value> {
    let asleep = [
        field(summary, "deepSleepDurationInSeconds"),
        field(summary, "lightSleepDurationInSeconds"),
        field(summary, "remSleepInSeconds"),
    ];
    // The duration leaves out what was spent awake: the last of the spans tells the end.
    let spans =
        summary["sleepLevelsMap"].as_object().into_iter().flat_map(|levels| levels.values());
    let ends = spans.filter_map(Value::as_array).flatten();
    let end = ends.filter_map(|span| span["endTimeInSeconds"].as_i64()).max();
    named([
        ("day", field(summary, "calendarDate")),
        ("start_at", field(summary, "startTimeInSeconds")),
        ("end_at", end.into()),
        ("utc_offset_s", field(summary, "startTimeOffsetInSeconds")),
        ("asleep_s", sum(&asleep)),
        ("awake_s", field(summary, "awakeDurationInSeconds")),
        ("light_s", field(summary, "lightSleepDurationInSeconds")),
        ("deep_s", field(summary, "deepSleepDurationInSeconds")),
        ("rem_s", field(summary, "remSleepInSeconds")),
        ("sleep_score", field(&summary["overallSleepScore"], "value")),
    ])
}

/// Weighings, blood pressures, a date's estimates: a value each for what is there.
fn measured(summary: &Value, id: &str) -> Facts {
    const MEASURES: [(&str, &str, f64); 12] = [
        ("weightInGrams", "weight", 0.001),
        ("muscleMassInGrams", "muscle_mass", 0.001),
        ("boneMassInGrams", "bone_mass", 0.001),
        ("bodyWaterInPercent", "body_water", 1.0),
        ("bodyFatInPercent", "body_fat", 1.0),
        ("bodyMassIndex", "body_mass_index", 1.0),
        ("systolic", "blood_pressure_systolic", 1.0),
        ("diastolic", "blood_pressure_diastolic", 1.0),
        ("pulse", "heart_rate", 1.0),
        ("vo2Max", "vo2max", 1.0),
        ("vo2MaxCycling", "vo2max/cycling", 1.0),
        ("fitnessAge", "fitness_age", 1.0),
    ];
    let mut facts = Facts::new();
    for (theirs, ours, factor) in MEASURES {
        let Some(value) = summary.get(theirs) else { continue };
        let value = if factor < 1.0 { kilograms(value) } else { decimal(value) };
        let at = began(summary).map(|at| at.timestamp());
        let mut fields =
            named([("value", value), ("measured_at", at.into()), ("zone", Value::Null)]);
        if let Some(offset) = summary.get("measurementTimeOffsetInSeconds") {
            fields.insert("utc_offset_s".to_owned(), offset.clone());
        }
        facts.insert((MEASUREMENTS, id.to_owned(), ours.to_owned()), fields);
    }
    facts
}

/// Whole grams with the point moved, as text.
fn kilograms(grams: &Value) -> Value {
    let Some(grams) = grams.as_i64() else { return Value::Null };
    let text = format!("{}.{:03}", grams / 1_000, grams % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').into()
}
