//! Open-Meteo's three weather hosts: archive, forecast, historical forecast.
//!
//! Owns paths, statuses and error bodies. Must not know what the weather is.

mod answer;
mod hosts;
mod quota;
mod request;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::get;

use crate::http::json;
use crate::locks::locked;
use crate::world::World;
use hosts::Host;
use quota::Spent;
pub use quota::WeatherQuota;
use request::Ask;

/// Paths that belong to Open-Meteo begin with this.
pub(crate) const PREFIX: &str = "/open-meteo";

/// What Open-Meteo remembers between requests.
#[derive(Debug)]
pub(crate) struct OpenMeteo {
    spent: Mutex<Spent>,
    under_way: AtomicU32,
    archive_lag_days: AtomicU32,
}

impl OpenMeteo {
    pub(crate) fn new(quota: WeatherQuota, archive_lag_days: u32) -> Self {
        Self {
            spent: Mutex::new(Spent::new(quota)),
            under_way: AtomicU32::new(0),
            archive_lag_days: AtomicU32::new(archive_lag_days),
        }
    }

    pub(crate) fn set_quota(&self, quota: WeatherQuota) {
        *locked(&self.spent) = Spent::new(quota);
    }

    pub(crate) fn quota(&self) -> WeatherQuota {
        locked(&self.spent).quota()
    }

    pub(crate) fn set_archive_lag_days(&self, days: u32) {
        self.archive_lag_days.store(days, Ordering::Relaxed);
    }
}

/// The hosts' routes.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/open-meteo/archive/v1/archive", get(archive))
        .route("/open-meteo/forecast/v1/forecast", get(forecast))
        .route("/open-meteo/historical-forecast/v1/forecast", get(historical_forecast))
}

async fn archive(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    answer(&world, Host::Archive, query.as_deref())
}

async fn forecast(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    answer(&world, Host::Forecast, query.as_deref())
}

async fn historical_forecast(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
) -> Response {
    answer(&world, Host::HistoricalForecast, query.as_deref())
}

fn answer(world: &World, host: Host, query: Option<&str>) -> Response {
    let now = world.clock.now();
    let lag_days = world.open_meteo.archive_lag_days.load(Ordering::Relaxed);
    let ask = match Ask::parse(query.unwrap_or_default(), host, now.date_naive()) {
        Ok(ask) => ask,
        Err(reason) => {
            // A request that says nothing is still a request.
            return match locked(&world.open_meteo.spent).take(now, 1.0) {
                Ok(()) => refusal(400, &reason),
                Err(window) => refusal(429, window.reason()),
            };
        }
    };
    if let Err(window) = locked(&world.open_meteo.spent).take(now, ask.weight()) {
        return refusal(429, window.reason());
    }
    json(200, ask.answer(host, world.config.seed, now, lag_days))
}

/// What a scripted refusal with this status says.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        429 => "Minutely API request limit exceeded. Please try again in one minute.",
        _ => "Something went wrong.",
    }
}

/// Open-Meteo's error body.
pub(crate) fn refusal(status: u16, reason: &str) -> Response {
    json(status, serde_json::json!({ "error": true, "reason": reason }).to_string())
}

/// Held while an answer is made, when the quota limits how many may be at once.
pub(crate) struct Turn<'a>(&'a AtomicU32);

impl OpenMeteo {
    /// `None`: too many are under way.
    pub(crate) fn enter(&self) -> Option<Turn<'_>> {
        let turn = Turn(&self.under_way);
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let limit = locked(&self.spent).quota().concurrent;
        (limit.is_none_or(|limit| before < limit)).then_some(turn)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
