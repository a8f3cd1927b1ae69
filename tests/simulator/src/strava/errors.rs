//! Strava's refusals: status, message, and the one error in their list.

use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http;

/// Why Strava does not answer with what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: a parameter.
    Invalid { resource: &'static str, field: &'static str },
    /// 401: no such access token, or not any more.
    Unauthorized,
    /// 401: the athlete did not grant this.
    MissingScope(&'static str),
    /// 403: the application's subscription lapsed.
    Inactive,
    /// 404: there is no such thing, or it is not for this token.
    NotFound { resource: &'static str, field: &'static str },
    /// 429.
    RateLimited,
    /// 5xx, or any status without wording of its own.
    Other(u16),
}

pub(super) const BAD_CLIENT: Refusal =
    Refusal::Invalid { resource: "Application", field: "client_id" };

impl Refusal {
    /// The usual refusal with a status, for scripted faults.
    pub(crate) fn with_status(status: u16) -> Self {
        match status {
            400 => Self::Invalid { resource: "Application", field: "request" },
            401 => Self::Unauthorized,
            403 => Self::Inactive,
            404 => Self::NotFound { resource: "Activity", field: "id" },
            429 => Self::RateLimited,
            other => Self::Other(other),
        }
    }

    fn parts(self) -> (u16, &'static str, [&'static str; 3]) {
        match self {
            Self::Invalid { resource, field } => (400, "Bad Request", [resource, field, "invalid"]),
            Self::Unauthorized => {
                (401, "Authorization Error", ["Athlete", "access_token", "invalid"])
            }
            Self::MissingScope(field) => {
                (401, "Authorization Error", ["AccessToken", field, "missing"])
            }
            Self::Inactive => (403, "Forbidden", ["Application", "Status", "Inactive"]),
            Self::NotFound { resource, field } => {
                (404, "Record Not Found", [resource, field, "invalid"])
            }
            Self::RateLimited => {
                (429, "Rate Limit Exceeded", ["Application", "rate limit", "exceeded"])
            }
            Self::Other(status) => {
                (status, "Internal Server Error", ["Application", "internal", "error"])
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, message, [resource, field, code]) = self.parts();
        let error = json!({ "resource": resource, "field": field, "code": code });
        http::json(status, json!({ "message": message, "errors": [error] }).to_string())
    }
}
