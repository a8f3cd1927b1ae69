//! Fitbit. Nothing tells edits or deletions: a sync of what is new reads ninety days again.

use super::facts::{ACTIVITIES, DAYS, Facts, MEASUREMENTS, decimal, field, positive, times};
use super::line::{Act, Deed, Line, found_if, pick, some_time, within};
use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDateTime, Utc};
use paceline_simulator::{
    FitbitLog, FitbitPopulation, FitbitRange, LogEntry, Provider, Simulator, Tally,
};
use serde_json::{Map, Value, json};

const LOGS: [FitbitLog; 4] =
    [FitbitLog::Weight, FitbitLog::Fat, FitbitLog::Activities, FitbitLog::Sleep];
/// Some days less than are read again: days have zones.
const LOOK_BACK_DAYS: i64 = 86;
const KILOCALORIE_J: f64 = 4_184.0;

#[derive(Debug)]
pub(super) struct Fitbit;

/// An entry with its number, for the controls.
struct Held {
    number: u32,
    fields: Value,
}

fn held(world: &Simulator, account: &str, log: FitbitLog) -> Result<Vec<Held>> {
    let range = FitbitRange { from: None, to: None };
    let page = world.fitbit_records(account, log, range, 0, usize::MAX)?;
    let entries = page.records.iter();
    entries
        .map(|one| Ok(Held { number: one.record, fields: serde_json::from_str(one.fields.get())? }))
        .collect()
}

/// Roughly when: to a day.
fn began(entry: &Value) -> Option<DateTime<Utc>> {
    let day = ["date", "dateOfSleep", "startTime"].iter().find_map(|name| entry[*name].as_str())?;
    let noon = format!("{}T12:00:00", day.get(..10)?);
    Some(noon.parse::<NaiveDateTime>().ok()?.and_utc())
}

fn edit(log: FitbitLog, chance: &mut fastrand::Rng) -> Value {
    let whole = chance.i32(100..900);
    let tenths = f64::from(whole) / 10.0;
    match log {
        FitbitLog::Weight => json!({ "weight": tenths, "bmi": 23.25 }),
        FitbitLog::Fat => json!({ "fat": tenths }),
        FitbitLog::Activities => json!({ "calories": whole, "steps": whole * 7 }),
        FitbitLog::Sleep => json!({ "minutesAsleep": whole, "minutesAwake": 17 }),
    }
}

