//! Strava. Its list tells neither edits nor deletions: a sync of what is new reads two weeks again, all else is found by
//! a read of everything.

use super::facts::{ACTIVITIES, Facts, field};
use super::line::{Act, Deed, Line, found_if, pick, some_time, within};
use anyhow::{Context, Result};
use chrono::{DateTime, TimeDelta, Utc};
use paceline_simulator::{LogEntry, Population, Provider, Simulator, StartRange, Tally};
use serde_json::{Map, Value, json};

const ACTIVITY_COUNT: u32 = 260;
/// A day less than is read again, so that no act falls on the border.
const LOOK_BACK_DAYS: i64 = 13;

#[derive(Debug)]
pub(super) struct Strava;

fn activities(world: &Simulator, account: &str) -> Result<Vec<Value>> {
    let page = world.activities(account.parse()?, StartRange::default(), 0, usize::MAX)?;
    Ok(page
        .activities
        .iter()
        .map(|raw| serde_json::from_str(raw.get()))
        .collect::<Result<_, _>>()?)
}

fn time(activity: &Value, name: &str) -> Option<DateTime<Utc>> {
    activity[name].as_str()?.parse().ok()
}

/// A patch of what somebody would change.
fn edit(chance: &mut fastrand::Rng) -> Value {
    let whole = chance.i32(300..9_000);
    match chance.u8(..6) {
        0 => json!({ "name": format!("Renamed {whole}") }),
        1 => json!({ "distance": f64::from(whole) + 0.5, "average_speed": 2.75 }),
        2 => json!({ "sport_type": "TrailRun", "type": "Run" }),
        3 => json!({ "moving_time": whole, "elapsed_time": whole + 60 }),
        4 => {
            json!({ "average_heartrate": 141.5, "max_heartrate": 180.0, "total_elevation_gain": 12.5 })
        }
        _ => json!({ "start_latlng": [-0.22, -78.51], "end_latlng": [] }),
    }
}

impl Line for Strava {
    fn name(&self) -> &'static str {
        "strava"
    }

    fn job_type(&self) -> &'static str {
        "activities"
    }

    fn limits(&self) -> &'static str {
        "all:400/15s,all:90000/3600s,read:200/15s,read:45000/3600s"
    }

    fn options(&self, _base: &str) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    fn add_user(&self, world: &Simulator, seed: u64) -> Result<String> {
        let population = Population {
            activities: ACTIVITY_COUNT,
            years: 1,
            seed: Some(seed),
            ..Population::default()
        };
        Ok(world.add_athlete(&population)?.to_string())
    }

    fn act(&self, world: &Simulator, account: &str, chance: &mut fastrand::Rng) -> Result<Act> {
        let athlete = account.parse()?;
        let deed = Deed::drawn(chance);
        if deed == Deed::Add {
            let start = some_time(chance);
            world.add_activity(athlete, start, Some(&edit(chance).to_string()))?;
            return Ok(found_if(within(Some(start), LOOK_BACK_DAYS)));
        }
        let all = activities(world, account)?;
        let Some(activity) = pick(&all, chance, |one| time(one, "start_date")) else {
            return Ok(Act::Nothing);
        };
        let id = activity["id"].as_u64().context("an id")?;
        if deed == Deed::Edit {
            world.edit_activity(athlete, id, &edit(chance).to_string())?;
        } else {
            world.delete_activity(athlete, id)?;
        }
        Ok(found_if(within(time(activity, "start_date"), LOOK_BACK_DAYS)))
    }

    fn truth(&self, world: &Simulator, account: &str) -> Result<Facts> {
        let fact = |activity: &Value| {
            let key = (ACTIVITIES, activity["id"].to_string(), String::new());
            (key, fields(activity))
        };
        Ok(activities(world, account)?.iter().map(fact).collect())
    }

    fn expire(&self, world: &Simulator, account: &str, in_s: i64) -> Result<usize> {
        Ok(world.expire_access_tokens(account.parse()?, in_s)?)
    }

    fn tally(&self, world: &Simulator, account: &str) -> Result<Tally> {
        Ok(world.athlete(account.parse()?, StartRange::default())?.tokens)
    }

    fn over_limit(&self, world: &Simulator) -> u64 {
        world.strava_calls().over_limit
    }

    fn is_read(&self, entry: &LogEntry) -> bool {
        entry.provider == Provider::Strava && entry.path.starts_with("/strava/api/")
    }

    /// The pages of two weeks, and the empty one behind them that alone says that there are no more.
    fn fewest(&self, world: &Simulator, account: &str) -> Result<u64> {
        let since = Utc::now() - TimeDelta::days(LOOK_BACK_DAYS + 1);
        let range = StartRange { after: Some(since.timestamp()), before: None };
        let pages = world.athlete(account.parse()?, range)?.pages_of_200;
        Ok(u64::try_from(pages)? + 1)
    }
}

/// Metres, seconds, metres a second, beats a minute: Strava's units are ours.
fn fields(activity: &Value) -> Map<String, Value> {
    let same = [
        ("sport_type", "sport_type"),
        ("distance_m", "distance"),
        ("moving_time_s", "moving_time"),
        ("elapsed_time_s", "elapsed_time"),
        ("elevation_gain_m", "total_elevation_gain"),
        ("average_speed_mps", "average_speed"),
        ("max_speed_mps", "max_speed"),
        ("average_heart_rate_bpm", "average_heartrate"),
        ("max_heart_rate_bpm", "max_heartrate"),
        ("utc_offset_s", "utc_offset"),
    ];
    let mut fields: Map<String, Value> =
        same.into_iter().map(|(ours, theirs)| (ours.to_owned(), field(activity, theirs))).collect();
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    put("name", json!(activity["name"].as_str().unwrap_or_default()));
    put("start_at", time(activity, "start_date").map(|at| at.timestamp()).into());
    // The Z of a local time means nothing.
    let local = activity["start_date_local"].as_str().map(|local| local.trim_end_matches('Z'));
    put("start_local", local.into());
    let zone = activity["timezone"].as_str().and_then(|zone| zone.split_once(") "));
    put("zone", zone.map(|(_, zone)| zone).into());
    for (lat, lon, theirs) in
        [("start_lat", "start_lon", "start_latlng"), ("end_lat", "end_lon", "end_latlng")]
    {
        put(lat, activity[theirs][0].clone());
        put(lon, activity[theirs][1].clone());
    }
    fields
}
