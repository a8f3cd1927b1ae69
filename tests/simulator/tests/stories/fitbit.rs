//! Fitbit's logs as a client reads them: by date, by page, in every unit.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, NaiveDateTime};
use chrono_tz::Tz;
use paceline_simulator::{Config, FitbitLog, FitbitPopulation};
use serde_json::{Value, json};

use crate::client::{World, json};
use crate::fitbit_client::bag;

const ALL_ACTIVITIES: &str = "afterDate=2024-01-01&sort=asc&limit=100&offset=0";

fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry[field].as_str().unwrap_or_else(|| panic!("{field} in {entry}"))
}

#[tokio::test]
async fn chunks_of_days_together_are_the_whole_log() {
    let world = World::new().await;
    let (id, tokens) = world.fitbit_user();
    for (log, days) in [(FitbitLog::Weight, 31), (FitbitLog::Fat, 30), (FitbitLog::Sleep, 100)] {
        let read = world.fitbit_by_date(&tokens.access_token, log, days).await;
        let truth = world.fitbit_truth(&id, log);
        assert!(truth.len() > 150, "{log}: {}", truth.len());
        assert_eq!(bag(&read), bag(&truth), "{log}");
    }
}

#[tokio::test]
async fn a_range_too_long_turned_round_or_of_no_days_is_a_validation_error() {
    let world = World::new().await;
    let (_, tokens) = world.fitbit_user();
    for (path, field) in [
        ("1/user/-/body/log/weight/date/2026-01-01/2026-02-01.json", "end-date"),
        ("1/user/-/body/log/fat/date/2026-01-01/2026-01-31.json", "end-date"),
        ("1.2/user/-/sleep/date/2026-01-01/2026-04-11.json", "end-date"),
        ("1/user/-/body/log/weight/date/2026-01-02/2026-01-01.json", "end-date"),
        ("1/user/-/body/log/weight/date/2010-13-45/2026-01-01.json", "start-date"),
    ] {
        let (status, body) = json(world.fitbit(&tokens.access_token, path).await).await;
        assert_eq!((status, &body["success"]), (400, &json!(false)), "{path}");
        let error = &body["errors"][0];
        assert_eq!(
            (&error["errorType"], &error["fieldName"]),
            (&json!("validation"), &json!(field))
        );
    }
    for path in [
        "1/user/-/body/log/weight/date/2026-01-01/2026-01-31.json",
        "1/user/-/body/log/fat/date/2026-01-01/2026-01-30.json",
        "1.2/user/-/sleep/date/2026-01-01/2026-04-10.json",
    ] {
        assert_eq!(world.fitbit(&tokens.access_token, path).await.status(), 200, "{path}");
    }
}

#[tokio::test]
async fn a_log_id_is_shared_and_only_date_and_time_tell_two_weights_apart() {
    let world = World::new().await;
    let (id, tokens) = world.fitbit_user();
    let weights = world.fitbit_by_date(&tokens.access_token, FitbitLog::Weight, 31).await;
    let mut by_id = BTreeMap::<u64, usize>::new();
    for weight in &weights {
        *by_id.entry(weight["logId"].as_u64().unwrap()).or_default() += 1;
    }
    let shared: usize = by_id.values().filter(|&&of| of > 1).sum();
    let user = world.sim().fitbit_user(&id).unwrap();
    assert!(shared >= 8, "{shared}");
    assert_eq!(shared, user.shared_log_ids);
    let keys: HashSet<String> = weights
        .iter()
        .map(|one| format!("{} {} {}", one["logId"], one["date"], one["time"]))
        .collect();
    assert_eq!(keys.len(), weights.len());
    let from_withings = weights.iter().filter(|one| one["source"] == "Withings").count();
    assert!(from_withings > 50, "{from_withings}");
    assert_eq!(from_withings, user.from_withings);
    // Measured by an Aria, and seen to have gone through single precision.
    let long = |one: &&Value| one["fat"].to_string().len() > 10;
    assert!(weights.iter().filter(long).count() > 50);
}

