//! The control API under `/_sim/`: everything the handle does, over HTTP, in JSON.
//!
//! Owns paths and shapes; the work is [`Simulator`]'s. Failures are `{"error": "…"}`.

mod fitbit;
mod garmin;
mod strava;
mod withings;
mod world;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::error::Error;
use crate::http;
use crate::world::World;

/// Why the control API refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("reading the request: {0}")]
    Request(#[from] serde_json::Error),
    #[error("reading the query: {0}")]
    Query(String),
    #[error(transparent)]
    Simulator(#[from] Error),
    #[error("there is no fault {0}")]
    UnknownFault(u64),
}

impl IntoResponse for ControlError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Simulator(
                Error::UnknownAthlete(_)
                | Error::UnknownActivity(_)
                | Error::UnknownUser(_)
                | Error::UnknownRecord(_),
            )
            | Self::UnknownFault(_) => 404,
            Self::Simulator(
                Error::AthleteExists(_) | Error::UserExists(_) | Error::RecordExists(_),
            ) => 409,
            _ => 400,
        };
        http::json(status, json!({ "error": self.to_string() }).to_string())
    }
}

type Answer = Result<Response, ControlError>;

fn answer(status: u16, value: &impl Serialize) -> Answer {
    Ok(http::json(status, serde_json::to_vec(value)?))
}

/// A JSON body; an empty one counts as `{}`.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, ControlError> {
    Ok(serde_json::from_slice(if bytes.is_empty() { b"{}" } else { bytes })?)
}

/// The control API's routes.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .merge(withings::routes())
        .merge(fitbit::routes())
        .route("/_sim/health", get(world::health))
        .route("/_sim/clock", get(world::clock).put(world::set_clock))
        .route("/_sim/latency", put(world::set_latency))
        .route("/_sim/weather", get(world::weather))
        .route("/_sim/strava/calls", get(strava::calls))
        .route("/_sim/open-meteo/quota", get(world::weather_quota).put(world::set_weather_quota))
        .route("/_sim/open-meteo/archive-lag", put(world::set_archive_lag))
        .route(
            "/_sim/faults",
            get(world::faults).post(world::add_fault).delete(world::clear_faults),
        )
        .route("/_sim/faults/{id}", delete(world::remove_fault))
        .route("/_sim/log", get(world::log).delete(world::clear_log))
        .route("/_sim/counts", get(world::counts))
        .route(
            "/_sim/strava/quota",
            get(strava::quota).put(strava::set_quota).delete(strava::forget_usage),
        )
        .route("/_sim/strava/athletes", get(strava::athletes).post(strava::add_athlete))
        .route("/_sim/strava/athletes/{id}", get(strava::athlete))
        .route(
            "/_sim/strava/athletes/{id}/activities",
            get(strava::activities).post(strava::add_activity),
        )
        .route(
            "/_sim/strava/athletes/{id}/activities/{activity}",
            get(strava::activity)
                .merge(patch(strava::edit_activity))
                .merge(delete(strava::delete_activity)),
        )
        .route("/_sim/strava/athletes/{id}/code", post(strava::code))
        .route("/_sim/strava/athletes/{id}/grant", post(strava::grant))
        .route("/_sim/strava/athletes/{id}/expire", post(strava::expire))
        .route("/_sim/strava/athletes/{id}/revoke", post(strava::revoke))
        .merge(garmin::routes())
}
