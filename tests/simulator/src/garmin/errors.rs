//! Garmin's refusals: the API's, with an `errorMessage`, and OAuth's.

use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::summary_type::GarminType;
use crate::http;

/// Why the API does not answer with what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: a parameter.
    Bad(&'static str),
    /// 400: pulls are not for this application.
    PullToken,
    /// 400: the application did not enable this type.
    NotEnabled(GarminType),
    /// 401: no such access token, or not any more.
    Unauthorized,
    /// 403: the user did not grant historical data.
    NoHistory,
    /// 403: there is no bearer token in the request.
    NoHeader,
    /// 404.
    NotFound,
    /// 409: this was asked to be backfilled before.
    Duplicate,
    /// 412: the user did not grant this kind of data.
    Permission(&'static str),
    /// 429.
    RateLimited,
    /// Any status without wording of its own.
    Other(u16),
}

impl Refusal {
    /// The usual refusal with a status, for scripted faults.
    pub(crate) fn with_status(status: u16) -> Self {
        match status {
            400 => Self::Bad("Bad request"),
            401 => Self::Unauthorized,
            403 => Self::NoHeader,
            404 => Self::NotFound,
            409 => Self::Duplicate,
            412 => Self::Permission(super::summary_type::HEALTH_EXPORT),
            429 => Self::RateLimited,
            other => Self::Other(other),
        }
    }

    fn parts(&self) -> (u16, String) {
        match self {
            Self::Bad(what) => (400, (*what).to_owned()),
            Self::PullToken => (400, "InvalidPullTokenException failure".to_owned()),
            Self::NotEnabled(of) => {
                // Real answers begin with the number of the request in brackets.
                let name = of.connect_name();
                (400, format!("[5d7866b4]Endpoint not enabled for summary type: {name}"))
            }
            Self::Unauthorized => (401, "Invalid or expired access token".to_owned()),
            Self::NoHistory => {
                (403, "User has not granted permission HISTORICAL_DATA_EXPORT".to_owned())
            }
            Self::NoHeader => (403, "Unable to read oAuth header".to_owned()),
            Self::NotFound => (404, "Not Found".to_owned()),
            Self::Duplicate => (409, "Duplicate backfill request".to_owned()),
            Self::Permission(name) => {
                (412, format!("User permission check failed: {name} is missing"))
            }
            Self::RateLimited => (429, "Too many requests".to_owned()),
            Self::Other(status) => (*status, "Internal server error".to_owned()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message) = self.parts();
        http::json(status, json!({ "errorMessage": message }).to_string())
    }
}

/// Why there is no token, in the words of RFC 6749.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OAuthRefusal {
    Request(&'static str),
    Client,
    Grant(&'static str),
    GrantType,
}

impl IntoResponse for OAuthRefusal {
    fn into_response(self) -> Response {
        let (status, error, description) = match self {
            Self::Request(what) => (400, "invalid_request", what),
            Self::Client => (401, "invalid_client", "Client authentication failed"),
            Self::Grant(what) => (400, "invalid_grant", what),
            Self::GrantType => (400, "unsupported_grant_type", "Unsupported grant_type"),
        };
        let body = json!({ "error": error, "error_description": description });
        http::json(status, body.to_string())
    }
}
