//! Open-Meteo's hosts over HTTP.

use chrono::{DateTime, NaiveDateTime, Utc};
use paceline_simulator::{ClockSetting, Config, WeatherQuota};
use serde_json::{Value, json};

use crate::client::{World, json};

const ARCHIVE: &str = "/open-meteo/archive/v1/archive";
const FORECAST: &str = "/open-meteo/forecast/v1/forecast";
const HISTORICAL: &str = "/open-meteo/historical-forecast/v1/forecast";

/// A world that stands at noon of 21 November 2026.
async fn noon(quota: WeatherQuota) -> World {
    let clock = ClockSetting::Fixed("2026-11-21T12:00:00Z".parse().unwrap());
    World::with(Config { clock, weather_quota: quota, ..Config::default() }).await
}

async fn ask(world: &World, host: &str, query: &str) -> (u16, Value) {
    json(world.get(&format!("{host}?{query}")).await).await
}

fn utc(text: &Value) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text.as_str().unwrap(), "%Y-%m-%dT%H:%M").unwrap().and_utc()
}

#[tokio::test]
async fn one_location_is_an_object_with_the_truth_hour_by_hour() {
    let world = noon(WeatherQuota::UNLIMITED).await;
    let names = "temperature_2m,relative_humidity_2m,apparent_temperature,precipitation,weather_code,\
        surface_pressure,wind_speed_10m,wind_direction_10m,cloud_cover";
    let query = format!(
        "latitude=52.52&longitude=13.41&start_date=2023-08-01&end_date=2023-08-02&hourly={names}"
    );
    let (status, answer) = ask(&world, ARCHIVE, &query).await;
    assert_eq!(status, 200);
    assert_eq!((&answer["timezone"], &answer["utc_offset_seconds"]), (&json!("GMT"), &json!(0)));
    assert!(answer.get("location_id").is_none());
    // A grid point near by, not what was asked for.
    let latitude = answer["latitude"].as_f64().unwrap();
    assert!((latitude - 52.5).abs() < 0.05 && answer["latitude"] != 52.52);
    assert_eq!(answer["hourly_units"]["wind_speed_10m"], "km/h");
    assert_eq!(answer["hourly_units"]["time"], "iso8601");
    let times = answer["hourly"]["time"].as_array().unwrap();
    assert_eq!(
        (times.len(), &times[0], &times[47]),
        (48, &json!("2023-08-01T00:00"), &json!("2023-08-02T23:00"))
    );
    for name in names.split(',') {
        let values = answer["hourly"][name].as_array().unwrap();
        for (time, value) in times.iter().zip(values) {
            let truth = world.sim().weather(52.52, 13.41, utc(time), name).unwrap();
            assert_eq!(value.as_f64().unwrap().to_bits(), truth.to_bits(), "{name} at {time}");
        }
    }
}

#[tokio::test]
async fn several_locations_are_an_array_numbered_from_the_second_with_a_range_each() {
    let world = noon(WeatherQuota::UNLIMITED).await;
    let query = "latitude=52.52,48.1&longitude=13.41,9.3&hourly=temperature_2m\
        &start_date=2023-08-01,2024-01-05&end_date=2023-08-01,2024-01-07";
    let (status, answer) = ask(&world, ARCHIVE, query).await;
    assert_eq!(status, 200);
    let list = answer.as_array().unwrap();
    assert_eq!(list.len(), 2);
    assert!(list[0].get("location_id").is_none());
    assert_eq!(list[1]["location_id"], 1);
    assert_eq!(list[0]["hourly"]["time"].as_array().unwrap().len(), 24);
    assert_eq!(list[1]["hourly"]["time"].as_array().unwrap().len(), 72);
    assert_eq!(list[1]["hourly"]["time"][0], "2024-01-05T00:00");

    let shared = "latitude=52.52&latitude=48.1&longitude=13.41&longitude=9.3&hourly=temperature_2m\
        &start_date=2023-08-01&end_date=2023-08-01";
    let (_, repeated) = ask(&world, ARCHIVE, shared).await;
    assert_eq!(repeated[0]["hourly"], list[0]["hourly"]);
    assert_eq!(repeated[1]["hourly"]["time"], list[0]["hourly"]["time"]);
}

