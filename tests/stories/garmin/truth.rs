//! What is stored of a Garmin account against what the simulated world holds, field by field: a reading of its own,
//! from the documentation and not from the application's mapping.

use super::Person;
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, Utc};
use paceline_shared::db::Db;
use rust_decimal::Decimal;
use serde_json::Value;
use std::{collections::BTreeMap, str::FromStr as _};

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) activities: usize,
    pub(super) moves: usize,
    pub(super) days: usize,
    pub(super) nights: usize,
    pub(super) values: usize,
}

/// Everything.
pub(super) async fn compare(db: &Db, ann: &Person) -> Tally {
    let (days, nights) = compare_days(db, ann).await;
    Tally {
        activities: compare_activities(db, ann).await,
        moves: activities(db, ann, "moveIQActivities", &["moveIQActivities"]).await,
        days,
        nights,
        values: values(db, ann).await,
    }
}

#[derive(Debug, sqlx::FromRow)]
struct Done {
    provider_record_id: String,
    name: String,
    sport_type: String,
    distance_m: Option<f64>,
    moving_time_s: Option<i32>,
    elapsed_time_s: Option<i32>,
    elevation_gain_m: Option<f32>,
    average_speed_mps: Option<f32>,
    max_speed_mps: Option<f32>,
    average_heart_rate_bpm: Option<f32>,
    max_heart_rate_bpm: Option<f32>,
    energy_j: Option<f64>,
    steps: Option<i32>,
    start_at: DateTime<Utc>,
    start_local: NaiveDateTime,
    zone: Option<String>,
    utc_offset_s: Option<i32>,
    start_lat: Option<f64>,
    start_lon: Option<f64>,
    origin_provider: Option<String>,
    origin_record_id: Option<String>,
    payload: Value,
}

#[expect(clippy::cast_possible_truncation, reason = "as the column holds it")]
fn single(record: &Value, name: &str) -> Option<f32> {
    record[name].as_f64().map(|number| number as f32)
}

fn whole(record: &Value, name: &str) -> Option<i32> {
    record[name].as_i64().map(|number| i32::try_from(number).unwrap())
}

fn at(record: &Value, name: &str) -> DateTime<Utc> {
    DateTime::from_timestamp(record[name].as_i64().unwrap(), 0).unwrap()
}

fn id(record: &Value) -> String {
    record["summaryId"].as_str().unwrap().to_owned()
}

/// Joules, but for the last digit of a float.
fn is_energy(stored: Option<f64>, kilocalories: Option<f64>) -> bool {
    match (stored, kilocalories.map(|kilocalories| kilocalories * 4184.0)) {
        (Some(stored), Some(told)) => (stored - told).abs() < 1e-6 * told.max(1.0),
        (stored, told) => stored == told,
    }
}

/// Activities of both kinds; answers how many.
pub(super) async fn compare_activities(db: &Db, ann: &Person) -> usize {
    activities(db, ann, "activities", &["activities", "manuallyUpdatedActivities"]).await
}