impl Line for Fitbit {
    fn name(&self) -> &'static str {
        "fitbit"
    }

    fn limits(&self) -> &'static str {
        "user:150/15s"
    }

    fn options(&self, base: &str) -> Vec<(&'static str, String)> {
        vec![("--fitbit-api-url", format!("{base}/fitbit"))]
    }

    fn add_user(&self, world: &Simulator, seed: u64) -> Result<String> {
        let population = FitbitPopulation {
            weights: 200,
            activities: 160,
            sleeps: 200,
            years: 1,
            seed: Some(seed),
            ..FitbitPopulation::default()
        };
        Ok(world.add_fitbit_user(&population)?)
    }

    fn act(&self, world: &Simulator, account: &str, chance: &mut fastrand::Rng) -> Result<Act> {
        let log = LOGS[chance.usize(..LOGS.len())];
        let deed = Deed::drawn(chance);
        if deed == Deed::Add {
            let at = some_time(chance);
            world.add_fitbit_record(account, log, at.naive_utc(), None)?;
            return Ok(found_if(within(Some(at), LOOK_BACK_DAYS)));
        }
        let all = held(world, account, log)?;
        let Some(Held { number, fields }) = pick(&all, chance, |one| began(&one.fields)) else {
            return Ok(Act::Nothing);
        };
        if deed == Deed::Edit {
            world.edit_fitbit_record(account, log, *number, &edit(log, chance).to_string())?;
        } else {
            world.delete_fitbit_record(account, log, *number)?;
        }
        Ok(found_if(within(began(fields), LOOK_BACK_DAYS)))
    }

    fn truth(&self, world: &Simulator, account: &str) -> Result<Facts> {
        let zone = world.fitbit_user(account)?.timezone;
        let mut facts = Facts::new();
        for (log, measures) in [
            (FitbitLog::Weight, &[("weight", "weight"), ("bmi", "body_mass_index")][..]),
            (FitbitLog::Fat, &[("fat", "body_fat")][..]),
        ] {
            for Held { fields, .. } in held(world, account, log)? {
                let local = format!("{}T{}", text(&fields, "date")?, text(&fields, "time")?);
                // Two entries of a day may have one logId.
                let id = format!("{}/{local}", fields["logId"]);
                for (theirs, ours) in measures {
                    let told = named([
                        ("value", decimal(&fields[*theirs])),
                        ("measured_local", json!(local)),
                        ("zone", json!(zone)),
                    ]);
                    facts.insert((MEASUREMENTS, id.clone(), (*ours).to_owned()), told);
                }
            }
        }
        for Held { fields, .. } in held(world, account, FitbitLog::Activities)? {
            facts.insert(
                (ACTIVITIES, fields["logId"].to_string(), String::new()),
                activity(&fields)?,
            );
        }
        for Held { fields, .. } in held(world, account, FitbitLog::Sleep)? {
            facts.insert(
                (DAYS, fields["logId"].to_string(), "sleep".to_owned()),
                sleep(&fields, zone),
            );
        }
        Ok(facts)
    }

    fn expire(&self, world: &Simulator, account: &str, in_s: i64) -> Result<usize> {
        Ok(world.expire_fitbit_tokens(account, in_s)?)
    }

    fn tally(&self, world: &Simulator, account: &str) -> Result<Tally> {
        Ok(world.fitbit_user(account)?.tokens)
    }

    fn over_limit(&self, world: &Simulator) -> u64 {
        world.fitbit_calls().over_limit
    }

    fn is_read(&self, entry: &LogEntry) -> bool {
        entry.provider == Provider::Fitbit && entry.path.starts_with("/fitbit/1")
    }

    /// Ninety days and one at each end, for the zone is known only from the profile: the profile, 3 chunks of 31 days of
    /// weights, 4 of 30 of fats, 1 of 100 of sleeps, and a page of activities.
    fn fewest(&self, _world: &Simulator, _account: &str) -> Result<u64> {
        Ok(1 + 3 + 4 + 1 + 1)
    }
}

fn text<'a>(entry: &'a Value, name: &'static str) -> Result<&'a str> {
    entry[name].as_str().context(name)
}

fn named<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Milliseconds, kilocalories, and without a header that asks otherwise kilometres. The only times with an offset.
fn activity(entry: &Value) -> Result<Map<String, Value>> {
    let start = DateTime::parse_from_rfc3339(text(entry, "startTime")?)?;
    let seconds = |name| entry[name].as_i64().map_or(Value::Null, |ms| json!(ms / 1_000));
    Ok(named([
        ("sport_type", field(entry, "activityName")),
        ("start_at", json!(start.timestamp())),
        ("start_local", json!(start.naive_local().format("%Y-%m-%dT%H:%M:%S").to_string())),
        ("utc_offset_s", json!(start.offset().local_minus_utc())),
        ("elapsed_time_s", seconds("duration")),
        ("moving_time_s", seconds("activeDuration")),
        ("distance_m", times(&entry["distance"], 1_000.0)),
        ("elevation_gain_m", field(entry, "elevationGain")),
        ("average_heart_rate_bpm", positive(&entry["averageHeartRate"])),
        ("energy_j", times(&entry["calories"], KILOCALORIE_J)),
        ("steps", field(entry, "steps")),
    ]))
}

/// Local times of the profile's zone; minutes.
fn sleep(entry: &Value, zone: &str) -> Map<String, Value> {
    let minutes = |value: &Value| times(value, 60.0);
    let stage = |name: &str| minutes(&entry["levels"]["summary"][name]["minutes"]);
    let is_nap = entry["isMainSleep"].as_bool().map(|is_main| !is_main);
    named([
        ("day", field(entry, "dateOfSleep")),
        ("zone", json!(zone)),
        ("asleep_s", minutes(&entry["minutesAsleep"])),
        ("awake_s", minutes(&entry["minutesAwake"])),
        ("light_s", stage("light")),
        ("deep_s", stage("deep")),
        ("rem_s", stage("rem")),
        ("is_nap", is_nap.into()),
    ])
}
