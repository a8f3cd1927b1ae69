//! The weather of past days from Open-Meteo (<https://open-meteo.com>, data CC BY 4.0).
//!
//! Its addresses, units, errors and quotas are here; which days go into which call is in `plan`,
//! what an answer says in `answer`, how fast calls may follow each other in `pace`. It knows neither activities nor the table of days.

mod answer;
mod pace;
mod plan;
#[cfg(test)]
mod tests;

pub use plan::{Call, reachable};

use crate::{
    places::great_circle_m,
    providers::{
        Detail,
        http::{Failure, Http, Refusal, after_window},
    },
};
use chrono::{DateTime, NaiveDate, Utc};
use pace::Pace;
use paceline_shared::db::weather_hours::{CellDay, Day, Source};
use reqwest::StatusCode;
use serde::Deserialize;
use std::{fmt::Display, num::NonZeroU32, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// The first day of the archive.
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1940, 1, 1).expect("a date");

/// Both halves have these.
const COMMON: [&str; 7] = [
    "temperature_2m",
    "apparent_temperature",
    "relative_humidity_2m",
    "surface_pressure",
    "wind_speed_10m",
    "wind_direction_10m",
    "weather_code",
];

/// The archive lacks these.
const FORECAST_ONLY: [&str; 2] = ["visibility", "uv_index"];

/// How far the service's grid point may lie from the cell that was asked for. Its coarsest model
/// has a point each 25 km or so, and at a coast it takes one on land.
const FARTHEST_GRID_POINT_M: f64 = 150_000.0;

/// Where the weather service is and how much it is asked at once.
#[derive(Clone, Debug)]
pub struct WeatherConfig {
    /// The host of the archive.
    pub archive_base: String,
    /// The host of the forecast, which also has the recent past.
    pub forecast_base: String,
    /// Locations a call; 150 at most.
    pub locations_per_call: usize,
    /// Days older than this come from the archive. The forecast host goes back 92 days, the archive
    /// is some days late.
    pub archive_after_days: u32,
    /// Calls at once. The service works on one call an address and queues six.
    pub concurrency: usize,
    /// Weighted calls a minute of this process; `None` asks as fast as it can. The free service
    /// allows an address 600.
    pub weight_per_minute: Option<NonZeroU32>,
}

impl Default for WeatherConfig {
    fn default() -> Self {
        Self {
            archive_base: "https://archive-api.open-meteo.com".to_owned(),
            forecast_base: "https://api.open-meteo.com".to_owned(),
            locations_per_call: 100,
            archive_after_days: 90,
            concurrency: 2,
            weight_per_minute: NonZeroU32::new(600),
        }
    }
}

/// Why there is no weather. None of these says that a day has none.
#[derive(Debug, thiserror::Error)]
pub enum WeatherError {
    /// The calls of this minute are spent, or too many run at once.
    #[error("the weather service asked to wait {after:?}")]
    Wait {
        /// How long until it may be asked again.
        after: Duration,
    },
    /// The calls of this hour or this day are spent.
    #[error("the weather service's quota is spent until {until}")]
    QuotaSpent {
        /// When to ask again.
        until: DateTime<Utc>,
    },
    /// No retry will better it.
    #[error("the weather service refused: {}", .0.message)]
    Refused(Detail),
    /// No answer, after the retries.
    #[error("the weather service is unavailable: {}", .0.message)]
    Unavailable(Detail),
}

/// A client of the weather service.
#[derive(Clone, Debug)]
pub struct Weather {
    config: WeatherConfig,
    http: Http,
    turns: Arc<Semaphore>,
    pace: Pace,
}

impl Weather {
    /// A client.
    #[must_use]
    pub fn new(config: WeatherConfig, http: Http) -> Self {
        let turns = Arc::new(Semaphore::new(config.concurrency.max(1)));
        let pace = Pace::new(config.weight_per_minute);
        Self { config, http, turns, pace }
    }

    /// The calls that buy `days` for the least of the quota, each day in one of them. Days that
    /// cannot be had ([`reachable`]) are in none.
    #[must_use]
    pub fn plan(&self, days: &[CellDay], now: DateTime<Utc>) -> Vec<Call> {
        plan::plan(&self.config, days, now)
    }

