//! What histories hold: repeatable, true to time zones, full of oddities.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDateTime, TimeZone, Utc};
use chrono_tz::{OffsetComponents, Tz};
use paceline_simulator::{Config, Population, StartRange};
use serde_json::Value;

use crate::client::World;

fn history(world: &World, population: Population) -> Vec<Value> {
    let athlete = world.sim().add_athlete(&population).unwrap();
    let page = world.sim().activities(athlete, StartRange::default(), 0, usize::MAX).unwrap();
    page.activities.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect()
}

fn ten_years(seed: u64, activities: u32) -> Population {
    let until = "2026-11-20".parse().ok();
    Population { activities, years: 10, seed: Some(seed), until, id: None }
}

#[tokio::test]
async fn a_seed_means_the_same_history_whatever_came_before() {
    let (one, other) =
        (World::new().await, World::with(Config { seed: 99, ..Config::default() }).await);
    let mut first = history(&one, ten_years(3, 400));
    history(&other, ten_years(8, 10));
    let mut again = history(&other, ten_years(3, 400));
    // Numbers, and what is made of them, depend on who came first; the rest does not.
    for (record, original) in again.iter_mut().zip(&mut first) {
        for field in ["id", "athlete", "map", "upload_id", "upload_id_str"] {
            for record in [&mut *record, &mut *original] {
                record.as_object_mut().unwrap().remove(field);
            }
        }
    }
    for (record, original) in again.iter().zip(&first) {
        assert_eq!(record, original);
    }
    assert_eq!(again.len(), first.len());
    let starts =
        |list: &[Value]| list.iter().map(|it| it["start_date"].clone()).collect::<Vec<_>>();
    assert_ne!(starts(&history(&one, ten_years(4, 400))), starts(&first));
}

#[tokio::test]
async fn local_times_follow_the_zone_and_wear_a_z() {
    let world = World::new().await;
    let mut offsets_apart = 0;
    for seed in 0..6 {
        for record in history(&world, ten_years(seed, 700)) {
            let label = record["timezone"].as_str().unwrap();
            let (standard, name) = label.strip_prefix("(GMT").unwrap().split_once(") ").unwrap();
            let zone: Tz = name.parse().unwrap();
            let start: DateTime<Utc> = record["start_date"].as_str().unwrap().parse().unwrap();
            let local = record["start_date_local"].as_str().unwrap().strip_suffix('Z').unwrap();
            let local: NaiveDateTime = local.parse().unwrap();
            assert_eq!(start.with_timezone(&zone).naive_local(), local, "{label}");
            let seconds = (local - start.naive_utc()).num_seconds();
            assert_eq!(record["utc_offset"].as_f64().unwrap().to_string(), seconds.to_string());
            let (hours, minutes) = standard.split_once(':').unwrap();
            let sign = if hours.starts_with('-') { -1 } else { 1 };
            let told = hours.parse::<i64>().unwrap() * 60 + sign * minutes.parse::<i64>().unwrap();
            let base = zone.offset_from_utc_datetime(&start.naive_utc()).base_utc_offset();
            assert_eq!(told, base.num_minutes(), "{label}");
            offsets_apart += usize::from(told * 60 != seconds);
        }
    }
    assert!(offsets_apart > 500, "{offsets_apart}");
}

#[tokio::test]
async fn people_are_out_when_the_clocks_change() {
    let world = World::new().await;
    // Some seeds live where clocks never change; several lives hold both borders.
    let mut borders = 0;
    for seed in 0..12 {
        for record in history(&world, ten_years(seed, 900)) {
            let name = record["timezone"].as_str().unwrap().split_once(") ").unwrap().1;
            let zone: Tz = name.parse().unwrap();
            let start: DateTime<Utc> = record["start_date"].as_str().unwrap().parse().unwrap();
            let offset = |minutes| {
                let at = start + chrono::TimeDelta::minutes(minutes);
                at.with_timezone(&zone).naive_local() - at.naive_utc()
            };
            borders += usize::from(offset(-16) != offset(16));
        }
    }
    assert!(borders > 30, "{borders}");
}

#[tokio::test]
async fn a_history_holds_every_oddity_of_real_ones() {
    let world = World::new().await;
    let athlete = world.sim().add_athlete(&ten_years(1, 6000)).unwrap();
    let page = world.sim().activities(athlete, StartRange::default(), 0, usize::MAX).unwrap();
    let huge = |raw: &str| raw.contains("\"upload_id\":987654321234567891234,");
    assert!(page.activities.iter().filter(|raw| huge(raw.get())).count() > 3);
    let records: Vec<Value> =
        page.activities.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect();
    let some = |of: &dyn Fn(&Value) -> bool| {
        let found = records.iter().filter(|record| of(record)).count();
        found > 0 && found < records.len()
    };
    assert!(some(&|it| it["start_latlng"] == serde_json::json!([])));
    assert!(some(&|it| it["start_latlng"].is_null()));
    assert!(some(&|it| it["manual"] == true) && some(&|it| it["trainer"] == true));
    assert!(some(&|it| it["upload_id"].is_null()) && some(&|it| it["workout_type"].is_null()));
    assert!(some(&|it| it["external_id"].is_null()));
    assert!(some(&|it| it["external_id"]
        .as_str()
        .is_some_and(|id| id.starts_with("garmin_push_"))));
    assert!(some(&|it| it["has_heartrate"] == true));
    assert!(some(&|it| it.get("average_heartrate").is_none()));
    assert!(
        some(&|it| it["visibility"] == "only_me") && some(&|it| it["visibility"] == "everyone")
    );
    assert!(some(&|it| it["sport_type"] == "UnderwaterHockey" && it["type"] == "Workout"));
    assert!(some(&|it| it["sport_type"] == "GravelRide" && it["type"] == "Ride"));
    assert!(some(&|it| it["start_date_local"]
        .as_str()
        .is_some_and(|at| at.ends_with("T00:00:01Z"))));
    assert!(some(&|it| it["location_country"].is_null() && it["start_latlng"][0].is_number()));
    let zones: HashSet<&str> = records.iter().filter_map(|it| it["timezone"].as_str()).collect();
    assert!(zones.len() > 8, "{zones:?}");
    for record in &records {
        assert!(record["id"].as_u64().unwrap() > u64::from(u32::MAX));
        assert!(record["elapsed_time"].as_i64() >= record["moving_time"].as_i64());
        if record["manual"] == true {
            assert!(record["external_id"].is_null() && record.get("device_name").is_none());
        }
    }
}

#[tokio::test]
async fn the_profile_tells_the_units_that_people_at_home_use() {
    let world = World::new().await;
    let mut seen = HashSet::new();
    for seed in 0..20 {
        let athlete = world.sim().add_athlete(&ten_years(seed, 1)).unwrap();
        let token =
            world.sim().grant(athlete, paceline_simulator::FULL_SCOPE).unwrap().access_token;
        let profile: Value = world.strava(&token, "athlete").await.json().await.unwrap();
        let american = profile["country"] == "United States";
        let units = profile["measurement_preference"].as_str().unwrap().to_owned();
        assert_eq!(units, if american { "feet" } else { "meters" });
        seen.insert(units);
    }
    assert_eq!(seen.len(), 2);
}
