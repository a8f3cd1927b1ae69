//! What is stored of a Withings account against what the simulated world holds, field by field: a reading of its own,
//! from the documentation and not from the application's mapping.

use super::Person;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::Tz;
use paceline_shared::db::Db;
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The types that are kept, as the documentation numbers them.
const NAMES: [(i64, &str); 35] = [
    (1, "weight"),
    (4, "height"),
    (5, "fat_free_mass"),
    (6, "body_fat"),
    (8, "fat_mass"),
    (9, "blood_pressure_diastolic"),
    (10, "blood_pressure_systolic"),
    (11, "heart_rate"),
    (12, "temperature"),
    (54, "spo2"),
    (71, "body_temperature"),
    (73, "skin_temperature"),
    (76, "muscle_mass"),
    (77, "hydration"),
    (88, "bone_mass"),
    (91, "pulse_wave_velocity"),
    (123, "vo2max"),
    (130, "afib_ecg"),
    (135, "qrs_interval"),
    (136, "pr_interval"),
    (137, "qt_interval"),
    (138, "corrected_qt_interval"),
    (155, "vascular_age"),
    (168, "extracellular_water"),
    (169, "intracellular_water"),
    (170, "visceral_fat"),
    (173, "segmental_fat_free_mass"),
    (174, "segmental_fat_mass"),
    (175, "segmental_muscle_mass"),
    (196, "electrodermal_activity"),
    (197, "electrodermal_activity"),
    (198, "electrodermal_activity"),
    (226, "basal_metabolic_rate"),
    (227, "metabolic_age"),
    (229, "skin_conductance"),
];

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) values: usize,
    pub(super) workouts: usize,
    pub(super) days: usize,
    pub(super) nights: usize,
}

/// Everything.
pub(super) async fn compare(db: &Db, ann: &Person) -> Tally {
    Tally {
        values: compare_measures(db, ann).await,
        workouts: workouts(db, ann).await,
        days: days(db, ann).await,
        nights: nights(db, ann).await,
    }
}

/// Rows of all tables that are marked as deleted.
pub(super) async fn tombstones(db: &Db, user: Uuid) -> i64 {
    sqlx::query_scalar(
        "select (select count(*) from paceline.measurements where user_id = $1 and deleted_at is not null)
              + (select count(*) from paceline.activities where user_id = $1 and deleted_at is not null)
              + (select count(*) from paceline.daily_summaries where user_id = $1 and deleted_at is not null)",
    )
    .bind(user)
    .fetch_one(db)
    .await
    .unwrap()
}

#[derive(Debug, sqlx::FromRow)]
struct ValueRow {
    provider_record_id: String,
    r#type: String,
    discriminator: String,
    value: Decimal,
    measured_at: DateTime<Utc>,
    measured_local: NaiveDateTime,
    zone: Option<String>,
    utc_offset_s: Option<i32>,
    provenance: Value,
}