#[tokio::test]
async fn weights_come_in_the_units_of_the_language() {
    let world = World::new().await;
    let (id, tokens) = world.fitbit_user();
    let weight = &world.fitbit_truth(&id, FitbitLog::Weight)[5];
    let kg = weight["weight"].as_f64().unwrap();
    let date = text(weight, "date");
    let path = format!("/fitbit/1/user/-/body/log/weight/date/{date}/{date}.json");
    for (language, factor) in [("en_US", 2.204_622_6), ("en_GB", 0.157_473_0), ("de_DE", 1.0)] {
        let request = world.http.get(world.url(&path)).bearer_auth(&tokens.access_token);
        let answer = request.header("accept-language", language).send().await.unwrap();
        let told = json(answer).await.1["weight"][0]["weight"].as_f64().unwrap();
        assert!((told - kg * factor).abs() <= 0.051, "{language}: {told} for {kg} kg");
    }
}

#[tokio::test]
async fn activities_come_in_pages_that_lead_on_until_the_address_is_empty() {
    let world = World::new().await;
    let (id, tokens) = world.fitbit_user();
    let truth = world.fitbit_truth(&id, FitbitLog::Activities);
    let (up, pages) = world.fitbit_by_page(&tokens.access_token, ALL_ACTIVITIES).await;
    assert_eq!((up == truth, pages), (true, 3));
    let query = "beforeDate=2026-12-01&sort=desc&limit=50&offset=0";
    let (mut down, pages) = world.fitbit_by_page(&tokens.access_token, query).await;
    down.reverse();
    assert_eq!((down == truth, pages), (true, 5));

    // A full last page is the last one all the same.
    let nth = |number: usize| text(&truth[number], "startTime")[..19].to_owned();
    let after = format!("afterDate={}&sort=asc&limit=30&offset=0", nth(200));
    let (rest, pages) = world.fitbit_by_page(&tokens.access_token, &after).await;
    assert_eq!((rest == truth[200..], pages), (true, 1));
    let before = format!("beforeDate={}&sort=desc&limit=100&offset=0", nth(7));
    let (rest, _) = world.fitbit_by_page(&tokens.access_token, &before).await;
    assert_eq!(rest.len(), 7);
}

#[tokio::test]
async fn a_list_without_bound_order_or_limit_is_a_validation_error() {
    let world = World::new().await;
    let (_, tokens) = world.fitbit_user();
    for (query, field) in [
        ("sort=asc&limit=10&offset=0", "date"),
        ("afterDate=2024-01-01&beforeDate=2025-01-01&sort=asc&limit=10&offset=0", "date"),
        ("afterDate=2024-01-01&sort=desc&limit=10&offset=0", "sort"),
        ("afterDate=2024-01-01&sort=asc&limit=101&offset=0", "limit"),
        ("afterDate=2024-01-01&sort=asc&limit=10", "offset"),
        ("afterDate=yesterday&sort=asc&limit=10&offset=0", "afterDate"),
    ] {
        let path = format!("1/user/-/activities/list.json?{query}");
        let (status, body) = json(world.fitbit(&tokens.access_token, &path).await).await;
        assert_eq!((status, &body["errors"][0]["fieldName"]), (400, &json!(field)), "{query}");
    }
}

