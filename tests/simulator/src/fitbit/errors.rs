//! Fitbit's refusals: status, type, message, and the field where one is to blame.

use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::http;

/// Where a message sends its reader.
const HELP: &str = "Visit https://dev.fitbit.com/docs/oauth2 for more information on the Fitbit Web API \
                    authorization process.";

/// Why Fitbit does not answer with what was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: a parameter.
    Validation { field: &'static str, message: String },
    /// 400: an OAuth request that lacks or doubles something.
    Request(&'static str),
    /// 400: a scope that there is not.
    Scope(String),
    /// 400: a code or refresh token that is not good, or not any more.
    Grant(String),
    /// 401: the application cannot prove who it is.
    Client,
    /// 401: an access token whose time is over.
    Expired,
    /// 401: no such access token, or not any more.
    Token,
    /// 403: the user did not grant this.
    MissingScope(&'static str),
    /// 403: another user's data.
    Stranger,
    /// 404.
    NotFound,
    /// 410: the API was shut down.
    Gone,
    /// 429.
    RateLimited,
    /// 5xx, or any status without wording of its own.
    Other(u16),
}

impl Refusal {
    /// The usual refusal with a status, for scripted faults.
    pub(crate) fn with_status(status: u16) -> Self {
        match status {
            400 => Self::Request("Something about the request is wrong."),
            401 => Self::Expired,
            403 => Self::MissingScope("weight"),
            404 => Self::NotFound,
            410 => Self::Gone,
            429 => Self::RateLimited,
            other => Self::Other(other),
        }
    }

    fn parts(&self) -> (u16, &'static str, String) {
        match self {
            Self::Validation { message, .. } => (400, "validation", message.clone()),
            Self::Request(message) => (400, "invalid_request", (*message).to_owned()),
            Self::Scope(scope) => (400, "invalid_scope", format!("Invalid scope: {scope}. {HELP}")),
            Self::Grant(message) => (400, "invalid_grant", format!("{message}. {HELP}")),
            Self::Client => {
                (401, "invalid_client", format!("Invalid authorization header format. {HELP}"))
            }
            Self::Expired => (401, "expired_token", format!("Access token expired. {HELP}")),
            Self::Token => (401, "invalid_token", format!("Access token invalid. {HELP}")),
            Self::MissingScope(scope) => (
                403,
                "insufficient_scope",
                format!("This application does not have permission to access {scope} data. {HELP}"),
            ),
            Self::Stranger => (
                403,
                "insufficient_permissions",
                "API client is not authorized by this resource owner.".to_owned(),
            ),
            Self::NotFound => {
                (404, "not_found", "The API you are requesting could not be found.".to_owned())
            }
            Self::Gone => (410, "gone", "The Fitbit Web API is no longer available.".to_owned()),
            Self::RateLimited => (429, "system", "Too Many Requests".to_owned()),
            Self::Other(status) => (*status, "system", "Something went wrong.".to_owned()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, kind, message) = self.parts();
        let mut error = json!({ "errorType": kind, "message": message });
        if let Self::Validation { field, .. } = self {
            error["fieldName"] = field.into();
        }
        http::json(status, json!({ "errors": [error], "success": false }).to_string())
    }
}