#[tokio::test]
async fn units_and_time_formats_are_the_ones_asked_for() {
    let world = noon(WeatherQuota::UNLIMITED).await;
    let base = "latitude=52.52&longitude=13.41&start_date=2024-07-01&end_date=2024-07-01\
        &hourly=temperature_2m,wind_speed_10m";
    let (_, metric) = ask(&world, ARCHIVE, base).await;
    let query =
        format!("{base}&timeformat=unixtime&wind_speed_unit=ms&temperature_unit=fahrenheit");
    let (_, other) = ask(&world, ARCHIVE, &query).await;
    assert_eq!(other["hourly"]["time"][1], 1_719_795_600);
    let units = json!({ "time": "unixtime", "temperature_2m": "°F", "wind_speed_10m": "m/s" });
    assert_eq!(other["hourly_units"], units);
    let first = |answer: &Value, name: &str| answer["hourly"][name][0].as_f64().unwrap();
    let celsius = (first(&other, "temperature_2m") - 32.0) / 1.8;
    assert!((celsius - first(&metric, "temperature_2m")).abs() < 0.11);
    let kmh = first(&other, "wind_speed_10m") * 3.6;
    assert!((kmh - first(&metric, "wind_speed_10m")).abs() < 0.11);

    let (_, local) = ask(&world, ARCHIVE, &format!("{base}&timezone=auto")).await;
    assert_eq!(
        (&local["timezone"], &local["utc_offset_seconds"]),
        (&json!("Europe/Berlin"), &json!(3600))
    );
    assert_eq!(local["hourly"]["time"][0], "2024-07-01T00:00");
    assert_eq!(local["hourly"]["temperature_2m"][1], metric["hourly"]["temperature_2m"][0]);
}

#[tokio::test]
async fn the_archive_lies_five_days_behind_and_has_no_visibility() {
    let world = noon(WeatherQuota::UNLIMITED).await;
    let query = "latitude=52.52&longitude=13.41&start_date=2026-11-16&end_date=2026-11-17\
        &hourly=temperature_2m,visibility,uv_index";
    let (status, archive) = ask(&world, ARCHIVE, query).await;
    assert_eq!(status, 200);
    let temperatures = archive["hourly"]["temperature_2m"].as_array().unwrap();
    assert!(temperatures[..24].iter().all(Value::is_number), "{temperatures:?}");
    assert!(temperatures[24..].iter().all(Value::is_null), "{temperatures:?}");
    assert_eq!(archive["hourly_units"]["visibility"], "undefined");
    assert!(archive["hourly"]["uv_index"].as_array().unwrap().iter().all(Value::is_null));

    let (_, forecast) = ask(&world, FORECAST, query).await;
    assert_eq!(forecast["hourly_units"]["visibility"], "m");
    for name in ["temperature_2m", "visibility", "uv_index"] {
        let values = forecast["hourly"][name].as_array().unwrap();
        assert_eq!(values.len(), 48);
        assert!(values.iter().all(Value::is_number), "{name}");
    }
    assert_eq!(forecast["hourly"]["temperature_2m"][3], temperatures[3]);

    let query = query.replace("2026-11-16", "2021-03-22").replace("2026-11-17", "2021-03-23");
    let (_, historical) = ask(&world, HISTORICAL, &query).await;
    let values = historical["hourly"]["uv_index"].as_array().unwrap();
    assert!(values[..24].iter().all(Value::is_null) && values[24..].iter().all(Value::is_number));
}

