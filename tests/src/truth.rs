//! What is stored against what the simulated world holds, field by field. Its own reading of Strava's
//! JSON, written from the documentation and not from the application's mapping.

use crate::stack::User;
use chrono::{DateTime, NaiveDateTime, Utc};
use paceline_shared::db::Db;
use paceline_simulator::{Simulator, StartRange};
use serde_json::Value;
use std::collections::HashMap;

/// What a comparison expects of the derived values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Every record with a position has its weather.
    pub weather: bool,
    /// Every record near a town has its place.
    pub places: bool,
}

/// All there is.
pub const WHOLE: Expect = Expect { weather: true, places: true };
/// Neither weather nor places.
pub const BARE: Expect = Expect { weather: false, places: false };

/// How many records were compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Stored, and in the world.
    pub records: usize,
    /// With weather.
    pub weather: usize,
    /// With a place's name.
    pub places: usize,
}

/// A stored record.
#[derive(Debug, sqlx::FromRow)]
#[expect(missing_docs, reason = "the columns, each with its comment in the migration")]
pub struct Stored {
    pub provider_record_id: String,
    pub name: String,
    pub sport_type: String,
    pub distance_m: Option<f64>,
    pub moving_time_s: Option<i32>,
    pub elapsed_time_s: Option<i32>,
    pub elevation_gain_m: Option<f32>,
    pub average_speed_mps: Option<f32>,
    pub max_speed_mps: Option<f32>,
    pub average_heart_rate_bpm: Option<f32>,
    pub max_heart_rate_bpm: Option<f32>,
    pub start_at: DateTime<Utc>,
    pub start_local: NaiveDateTime,
    pub zone: Option<String>,
    pub utc_offset_s: Option<i32>,
    pub start_lat: Option<f64>,
    pub start_lon: Option<f64>,
    pub end_lat: Option<f64>,
    pub end_lon: Option<f64>,
    pub place_status: String,
    pub city: Option<String>,
    pub state: Option<String>,
    pub country: Option<String>,
    pub place_distance_m: Option<f32>,
    pub weather_status: String,
    pub temperature_c: Option<f32>,
    pub feels_like_c: Option<f32>,
    pub humidity_pct: Option<f32>,
    pub pressure_hpa: Option<f32>,
    pub wind_speed_mps: Option<f32>,
    pub wind_direction_deg: Option<f32>,
    pub condition: Option<String>,
    pub visibility_m: Option<f32>,
    pub uv_index: Option<f32>,
    pub provenance: Value,
    pub version: i32,
    pub deleted_at: Option<DateTime<Utc>>,
    pub sync_job_id: uuid::Uuid,
}

/// All records of a user, oldest first.
pub async fn stored(db: &Db, user: &User) -> Vec<Stored> {
    sqlx::query_as(
        "select * from paceline.activities where user_id = $1 order by start_at, provider_record_id",
    )
    .bind(user.id.0)
    .fetch_all(db)
    .await
    .expect("reading activities")
}

/// Compares every record of a user with the world's activities in `range`, both ways.
///
/// Panics at the first difference.
pub async fn compare(
    db: &Db,
    world: &Simulator,
    user: &User,
    range: StartRange,
    expect: Expect,
) -> Tally {
    let page = world.activities(user.athlete, range, 0, usize::MAX).expect("the truth");
    let texts: Vec<&str> = page.activities.iter().map(|raw| raw.get()).collect();
    let rows = stored(db, user).await;
    assert_eq!(rows.len(), texts.len(), "records stored, and records there are");
    let rows: HashMap<&str, &Stored> =
        rows.iter().map(|row| (row.provider_record_id.as_str(), row)).collect();
    let mut tally = Tally { records: texts.len(), ..Tally::default() };
    for text in &texts {
        let truth: Value = serde_json::from_str(text).expect("JSON");
        let id = truth["id"].to_string();
        let row = rows.get(id.as_str()).unwrap_or_else(|| panic!("{id} is not stored"));
        same_record(&id, row, &truth);
        tally.weather += usize::from(same_weather(&id, row, world, expect));
        tally.places += usize::from(plausible_place(&id, row, expect));
    }
    // In Postgres, because numbers of 21 digits survive there.
    let changed: Vec<String> = sqlx::query_scalar(
        "select a.provider_record_id from unnest($2::text[]) as t(body)
           join paceline.activities a on a.provider_record_id = t.body::jsonb ->> 'id'
          where a.user_id = $1 and a.payload is distinct from t.body::jsonb",
    )
    .bind(user.id.0)
    .bind(&texts)
    .fetch_all(db)
    .await
    .expect("comparing payloads");
    assert_eq!(changed, <[String; 0]>::default(), "payloads that are not what the provider sent");
    tally
}