async fn activities(db: &Db, ann: &Person, stream: &str, kinds: &[&str]) -> usize {
    let rows: Vec<Done> = sqlx::query_as(
        "select * from paceline.activities where user_id = $1 and provider = 'garmin' and stream = $2 and deleted_at is null",
    )
    .bind(ann.id)
    .bind(stream)
    .fetch_all(db)
    .await
    .unwrap();
    let rows: BTreeMap<&str, &Done> =
        rows.iter().map(|row| (row.provider_record_id.as_str(), row)).collect();
    let mut truth = BTreeMap::new();
    for kind in kinds {
        truth.extend(ann.all(kind).await.into_iter().map(|record| (id(&record), record)));
    }
    assert_eq!(rows.len(), truth.len(), "{stream}: stored, and there");
    for (id, record) in &truth {
        let row = rows.get(id.as_str()).unwrap_or_else(|| panic!("not stored: {record}"));
        assert_eq!(&row.payload, record, "the newest version");
        assert_eq!(row.name, record["activityName"].as_str().unwrap_or_default());
        assert_eq!(row.sport_type, record["activityType"].as_str().unwrap());
        assert_eq!(row.distance_m, record["distanceInMeters"].as_f64(), "{record}");
        let seconds = (row.moving_time_s, row.elapsed_time_s);
        assert_eq!(seconds, (None, whole(record, "durationInSeconds")), "{record}");
        assert_eq!(row.elevation_gain_m, single(record, "totalElevationGainInMeters"), "{record}");
        let speeds = (row.average_speed_mps, row.max_speed_mps);
        let [average, most] = ["averageSpeedInMetersPerSecond", "maxSpeedInMetersPerSecond"]
            .map(|name| single(record, name));
        assert_eq!(speeds, (average, most), "{record}");
        let beats = (row.average_heart_rate_bpm, row.max_heart_rate_bpm);
        let [average, most] = ["averageHeartRateInBeatsPerMinute", "maxHeartRateInBeatsPerMinute"]
            .map(|name| single(record, name));
        assert_eq!(beats, (average, most), "{record}");
        assert!(is_energy(row.energy_j, record["activeKilocalories"].as_f64()), "{record}");
        assert_eq!(row.steps, whole(record, "steps"), "{record}");
        let offset =
            if stream == "activities" { "startTimeOffsetInSeconds" } else { "offsetInSeconds" };
        let offset = record[offset].as_i64().unwrap();
        let start = at(record, "startTimeInSeconds");
        assert_eq!(row.start_at, start, "{record}");
        assert_eq!(row.start_local, start.naive_utc() + TimeDelta::seconds(offset), "{record}");
        assert_eq!((&row.zone, row.utc_offset_s.map(i64::from)), (&None, Some(offset)), "{record}");
        let place = (row.start_lat, row.start_lon);
        let told = (
            record["startingLatitudeInDegree"].as_f64(),
            record["startingLongitudeInDegree"].as_f64(),
        );
        assert_eq!(place, told, "{record}");
        let origin = record["activityId"].as_i64().map(|id| id.to_string());
        assert_eq!(row.origin_record_id, origin, "{record}");
        assert_eq!(row.origin_provider.as_deref(), origin.map(|_id| "garmin"), "{record}");
    }
    truth.len()
}

#[derive(Debug, sqlx::FromRow)]
struct Summed {
    provider_record_id: String,
    kind: String,
    day: NaiveDate,
    start_at: Option<DateTime<Utc>>,
    end_at: Option<DateTime<Utc>>,
    zone: Option<String>,
    utc_offset_s: Option<i32>,
    steps: Option<i32>,
    distance_m: Option<f64>,
    floors: Option<i32>,
    active_energy_j: Option<f64>,
    total_energy_j: Option<f64>,
    active_s: Option<i32>,
    intense_s: Option<i32>,
    resting_heart_rate_bpm: Option<f32>,
    average_heart_rate_bpm: Option<f32>,
    max_heart_rate_bpm: Option<f32>,
    average_stress: Option<f32>,
    asleep_s: Option<i32>,
    awake_s: Option<i32>,
    light_s: Option<i32>,
    deep_s: Option<i32>,
    rem_s: Option<i32>,
    sleep_score: Option<f32>,
    payload: Value,
}

/// Days and nights; answers how many of each.
pub(super) async fn compare_days(db: &Db, ann: &Person) -> (usize, usize) {
    (summaries(db, ann, "dailies", day).await, summaries(db, ann, "sleeps", night).await)
}