#[tokio::test]
async fn what_cannot_be_answered_is_a_400_with_its_reason() {
    let world = noon(WeatherQuota::UNLIMITED).await;
    let span = "start_date=2026-11-01&end_date=2026-11-02";
    let here = "latitude=52.52&longitude=13.41";
    let many = vec!["1"; 1001].join(",");
    for (host, query, reason) in [
        (
            ARCHIVE,
            format!("{here}&{span}&hourly=tempeture_2m"),
            "Cannot initialize WeatherVariable from invalid String value tempeture_2m for key hourly",
        ),
        (
            ARCHIVE,
            format!("{here}&start_date=2026-11-20&end_date=2026-11-22"),
            "Parameter 'end_date' is out of allowed range from 1940-01-01 to 2026-11-21",
        ),
        (
            FORECAST,
            format!("{here}&start_date=2026-08-20&end_date=2026-08-22"),
            "Parameter 'start_date' is out of allowed range from 2026-08-21 to 2026-12-07",
        ),
        (
            FORECAST,
            format!("{here}&{span}&past_days=3"),
            "Parameter 'past_days' is mutually exclusive with 'start_date' and 'end_date'",
        ),
        (ARCHIVE, here.to_owned(), "Both 'start_date' and 'end_date' must be set in the url"),
        (
            ARCHIVE,
            format!("{here}&start_date=2026-11-02&end_date=2026-11-01"),
            "End-date must be larger or equals than start-date",
        ),
        (
            ARCHIVE,
            format!("latitude=1,2&longitude=1&{span}"),
            "Parameter 'latitude' and 'longitude' must have the same number of elements",
        ),
        (
            ARCHIVE,
            format!("latitude=1,2,3&longitude=1,2,3&{span}&{span}"),
            "Parameter 'start_date' and 'end_date' must have the same number of elements as coordinates",
        ),
        (
            ARCHIVE,
            format!("latitude={many}&longitude={many}&{span}"),
            "Parameter 'latitude' and 'longitude' must not exceed 1000 coordinates.",
        ),
        (
            ARCHIVE,
            format!("latitude=91&longitude=1&{span}"),
            "Latitude must be in range of -90 to 90°. Given: 91.0.",
        ),
        (ARCHIVE, span.to_owned(), "Parameter 'latitude' and 'longitude' must not be empty"),
        (ARCHIVE, format!("{here}&{span}&timezone=Mars/Base"), "Invalid timezone"),
        (FORECAST, format!("{here}&{span}&daily=sunrise"), "Parameter 'daily' is not simulated"),
    ] {
        assert_eq!(
            ask(&world, host, &query).await,
            (400, json!({ "error": true, "reason": reason }))
        );
    }
}

#[tokio::test]
async fn a_used_up_quota_is_a_429_that_names_its_window() {
    let quota = WeatherQuota { minute: 10.0, hour: 1000.0, day: 1000.0, concurrent: None };
    let world = noon(quota).await;
    // Two locations, two variables for 70 days: a tenth of the variables by five fortnights each.
    let query = "latitude=1,2&longitude=1,2&start_date=2024-01-01&end_date=2024-03-10\
        &hourly=temperature_2m,rain";
    for _ in 0..5 {
        assert_eq!(ask(&world, ARCHIVE, query).await.0, 200);
    }
    let reason = "Minutely API request limit exceeded. Please try again in one minute.";
    assert_eq!(
        ask(&world, ARCHIVE, query).await,
        (429, json!({ "error": true, "reason": reason }))
    );
    world.sim().advance_clock(60);
    assert_eq!(ask(&world, ARCHIVE, query).await.0, 200);
}

#[tokio::test]
async fn too_many_at_once_are_refused_when_that_is_limited() {
    let quota = WeatherQuota { concurrent: Some(1), ..WeatherQuota::UNLIMITED };
    let world = noon(quota).await;
    world.sim().set_latency(std::time::Duration::from_secs(2));
    let query = "latitude=1&longitude=1&start_date=2024-01-01&end_date=2024-01-01&hourly=rain";
    let (one, other) = tokio::join!(ask(&world, ARCHIVE, query), ask(&world, ARCHIVE, query));
    let mut statuses = [one.0, other.0];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429]);
    world.sim().set_latency(std::time::Duration::ZERO);
    assert_eq!(ask(&world, ARCHIVE, query).await.0, 200);
}