fn same_record(id: &str, row: &Stored, truth: &Value) {
    let number = |field: &str| truth[field].as_f64();
    let whole = |field: &str| truth[field].as_i64().and_then(|n| i32::try_from(n).ok());
    assert_eq!(row.name, truth["name"].as_str().unwrap_or_default(), "{id}: name");
    assert_eq!(Some(row.sport_type.as_str()), truth["sport_type"].as_str(), "{id}: sport");
    assert_eq!(row.distance_m, number("distance"), "{id}: distance");
    assert_eq!(row.moving_time_s, whole("moving_time"), "{id}: moving time");
    assert_eq!(row.elapsed_time_s, whole("elapsed_time"), "{id}: elapsed time");
    for (what, stored, field) in [
        ("elevation gain", row.elevation_gain_m, "total_elevation_gain"),
        ("average speed", row.average_speed_mps, "average_speed"),
        ("maximum speed", row.max_speed_mps, "max_speed"),
        ("average heart rate", row.average_heart_rate_bpm, "average_heartrate"),
        ("maximum heart rate", row.max_heart_rate_bpm, "max_heartrate"),
    ] {
        same_number(id, what, stored, number(field), 0.0);
    }
    let time =
        |field: &str| truth[field].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
    assert_eq!(Some(row.start_at), time("start_date"), "{id}: start");
    // Strava's local times wear a Z that means nothing.
    assert_eq!(
        Some(row.start_local),
        time("start_date_local").map(|t| t.naive_utc()),
        "{id}: local start"
    );
    let zone =
        truth["timezone"].as_str().and_then(|text| text.split_once(") ")).map(|(_, name)| name);
    assert_eq!(row.zone.as_deref(), zone, "{id}: zone");
    assert_eq!(row.utc_offset_s.map(f64::from), number("utc_offset"), "{id}: offset");
    let position = |field: &str| Some((truth[field][0].as_f64()?, truth[field][1].as_f64()?));
    assert_eq!(row.start_lat.zip(row.start_lon), position("start_latlng"), "{id}: start position");
    assert_eq!(row.end_lat.zip(row.end_lon), position("end_latlng"), "{id}: end position");
    assert_eq!(row.deleted_at, None, "{id}: it is there");
}

fn same_number(id: &str, what: &str, stored: Option<f32>, truth: Option<f64>, slack: f64) {
    let is_same = match (stored, truth) {
        (None, None) => true,
        (Some(stored), Some(truth)) => {
            (f64::from(stored) - truth).abs() <= slack + truth.abs() * f64::from(f32::EPSILON)
        }
        _ => false,
    };
    assert!(is_same, "{id}: {what} is stored as {stored:?} and is {truth:?}");
}

/// Whether the record has weather; it must be that of its cell and hour.
fn same_weather(id: &str, row: &Stored, world: &Simulator, expect: Expect) -> bool {
    let Some((lat, lon)) = row.start_lat.zip(row.start_lon) else {
        let nothing = if row.weather_status == "skipped" { "skipped" } else { "not_locatable" };
        assert_eq!(row.weather_status, nothing, "{id}: weather without a position");
        return false;
    };
    if expect.weather {
        assert_eq!(row.weather_status, "enriched", "{id}: weather");
    }
    if row.weather_status != "enriched" {
        assert_eq!((row.temperature_c, row.condition.as_deref()), (None, None), "{id}: no weather");
        return false;
    }
    let is = |variable: &str| world.weather(lat, lon, row.start_at, variable).expect("a variable");
    let in_both = [
        ("temperature", row.temperature_c, is("temperature_2m"), 0.05),
        ("felt temperature", row.feels_like_c, is("apparent_temperature"), 0.05),
        ("humidity", row.humidity_pct, is("relative_humidity_2m"), 0.5),
        ("pressure", row.pressure_hpa, is("surface_pressure"), 0.05),
        // Answers round to hundredths of m/s, the truth to tenths of km/h.
        ("wind", row.wind_speed_mps, is("wind_speed_10m") / 3.6, 0.03),
        ("wind direction", row.wind_direction_deg, is("wind_direction_10m"), 0.5),
    ];
    for (what, stored, truth, slack) in in_both {
        same_number(id, what, stored, Some(truth), slack);
    }
    assert_eq!(row.condition.as_deref(), Some(word_for(is("weather_code"))), "{id}: condition");
    let model = row.provenance["weather"]["model"].as_str();
    match model {
        // What the archive lacks is absent and not guessed.
        Some("archive") => assert_eq!((row.visibility_m, row.uv_index), (None, None), "{id}"),
        Some("forecast") => {
            same_number(id, "visibility", row.visibility_m, Some(is("visibility")), 1.0);
            same_number(id, "UV index", row.uv_index, Some(is("uv_index")), 0.05);
        }
        other => panic!("{id}: weather from {other:?}"),
    }
    true
}

/// WMO code table 4677, the part that the weather service documents.
fn word_for(code: f64) -> &'static str {
    #[expect(clippy::cast_possible_truncation, reason = "two digits")]
    match code.round() as i64 {
        0 => "clear",
        1 => "mainly_clear",
        2 => "partly_cloudy",
        3 => "overcast",
        45 | 48 => "fog",
        51 | 53 | 55 => "drizzle",
        56 | 57 => "freezing_drizzle",
        61 | 63 | 65 => "rain",
        66 | 67 => "freezing_rain",
        71 | 73 | 75 => "snow",
        77 => "snow_grains",
        80..=82 => "rain_showers",
        85 | 86 => "snow_showers",
        95 => "thunderstorm",
        96 | 99 => "thunderstorm_with_hail",
        other => panic!("{other} is no weather code"),
    }
}

/// Whether the record has a place; it must look like one that is near.
fn plausible_place(id: &str, row: &Stored, expect: Expect) -> bool {
    if row.place_status != "enriched" {
        assert_eq!((&row.city, &row.country, row.place_distance_m), (&None, &None, None), "{id}");
        if expect.places {
            let reason = if row.start_lat.is_some() { "unavailable" } else { "not_locatable" };
            assert_eq!(row.place_status, reason, "{id}: place");
        }
        return false;
    }
    let (city, country) = row.city.as_deref().zip(row.country.as_deref()).expect("a place");
    assert!(!city.is_empty(), "{id}: the city has a name");
    assert!(
        country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase()),
        "{id}: {country}"
    );
    let distance = row.place_distance_m.expect("a distance");
    assert!((0.0..=30_000.0).contains(&distance), "{id}: {distance} m");
    true
}