    /// Asks for the days of a call. Days that the service does not have yet are left out, so what is
    /// answered is known for good, but for the hours of today that had not ended.
    ///
    /// Temperatures in °C, wind in m/s, pressure in hPa, visibility in m.
    pub async fn fetch(&self, call: &Call) -> Result<Vec<Day>, WeatherError> {
        self.pace.take(call.weight()).map_err(|after| WeatherError::Wait { after })?;
        let _turn = self.turns.acquire().await;
        let (base, path) = match call.source {
            Source::Archive => (&self.config.archive_base, "v1/archive"),
            Source::Forecast => (&self.config.forecast_base, "v1/forecast"),
        };
        let url = format!("{}/{path}", base.trim_end_matches('/'));
        let query = query(call);
        let fetched_at = Utc::now();
        let answer = self
            .http
            .send(path, |http| http.get(&url).query(&query), answer::read)
            .await
            .map_err(failed)?;
        let locations = answer.data;
        let near = |(span, location): (&plan::Span, &answer::Location)| {
            great_circle_m(span.cell.centre(), location.position()) <= FARTHEST_GRID_POINT_M
        };
        if locations.len() != call.spans.len() || !call.spans.iter().zip(&locations).all(near) {
            let message = "the answer is about other places than the question".to_owned();
            let endpoint = path.to_owned();
            let detail = Detail { message, endpoint, status: Some(200), tries: 1, unsent: false };
            return Err(WeatherError::Refused(detail));
        }
        Ok(answer::days(call, &locations, fetched_at))
    }
}

fn variables(source: Source) -> impl Iterator<Item = &'static str> {
    let more: &[_] = match source {
        Source::Archive => &[],
        Source::Forecast => &FORECAST_ONLY,
    };
    COMMON.iter().chain(more).copied()
}

fn query(call: &Call) -> [(&'static str, String); 8] {
    let list = |of: &dyn Fn(&plan::Span) -> String| join(call.spans.iter().map(of));
    [
        ("latitude", list(&|span| span.cell.centre().lat.to_string())),
        ("longitude", list(&|span| span.cell.centre().lon.to_string())),
        ("start_date", list(&|span| span.first().to_string())),
        ("end_date", list(&|span| span.last().to_string())),
        ("hourly", join(variables(call.source))),
        ("timeformat", "unixtime".to_owned()),
        ("timezone", "GMT".to_owned()),
        ("wind_speed_unit", "ms".to_owned()),
    ]
}

fn join(parts: impl Iterator<Item = impl Display>) -> String {
    let mut list = String::new();
    for part in parts {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&part.to_string());
    }
    list
}

fn failed(failure: Failure) -> WeatherError {
    match failure {
        Failure::Refused(refusal) => refused(*refusal),
        Failure::Network(detail) | Failure::Temporary(detail) => WeatherError::Unavailable(detail),
        Failure::TooLarge { detail, .. } | Failure::Unsendable(detail) => {
            WeatherError::Refused(detail)
        }
        // Its calls go through no gate; one that did would mean this.
        Failure::Wait { after, .. } => WeatherError::Wait { after },
        Failure::Unmetered(error) => {
            WeatherError::Unavailable(Detail { message: error.to_string(), ..Detail::default() })
        }
    }
}

fn refused(refusal: Refusal) -> WeatherError {
    #[derive(Deserialize)]
    struct Fault {
        reason: String,
    }
    let fault: Option<Fault> = serde_json::from_slice(&refusal.body).ok();
    let reason: String = fault.map(|fault| fault.reason).unwrap_or_default();
    if refusal.status == StatusCode::TOO_MANY_REQUESTS {
        let now = Utc::now();
        return if reason.starts_with("Daily") {
            WeatherError::QuotaSpent { until: after_window(now, 24 * 60 * 60) }
        } else if reason.starts_with("Hourly") {
            WeatherError::QuotaSpent { until: after_window(now, 60 * 60) }
        } else if reason.contains("concurrent") {
            WeatherError::Wait { after: Duration::from_millis(fastrand::u64(1_000..=5_000)) }
        } else {
            let after = (after_window(now, 60) - now).to_std().unwrap_or_default();
            WeatherError::Wait { after }
        };
    }
    let mut detail = refusal.detail;
    if !reason.is_empty() {
        detail.message.push_str(": ");
        detail.message.extend(reason.chars().take(200));
    }
    WeatherError::Refused(detail)
}