async fn summaries(db: &Db, ann: &Person, stream: &str, fields: fn(&Summed, &Value)) -> usize {
    let rows: Vec<Summed> = sqlx::query_as(
        "select * from paceline.daily_summaries where user_id = $1 and provider = 'garmin' and stream = $2 and deleted_at is null",
    )
    .bind(ann.id)
    .bind(stream)
    .fetch_all(db)
    .await
    .unwrap();
    let rows: BTreeMap<&str, &Summed> =
        rows.iter().map(|row| (row.provider_record_id.as_str(), row)).collect();
    let truth = ann.all(stream).await;
    assert_eq!(rows.len(), truth.len(), "{stream}: stored, and there");
    for record in &truth {
        let row = rows.get(id(record).as_str()).copied();
        let row = row.unwrap_or_else(|| panic!("not stored: {record}"));
        assert_eq!(&row.payload, record, "the newest version");
        assert_eq!(row.day.to_string(), record["calendarDate"].as_str().unwrap());
        let start = at(record, "startTimeInSeconds");
        assert_eq!((row.start_at, row.end_at), (Some(start), end(record)), "{record}");
        let offset = whole(record, "startTimeOffsetInSeconds");
        assert_eq!((&row.zone, row.utc_offset_s), (&None, offset), "{record}");
        fields(row, record);
    }
    truth.len()
}

/// A day ends when its duration is over; a night's duration leaves out what was spent awake, but its spans do not.
fn end(record: &Value) -> Option<DateTime<Utc>> {
    let seconds = match record["sleepLevelsMap"].as_object() {
        Some(levels) => {
            let spans = levels.values().flat_map(|spans| spans.as_array().unwrap());
            spans.map(|span| span["endTimeInSeconds"].as_i64().unwrap()).max()
        }
        None if record["validation"].is_null() => {
            Some(record["startTimeInSeconds"].as_i64()? + record["durationInSeconds"].as_i64()?)
        }
        None => None,
    };
    DateTime::from_timestamp(seconds?, 0)
}

fn day(row: &Summed, record: &Value) {
    assert_eq!(row.kind, "activity");
    assert_eq!(row.steps, whole(record, "steps"), "{record}");
    assert_eq!(row.distance_m, record["distanceInMeters"].as_f64(), "{record}");
    assert_eq!(row.floors, whole(record, "floorsClimbed"), "{record}");
    let (active, rest) =
        (record["activeKilocalories"].as_f64(), record["bmrKilocalories"].as_f64());
    assert!(is_energy(row.active_energy_j, active), "{record}");
    assert!(is_energy(row.total_energy_j, active.zip(rest).map(|(a, b)| a + b)), "{record}");
    assert_eq!(row.active_s, whole(record, "activeTimeInSeconds"), "{record}");
    let moderate = whole(record, "moderateIntensityDurationInSeconds");
    let vigorous = whole(record, "vigorousIntensityDurationInSeconds");
    let intense = moderate.zip(vigorous).map(|(a, b)| a + b).or(moderate).or(vigorous);
    assert_eq!(row.intense_s, intense, "{record}");
    assert_eq!(row.resting_heart_rate_bpm, single(record, "restingHeartRateInBeatsPerMinute"));
    assert_eq!(row.average_heart_rate_bpm, single(record, "averageHeartRateInBeatsPerMinute"));
    assert_eq!(row.max_heart_rate_bpm, single(record, "maxHeartRateInBeatsPerMinute"));
    let stress = single(record, "averageStressLevel").filter(|level| *level >= 0.0);
    assert_eq!(row.average_stress, stress, "{record}");
}

fn night(row: &Summed, record: &Value) {
    assert_eq!(row.kind, "sleep");
    let [deep, light, rem] =
        ["deepSleepDurationInSeconds", "lightSleepDurationInSeconds", "remSleepInSeconds"]
            .map(|name| whole(record, name));
    assert_eq!((row.deep_s, row.light_s, row.rem_s), (deep, light, rem), "{record}");
    let asleep: i32 = [deep, light, rem].into_iter().flatten().sum();
    assert_eq!(row.asleep_s, Some(asleep), "{record}");
    assert_eq!(row.awake_s, whole(record, "awakeDurationInSeconds"), "{record}");
    assert_eq!(row.sleep_score, single(&record["overallSleepScore"], "value"), "{record}");
}