/// The measured values; answers how many there are.
pub(super) async fn compare_measures(db: &Db, ann: &Person) -> usize {
    let zone: Tz = {
        let user = ann.of_world("GET", "", &Value::Null).await;
        user["timezone"].as_str().unwrap().parse().unwrap()
    };
    let rows: Vec<ValueRow> = sqlx::query_as(
        "select provider_record_id, type, discriminator, value, measured_at, measured_local, zone, utc_offset_s, provenance
           from paceline.measurements where user_id = $1 and deleted_at is null",
    )
    .bind(ann.id)
    .fetch_all(db)
    .await
    .unwrap();
    let mut stored: BTreeMap<(String, String, String), ValueRow> = rows
        .into_iter()
        .map(|row| {
            ((row.provider_record_id.clone(), row.r#type.clone(), row.discriminator.clone()), row)
        })
        .collect();
    let mut values = 0;
    for truth in ann.all("values").await {
        let number = truth["type"].as_i64().unwrap();
        let Some((_, name)) = NAMES.iter().find(|(known, _)| *known == number) else { continue };
        let at = DateTime::from_timestamp(truth["date"].as_i64().unwrap(), 0).unwrap();
        let foot = match number {
            197 => Some("left_foot".to_owned()),
            198 => Some("right_foot".to_owned()),
            _ => None,
        };
        let position = truth["position"].as_i64().map(|position| position.to_string());
        let apart = [foot, position].into_iter().flatten().collect::<Vec<_>>().join("/");
        let key = (format!("{}/{}", truth["grpid"], at.timestamp()), (*name).to_owned(), apart);
        let row = stored.remove(&key).unwrap_or_else(|| panic!("not stored: {truth}"));
        let unit = u32::try_from(-truth["unit"].as_i64().unwrap()).unwrap();
        assert_eq!(row.value, Decimal::new(truth["value"].as_i64().unwrap(), unit), "{truth}");
        let local = at.with_timezone(&zone);
        assert_eq!((row.measured_at, row.measured_local), (at, local.naive_local()), "{truth}");
        assert_eq!(row.zone.as_deref(), Some(zone.name()), "{truth}");
        let offset = local.naive_local() - at.naive_utc();
        assert_eq!(row.utc_offset_s.map(i64::from), Some(offset.num_seconds()), "{truth}");
        assert_eq!(row.provenance["attribution"], truth["attrib"], "{truth}");
        values += 1;
    }
    assert!(stored.is_empty(), "stored, and not there: {stored:?}");
    values
}

#[derive(Debug, sqlx::FromRow)]
struct Done {
    provider_record_id: String,
    sport_type: String,
    distance_m: Option<f64>,
    elapsed_time_s: Option<i32>,
    average_heart_rate_bpm: Option<f32>,
    max_heart_rate_bpm: Option<f32>,
    energy_j: Option<f64>,
    steps: Option<i32>,
    start_at: DateTime<Utc>,
    start_local: NaiveDateTime,
    zone: Option<String>,
}

/// A figure; `None` where it is absent, null, or 0 though it cannot be.
fn figure(data: &Value, name: &str) -> Option<f64> {
    let number = &data[name];
    number.as_f64().or_else(|| number.as_str()?.parse().ok())
}

async fn workouts(db: &Db, ann: &Person) -> usize {
    let rows: Vec<Done> = sqlx::query_as(
        "select * from paceline.activities where user_id = $1 and provider = 'withings' and deleted_at is null",
    )
    .bind(ann.id)
    .fetch_all(db)
    .await
    .unwrap();
    let truth = ann.all("workouts").await;
    assert_eq!(rows.len(), truth.len(), "workouts stored, and workouts there are");
    let rows: BTreeMap<&str, &Done> =
        rows.iter().map(|row| (row.provider_record_id.as_str(), row)).collect();
    for record in truth.iter().map(|truth| &truth["record"]) {
        let row = rows.get(record["id"].to_string().as_str());
        let row = row.unwrap_or_else(|| panic!("not stored: {record}"));
        let data = &record["data"];
        let word = match record["category"].as_i64().unwrap() {
            1 => "walk".to_owned(),
            2 => "run".to_owned(),
            6 => "bicycling".to_owned(),
            7 => "swimming".to_owned(),
            9042 => "category_9042".to_owned(),
            _ => row.sport_type.clone(),
        };
        assert_eq!(row.sport_type, word, "{record}");
        // A 0 says that there is nothing: what was written by hand counts then, if it is more.
        let by_hand = |name: &str| {
            let told = figure(data, name);
            let written = figure(data, &format!("manual_{name}"));
            [told, written].into_iter().flatten().find(|number| *number > 0.0).or(told)
        };
        assert_eq!(row.distance_m, by_hand("distance"), "{record}");
        let energy = by_hand("calories").map(|calories| calories * 4184.0);
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6 * b.abs().max(1.0);
        assert!(
            row.energy_j.zip(energy).map_or(row.energy_j == energy, |(a, b)| close(a, b)),
            "{record}: {:?}",
            row.energy_j
        );
        assert_eq!(row.steps.map(f64::from), figure(data, "steps"), "{record}");
        let beats = |name: &str| figure(data, name).filter(|beats| *beats > 0.0);
        assert_eq!(row.average_heart_rate_bpm.map(f64::from), beats("hr_average"), "{record}");
        assert_eq!(row.max_heart_rate_bpm.map(f64::from), beats("hr_max"), "{record}");
        let [start, end] = ["startdate", "enddate"].map(|name| record[name].as_i64().unwrap());
        assert_eq!(row.elapsed_time_s.map(i64::from), Some(end - start), "{record}");
        let zone: Tz = record["timezone"].as_str().unwrap().parse().unwrap();
        assert_eq!(row.start_at.timestamp(), start, "{record}");
        assert_eq!(row.start_local, row.start_at.with_timezone(&zone).naive_local(), "{record}");
        assert_eq!(row.zone.as_deref(), Some(zone.name()), "{record}");
    }
    truth.len()
}

#[derive(Debug, sqlx::FromRow)]
struct Summary {
    provider_record_id: String,
    day: NaiveDate,
    start_at: Option<DateTime<Utc>>,
    zone: Option<String>,
    steps: Option<i32>,
    distance_m: Option<f64>,
    floors: Option<i32>,
    active_energy_j: Option<f64>,
    total_energy_j: Option<f64>,
    active_s: Option<i32>,
    intense_s: Option<i32>,
    average_heart_rate_bpm: Option<f32>,
    asleep_s: Option<i32>,
    awake_s: Option<i32>,
    light_s: Option<i32>,
    deep_s: Option<i32>,
    rem_s: Option<i32>,
    sleep_score: Option<f32>,
}

async fn summaries(db: &Db, ann: &Person, kind: &str) -> BTreeMap<String, Summary> {
    let rows: Vec<Summary> = sqlx::query_as(
        "select * from paceline.daily_summaries where user_id = $1 and kind = $2 and deleted_at is null",
    )
    .bind(ann.id)
    .bind(kind)
    .fetch_all(db)
    .await
    .unwrap();
    rows.into_iter().map(|row| (row.provider_record_id.clone(), row)).collect()
}

fn joules(kilocalories: Option<f64>) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "some millions")]
    kilocalories.map(|calories| (calories * 4184.0).round() as i64)
}

