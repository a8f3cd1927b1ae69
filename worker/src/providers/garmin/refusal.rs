//! What Garmin's refusals mean.

use crate::providers::{
    Detail, Error,
    http::{Failure, Refusal, after_window},
};
use chrono::Utc;
use reqwest::StatusCode;
use serde::Deserialize;

/// Calls, and days of history, are counted by the minute; no header tells how many are left.
const MINUTE_S: i64 = 60;

/// The body of a refusal: of the API, or as RFC 6749 has it of the token endpoint.
#[derive(Default, Deserialize)]
struct Fault {
    #[serde(rename = "errorMessage")]
    message: Option<String>,
    error: Option<String>,
}

fn fault(refusal: &Refusal) -> Option<Fault> {
    serde_json::from_slice(&refusal.body).ok()
}

fn says(refusal: &Refusal, what: &str) -> bool {
    let message = fault(refusal).and_then(|fault| fault.message).unwrap_or_default();
    message.to_ascii_lowercase().contains(what)
}

/// Whether the refusal is about the code or the refresh token.
pub(super) fn is_invalid_grant(refusal: &Refusal) -> bool {
    fault(refusal).and_then(|fault| fault.error).is_some_and(|error| error == "invalid_grant")
}

/// Why a summary type was not read, where that is no error of the sync.
#[derive(Debug)]
pub(super) enum Declined {
    /// The user has taken the permission back.
    NotAllowed(Detail),
    /// The application has not the type.
    NotEnabled(Detail),
    /// It was asked for before: it has come, or is coming.
    AskedBefore,
    /// The user does not give what is older than the connection.
    NoHistory(Detail),
    /// Anything else.
    Failed(Error),
}

/// What a failed pull means.
pub(super) fn pull(failure: Failure) -> Declined {
    match failure {
        Failure::Refused(refusal) => match refusal.status {
            StatusCode::PRECONDITION_FAILED => Declined::NotAllowed(told(*refusal)),
            StatusCode::BAD_REQUEST if says(&refusal, "not enabled") => {
                Declined::NotEnabled(told(*refusal))
            }
            _ => Declined::Failed(refused(*refusal)),
        },
        other => Declined::Failed(error(other)),
    }
}

/// What a failed request for history means.
pub(super) fn backfill(failure: Failure) -> Declined {
    match failure {
        Failure::Refused(refusal) if refusal.status == StatusCode::CONFLICT => {
            Declined::AskedBefore
        }
        // Garmin's own 403 is JSON; a page of HTML is somebody's on the way.
        Failure::Refused(refusal)
            if refusal.status == StatusCode::FORBIDDEN && fault(&refusal).is_some() =>
        {
            Declined::NoHistory(told(*refusal))
        }
        other => pull(other),
    }
}

/// What a failed call means that nothing more is known of.
pub(super) fn error(failure: Failure) -> Error {
    failure.or_refused(refused)
}

fn refused(refusal: Refusal) -> Error {
    match refusal.status {
        StatusCode::TOO_MANY_REQUESTS => {
            let now = Utc::now();
            let after = (after_window(now, MINUTE_S) - now).to_std().unwrap_or_default();
            Error::Wait { reason: "rate_limit", after }
        }
        StatusCode::UNAUTHORIZED => Error::Unauthorized(told(refusal)),
        StatusCode::BAD_REQUEST if says(&refusal, "invalidpulltoken") => {
            let mut detail = told(refusal);
            "Garmin sends this application's data by push only; ask Garmin's developer support to allow pulls"
                .clone_into(&mut detail.message);
            Error::Denied(detail)
        }
        StatusCode::FORBIDDEN if fault(&refusal).is_none() => Error::Temporary(told(refusal)),
        StatusCode::FORBIDDEN | StatusCode::PRECONDITION_FAILED => Error::Denied(told(refusal)),
        StatusCode::GONE => Error::Gone(told(refusal)),
        StatusCode::REQUEST_TIMEOUT => Error::Temporary(told(refusal)),
        _ => Error::Refused(told(refusal)),
    }
}

/// What a failed call of the token endpoint means when it is not about the code or token itself: a 401 there is about
/// our application.
pub(super) fn token_error(failure: Failure) -> Error {
    match error(failure) {
        Error::Unauthorized(detail) => Error::Refused(detail),
        error => error,
    }
}

/// Which call was refused, and why in Garmin's words. What is as long as a token is left out of them.
pub(super) fn told(refusal: Refusal) -> Detail {
    let fault = fault(&refusal).unwrap_or_default();
    let words = fault.message.or(fault.error).unwrap_or_default();
    let words: Vec<&str> =
        words.split_whitespace().filter(|word| word.len() <= 40).take(20).collect();
    let mut detail = refusal.detail;
    if !words.is_empty() {
        detail.message = format!("{}: {}", detail.message, words.join(" "));
    }
    detail
}