#[derive(Debug, sqlx::FromRow)]
#[expect(clippy::struct_field_names, reason = "the columns")]
struct Measured {
    stream: String,
    provider_record_id: String,
    r#type: String,
    discriminator: String,
    value: Decimal,
    measured_at: DateTime<Utc>,
    measured_local: NaiveDateTime,
    utc_offset_s: Option<i32>,
    payload: Value,
}

/// Garmin's field, our word, and by how many digits the point moves.
const VALUES: [(&str, &str, &str, u32); 12] = [
    ("bodyComps", "weightInGrams", "weight", 3),
    ("bodyComps", "muscleMassInGrams", "muscle_mass", 3),
    ("bodyComps", "boneMassInGrams", "bone_mass", 3),
    ("bodyComps", "bodyWaterInPercent", "body_water", 0),
    ("bodyComps", "bodyFatInPercent", "body_fat", 0),
    ("bodyComps", "bodyMassIndex", "body_mass_index", 0),
    ("bloodPressures", "systolic", "blood_pressure_systolic", 0),
    ("bloodPressures", "diastolic", "blood_pressure_diastolic", 0),
    ("bloodPressures", "pulse", "heart_rate", 0),
    ("userMetrics", "vo2Max", "vo2max", 0),
    ("userMetrics", "vo2MaxCycling", "vo2max", 0),
    ("userMetrics", "fitnessAge", "fitness_age", 0),
];

/// The measured values; answers how many there are.
async fn values(db: &Db, ann: &Person) -> usize {
    let rows: Vec<Measured> = sqlx::query_as(
        "select stream, provider_record_id, type, discriminator, value, measured_at, measured_local, utc_offset_s, payload
           from paceline.measurements where user_id = $1 and provider = 'garmin' and deleted_at is null",
    )
    .bind(ann.id)
    .fetch_all(db)
    .await
    .unwrap();
    let mut stored: BTreeMap<(String, String, String, String), Measured> = rows
        .into_iter()
        .map(|row| {
            let id = (row.stream.clone(), row.provider_record_id.clone());
            ((id.0, id.1, row.r#type.clone(), row.discriminator.clone()), row)
        })
        .collect();
    let mut values = 0;
    for kind in ["bodyComps", "bloodPressures", "userMetrics"] {
        for record in ann.all(kind).await {
            for (_, field, word, digits) in VALUES.iter().filter(|(of, ..)| *of == kind) {
                if record[field].is_null() {
                    continue;
                }
                let apart = if *field == "vo2MaxCycling" { "cycling" } else { "" };
                let key = (kind.to_owned(), id(&record), (*word).to_owned(), apart.to_owned());
                let row = stored.remove(&key).unwrap_or_else(|| panic!("no {field}: {record}"));
                let told = Decimal::from_str(&record[field].to_string()).unwrap();
                assert_eq!(row.value * Decimal::from(10_i64.pow(*digits)), told, "{record}");
                assert_eq!(row.payload, record, "the newest version");
                when(&row, kind, &record);
                values += 1;
            }
        }
    }
    assert!(stored.is_empty(), "stored, and not there: {stored:?}");
    values
}

fn when(row: &Measured, kind: &str, record: &Value) {
    if kind == "userMetrics" {
        let day: NaiveDate = record["calendarDate"].as_str().unwrap().parse().unwrap();
        assert_eq!((row.measured_local.date(), row.utc_offset_s), (day, None), "{record}");
        return;
    }
    let offset = record["measurementTimeOffsetInSeconds"].as_i64().unwrap();
    let told = at(record, "measurementTimeInSeconds");
    assert_eq!(row.measured_at, told, "{record}");
    assert_eq!(row.measured_local, told.naive_utc() + TimeDelta::seconds(offset), "{record}");
    assert_eq!(row.utc_offset_s.map(i64::from), Some(offset), "{record}");
}