#[expect(clippy::cast_possible_truncation, reason = "some millions")]
fn rounded(joules: Option<f64>) -> Option<i64> {
    joules.map(|joules| joules.round() as i64)
}

async fn days(db: &Db, ann: &Person) -> usize {
    let mut rows = summaries(db, ann, "activity").await;
    let truth = ann.all("activity").await;
    for record in truth.iter().map(|truth| &truth["record"]) {
        let date = record["date"].as_str().unwrap();
        let row = rows.remove(date).unwrap_or_else(|| panic!("not stored: {record}"));
        assert_eq!(row.day.to_string(), date);
        assert_eq!(row.zone.as_deref(), record["timezone"].as_str(), "{record}");
        assert_eq!(row.steps.map(f64::from), figure(record, "steps"), "{record}");
        assert_eq!(row.distance_m, figure(record, "distance"), "{record}");
        assert_eq!(row.floors.map(f64::from), figure(record, "elevation"), "{record}");
        assert_eq!(rounded(row.active_energy_j), joules(figure(record, "calories")), "{record}");
        assert_eq!(
            rounded(row.total_energy_j),
            joules(figure(record, "totalcalories")),
            "{record}"
        );
        assert_eq!(row.intense_s.map(f64::from), figure(record, "active"), "{record}");
        let active = figure(record, "active").zip(figure(record, "soft")).map(|(a, b)| a + b);
        assert_eq!(row.active_s.map(f64::from), active, "{record}");
        let beats = figure(record, "hr_average").filter(|beats| *beats > 0.0);
        assert_eq!(row.average_heart_rate_bpm.map(f64::from), beats, "{record}");
    }
    assert!(rows.is_empty(), "stored, and not there: {rows:?}");
    truth.len()
}

async fn nights(db: &Db, ann: &Person) -> usize {
    let mut rows = summaries(db, ann, "sleep").await;
    let truth = ann.all("sleep").await;
    for record in truth.iter().map(|truth| &truth["record"]) {
        let row = rows.remove(&record["id"].to_string());
        let row = row.unwrap_or_else(|| panic!("not stored: {record}"));
        let zone: Tz = record["timezone"].as_str().unwrap().parse().unwrap();
        let end = DateTime::from_timestamp(record["enddate"].as_i64().unwrap(), 0).unwrap();
        assert_eq!(row.day, end.with_timezone(&zone).date_naive(), "{record}");
        assert_eq!(row.day.to_string(), record["date"].as_str().unwrap(), "{record}");
        assert_eq!(row.start_at.map(|at| at.timestamp()), record["startdate"].as_i64(), "{record}");
        let data = &record["data"];
        let asleep = figure(data, "total_sleep_time").or_else(|| figure(data, "asleepduration"));
        assert_eq!(row.asleep_s.map(f64::from), asleep, "{record}");
        for (stored, name) in [
            (row.light_s, "lightsleepduration"),
            (row.deep_s, "deepsleepduration"),
            (row.rem_s, "remsleepduration"),
            (row.awake_s, "wakeupduration"),
        ] {
            assert_eq!(stored.map(f64::from), figure(data, name), "{name}: {record}");
        }
        assert_eq!(row.sleep_score.map(f64::from), figure(data, "sleep_score"), "{record}");
        let beats = figure(data, "hr_average").filter(|beats| *beats > 0.0);
        assert_eq!(row.average_heart_rate_bpm.map(f64::from), beats, "{record}");
    }
    assert!(rows.is_empty(), "stored, and not there: {rows:?}");
    truth.len()
}