#[tokio::test]
async fn activities_tell_offset_milliseconds_and_units() {
    let world = World::new().await;
    let (id, tokens) = world.fitbit_user();
    let truth = world.fitbit_truth(&id, FitbitLog::Activities);
    let mut offsets = HashSet::new();
    for activity in &truth {
        let start = DateTime::parse_from_rfc3339(text(activity, "startTime")).unwrap();
        offsets.insert(start.offset().local_minus_utc());
        let modified = DateTime::parse_from_rfc3339(text(activity, "lastModified")).unwrap();
        let duration_ms = activity["duration"].as_i64().unwrap();
        assert!(duration_ms >= 600_000 && modified > start, "{activity}");
        if let Some(km) = activity["distance"].as_f64() {
            assert_eq!(activity["distanceUnit"], "Kilometer");
            let by_speed = activity["speed"].as_f64().unwrap() * duration_ms_to_hours(duration_ms);
            assert!((km - by_speed).abs() < 0.01, "{activity}");
        }
    }
    // Journeys and daylight saving.
    assert!(offsets.len() > 2, "{offsets:?}");
    assert!(truth.iter().any(|one| one.get("distance").is_none()));
    assert!(truth.iter().any(|one| one["logType"] == "manual" && one.get("source").is_none()));
    // No double holds these numbers.
    assert!(truth.iter().all(|one| one["logId"].as_u64().unwrap() > 1_u64 << 53));

    let path = format!("/fitbit/1/user/-/activities/list.json?{ALL_ACTIVITIES}");
    let request = world.http.get(world.url(&path)).bearer_auth(&tokens.access_token);
    let body = json(request.header("accept-language", "en_US").send().await.unwrap()).await.1;
    for (told, kept) in body["activities"].as_array().unwrap().iter().zip(&truth) {
        assert_eq!(told["logId"], kept["logId"]);
        if let Some(km) = kept["distance"].as_f64() {
            assert_eq!(told["distanceUnit"], "Mile");
            assert!((told["distance"].as_f64().unwrap() * 1.609_344 - km).abs() < 0.001);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "hours of an activity")]
fn duration_ms_to_hours(duration_ms: i64) -> f64 {
    duration_ms as f64 / 3_600_000.0
}

#[tokio::test]
async fn a_sleep_belongs_to_the_day_of_waking_and_its_times_are_those_of_the_profiles_zone() {
    let world = World::with(Config { seed: 3, ..Config::default() }).await;
    let (id, tokens) = world.fitbit_user();
    let profile = json(world.fitbit(&tokens.access_token, "1/user/-/profile.json").await).await.1;
    let zone: Tz = text(&profile["user"], "timezone").parse().unwrap();
    assert_eq!(profile["user"]["encodedId"], json!(id));
    assert_eq!(world.sim().fitbit_user(&id).unwrap().timezone, zone.name());
    let (mut naps, mut over_midnight) = (0, 0);
    for sleep in world.fitbit_truth(&id, FitbitLog::Sleep) {
        let read = |field| text(&sleep, field).parse::<NaiveDateTime>().unwrap();
        let (start, end) = (read("startTime"), read("endTime"));
        assert_eq!(end.date().to_string(), text(&sleep, "dateOfSleep"));
        over_midnight += usize::from(start.date() < end.date());
        naps += usize::from(sleep["isMainSleep"] == false);
        let instant = |local: NaiveDateTime| local.and_local_timezone(zone).earliest();
        if let (Some(from), Some(to)) = (instant(start), instant(end)) {
            let told = sleep["duration"].as_i64().unwrap();
            let apart = ((to - from).num_milliseconds() - told).abs();
            // Of an hour that comes twice, a wall does not say which.
            assert!(apart == 0 || apart == 3_600_000, "{sleep}");
        }
        let minutes =
            sleep["minutesAsleep"].as_i64().unwrap() + sleep["minutesAwake"].as_i64().unwrap();
        assert_eq!(minutes, sleep["timeInBed"].as_i64().unwrap());
        let classic = sleep["type"] == "classic";
        assert_eq!(classic, sleep["levels"].get("shortData").is_none(), "{sleep}");
    }
    assert!(naps > 3 && over_midnight > 100, "{naps} {over_midnight}");
}

#[tokio::test]
async fn the_same_seed_is_the_same_life_everywhere() {
    let (one, two) =
        (World::new().await, World::with(Config { seed: 9, ..Config::default() }).await);
    let ((first, _), (second, _)) = (one.fitbit_user(), two.fitbit_user());
    for log in FitbitLog::ALL {
        assert_eq!(one.fitbit_truth(&first, log), two.fitbit_truth(&second, log));
    }
    let population = FitbitPopulation { seed: Some(8), ..FitbitPopulation::default() };
    let other = two.sim().add_fitbit_user(&population).unwrap();
    assert_ne!(
        two.fitbit_truth(&other, FitbitLog::Weight),
        two.fitbit_truth(&second, FitbitLog::Weight)
    );
}
