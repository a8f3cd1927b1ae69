//! Against a server that answers with what a test tells it and keeps what it was asked.

use super::*;
use crate::providers::http::HttpOptions;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, Uri},
};
use paceline_shared::db::weather_hours::Cell;
use serde_json::{Value, json};
use std::{sync::Mutex, time::Duration};

const BERLIN: Cell = Cell { lat: 525, lon: 134 };
const MUNICH: Cell = Cell { lat: 481, lon: 116 };

struct Fake {
    weather: Weather,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    async fn new(status: u16, said: impl ToString) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let state = (asked.clone(), status, said.to_string());
        let app = Router::new().fallback(answer).with_state(state);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let config = WeatherConfig {
            archive_base: format!("{base}/archive/"),
            forecast_base: format!("{base}/forecast"),
            ..WeatherConfig::default()
        };
        let options =
            HttpOptions { first_pause: Duration::from_millis(1), ..HttpOptions::default() };
        Self { weather: Weather::new(config, Http::new("open_meteo", options).unwrap()), asked }
    }

    /// Asks for these days, which must fit into one call.
    async fn fetch(&self, days: &[CellDay]) -> Result<Vec<Day>, WeatherError> {
        let calls = self.weather.plan(days, now());
        assert_eq!(calls.len(), 1);
        self.weather.fetch(&calls[0]).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

type Script = (Arc<Mutex<Vec<String>>>, u16, String);

async fn answer(State((asked, status, said)): State<Script>, uri: Uri) -> (StatusCode, String) {
    asked.lock().unwrap().push(uri.to_string());
    (StatusCode::from_u16(status).unwrap(), said)
}

fn now() -> DateTime<Utc> {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn at(cell: Cell, day: &str) -> CellDay {
    CellDay { cell, day: day.parse().unwrap() }
}

/// An answer for a place: every variable counts up by one an hour, from a start of its own.
fn place(lat: f64, lon: f64, first: &str, hours: i64) -> Value {
    let first: NaiveDate = first.parse().unwrap();
    let first = first.and_hms_opt(0, 0, 0).unwrap().and_utc().timestamp();
    let mut hourly =
        json!({"time": (0..hours).map(|hour| first + hour * 3600).collect::<Vec<_>>()});
    for (n, name) in (0_i64..).zip(COMMON.iter().chain(&FORECAST_ONLY)) {
        hourly[*name] = (0..hours).map(|hour| n * 1000 + hour).collect();
    }
    json!({"latitude": lat, "longitude": lon, "generationtime_ms": 0.6, "utc_offset_seconds": 0,
        "timezone": "GMT", "timezone_abbreviation": "GMT", "elevation": 38.0,
        "hourly_units": {"time": "unixtime", "wind_speed_10m": "m/s"}, "hourly": hourly})
}

#[tokio::test]
async fn one_place_is_an_object_and_only_the_wanted_days_are_kept() {
    let fake = Fake::new(200, place(52.5483, 13.407_822, "2023-08-01", 72)).await;
    let wanted = [at(BERLIN, "2023-08-03"), at(BERLIN, "2023-08-01")];
    let days = fake.fetch(&wanted).await.unwrap();
    assert_eq!(days.iter().map(|day| day.at).collect::<Vec<_>>(), [wanted[1], wanted[0]]);
    assert_eq!(days[0].source, Source::Archive);
    // Temperature, felt, humidity, pressure, wind speed, wind direction, code.
    let five = days[1].hours[5].map(f64::from).map(|value| value.to_string());
    assert_eq!(five, ["53", "1053", "2053", "3053", "4053", "5053", "6053", "7053", "8053"]);
    assert_eq!(
        fake.asked(),
        [
            "/archive/v1/archive?latitude=52.5&longitude=13.4&start_date=2023-08-01&end_date=2023-08-03\
          &hourly=temperature_2m%2Capparent_temperature%2Crelative_humidity_2m%2Csurface_pressure\
          %2Cwind_speed_10m%2Cwind_direction_10m%2Cweather_code\
          &timeformat=unixtime&timezone=GMT&wind_speed_unit=ms"
        ]
    );
}

#[tokio::test]
async fn several_places_are_an_array_in_the_order_asked() {
    let munich = place(48.119_507, 11.5, "2026-11-20", 48);
    let berlin = place(52.5483, 13.407_822, "2026-11-01", 24);
    let fake = Fake::new(200, json!([munich, berlin])).await;
    let wanted = [at(BERLIN, "2026-11-01"), at(MUNICH, "2026-11-20"), at(MUNICH, "2026-11-21")];
    let before = Utc::now();
    let days = fake.fetch(&wanted).await.unwrap();
    assert_eq!(
        days.iter().map(|day| day.at).collect::<Vec<_>>(),
        [wanted[1], wanted[2], wanted[0]]
    );
    assert!(days.iter().all(|day| day.source == Source::Forecast && day.fetched_at >= before));
    let asked = &fake.asked()[0];
    assert!(asked.starts_with("/forecast/v1/forecast?latitude=48.1%2C52.5&longitude=11.6%2C13.4"));
    assert!(
        asked.contains("&start_date=2026-11-20%2C2026-11-01&end_date=2026-11-21%2C2026-11-01&")
    );
    assert!(asked.contains("%2Cvisibility%2Cuv_index&"), "{asked}");
}

#[tokio::test]
async fn an_answer_about_other_places_is_refused() {
    let munich = place(48.119_507, 11.5, "2023-08-01", 24);
    let berlin = place(52.5483, 13.407_822, "2023-08-01", 24);
    let wanted = [at(BERLIN, "2023-08-01"), at(MUNICH, "2023-08-01")];
    for said in
        [json!([berlin, munich]), json!([munich]), json!([munich, berlin, berlin]), json!([])]
    {
        let fake = Fake::new(200, &said).await;
        let fetched = fake.fetch(&wanted).await;
        assert!(matches!(fetched, Err(WeatherError::Refused(_))), "{said}");
    }
}

#[tokio::test]
async fn a_missing_value_is_nan_and_a_missing_variable_all_nan() {
    let mut said = place(52.5, 13.4, "2023-08-01", 24);
    said["hourly"]["temperature_2m"][3] = Value::Null;
    said["hourly"]["weather_code"] = json!([1, null]);
    said["hourly"].as_object_mut().unwrap().remove("visibility");
    let fake = Fake::new(200, said).await;
    let days = fake.fetch(&[at(BERLIN, "2023-08-01")]).await.unwrap();
    let hours = &days[0].hours;
    assert!(hours[3][0].is_nan() && hours[1][6].is_nan() && hours[7][6].is_nan());
    assert!(hours.iter().all(|hour| hour[7].is_nan()));
    assert_eq!((hours[4][0], hours[0][6]), (4.0, 1.0));
}

#[tokio::test]
async fn a_day_that_the_archive_does_not_have_yet_stays_unknown() {
    let mut said = place(52.5, 13.4, "2023-08-01", 72);
    for hour in 24..48 {
        said["hourly"]["temperature_2m"][hour] = Value::Null;
    }
    let wanted = ["2023-08-01", "2023-08-02", "2023-08-03"].map(|day| at(BERLIN, day));
    let days = Fake::new(200, said).await.fetch(&wanted).await.unwrap();
    assert_eq!(days.iter().map(|day| day.at).collect::<Vec<_>>(), [wanted[0], wanted[2]]);
}

#[tokio::test]
async fn a_day_of_fewer_than_24_hours_stays_unknown() {
    let wanted = ["2023-08-01", "2023-08-02"].map(|day| at(BERLIN, day));
    let fake = Fake::new(200, place(52.5, 13.4, "2023-08-01", 47)).await;
    let days = fake.fetch(&wanted).await.unwrap();
    assert_eq!(days.iter().map(|day| day.at).collect::<Vec<_>>(), [wanted[0]]);
    let fake = Fake::new(200, place(52.5, 13.4, "2023-07-01", 48)).await;
    assert!(fake.fetch(&wanted).await.unwrap().is_empty(), "another month");
}

#[tokio::test]
async fn each_quota_has_its_wait() {
    let wanted = [at(BERLIN, "2023-08-01")];
    for (reason, waits, longest_s) in [
        ("Minutely API request limit exceeded. Please try again in one minute.", true, 65),
        ("Too many concurrent requests", true, 5),
        ("", true, 65),
        ("Hourly API request limit exceeded. Please try again in the next hour.", false, 3605),
        ("Daily API request limit exceeded. Please try again tomorrow.", false, 86_405),
    ] {
        let fake = Fake::new(429, json!({"error": true, "reason": reason})).await;
        let (after_s, a_minute) = match fake.fetch(&wanted).await.unwrap_err() {
            WeatherError::Wait { after } => (after.as_secs(), true),
            WeatherError::QuotaSpent { until } => {
                ((until - Utc::now()).to_std().unwrap_or_default().as_secs(), false)
            }
            error => panic!("{error}"),
        };
        assert_eq!((a_minute, fake.asked().len()), (waits, 1));
        assert!((0..=longest_s).contains(&after_s), "{reason}: {after_s}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_and_trouble_is_repeated() {
    let wanted = [at(BERLIN, "2023-08-01")];
    let reason = "Parameter 'start_date' is out of allowed range";
    let fake = Fake::new(400, json!({"error": true, "reason": reason})).await;
    let Err(WeatherError::Refused(detail)) = fake.fetch(&wanted).await else { panic!() };
    assert!(detail.message.ends_with(reason), "{}", detail.message);
    assert_eq!((detail.endpoint.as_str(), fake.asked().len()), ("v1/archive", 1));
    let cut = &place(52.5, 13.4, "2023-08-01", 24).to_string()[..300];
    for (status, said) in [(500, ""), (502, "<html>"), (200, "<html>"), (200, ""), (200, cut)] {
        let fake = Fake::new(status, said).await;
        let fetched = fake.fetch(&wanted).await;
        assert!(matches!(fetched, Err(WeatherError::Unavailable(_))), "{status} {said}");
        assert_eq!(fake.asked().len(), 5);
    }
}

#[test]
fn the_longest_url_is_one_that_proxies_let_pass() {
    let weather = Weather::new(
        WeatherConfig { locations_per_call: usize::MAX, ..WeatherConfig::default() },
        Http::new("open_meteo", HttpOptions::default()).unwrap(),
    );
    let wanted: Vec<_> =
        (0..400).map(|n| at(Cell { lat: -899, lon: -1799 + n }, "2026-11-01")).collect();
    let calls = weather.plan(&wanted, now());
    let query = query(&calls[0]);
    let url = reqwest::Url::parse_with_params(
        "https://customer-archive-api.open-meteo.com/v1/archive",
        &query,
    );
    let url = url.unwrap();
    assert!(calls[0].days().count() > 100 && url.as_str().len() < 8_000, "{}", url.as_str().len());
}
