//! What Fitbit's refusals mean.

use super::super::{
    Detail, Error,
    http::{Failure, Refusal, after_window},
};
use chrono::Utc;
use reqwest::{StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use std::time::Duration;

/// Users' quotas begin anew at the full hour.
const HOUR_S: i64 = 60 * 60;

/// The body of a refusal.
#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default)]
    errors: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(rename = "errorType", default)]
    kind: String,
    #[serde(rename = "fieldName", default)]
    field: String,
}

fn fault(refusal: &Refusal) -> Fault {
    serde_json::from_slice(&refusal.body).unwrap_or_default()
}

/// Whether the refusal is of this type.
pub(super) fn is(refusal: &Refusal, kind: &str) -> bool {
    fault(refusal).errors.iter().any(|cause| cause.kind == kind)
}

/// What a failed call means.
pub(super) fn error(failure: Failure) -> Error {
    failure.or_refused(|refusal| match refusal.status {
        StatusCode::UNAUTHORIZED if is(&refusal, "insufficient_scope") => {
            Error::Denied(told(refusal))
        }
        StatusCode::UNAUTHORIZED => Error::Unauthorized(told(refusal)),
        // Fitbit's own 403 is JSON; a page of HTML is somebody's on the way.
        StatusCode::FORBIDDEN if fault(&refusal).errors.is_empty() => {
            Error::Temporary(told(refusal))
        }
        StatusCode::FORBIDDEN => Error::Denied(told(refusal)),
        StatusCode::GONE => Error::Gone(told(refusal)),
        StatusCode::TOO_MANY_REQUESTS => {
            Error::Wait { reason: "rate_limit", after: reset(&refusal) }
        }
        StatusCode::REQUEST_TIMEOUT => Error::Temporary(told(refusal)),
        _ => Error::Refused(told(refusal)),
    })
}

/// What a failed call of the token endpoint means when it is not about the token or code itself: a 401 there is about
/// our application.
pub(super) fn token_error(failure: Failure) -> Error {
    match error(failure) {
        Error::Unauthorized(detail) => Error::Refused(detail),
        error => error,
    }
}

/// How long until the user's hour is over: told in seconds, else reckoned.
fn reset(refusal: &Refusal) -> Duration {
    let told = [RETRY_AFTER.as_str(), "fitbit-rate-limit-reset"].into_iter().find_map(|name| {
        refusal.headers.get(name)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
    });
    told.map_or_else(
        || (after_window(Utc::now(), HOUR_S) - Utc::now()).to_std().unwrap_or_default(),
        // The clocks need not agree to the second.
        |told| told + Duration::from_millis(fastrand::u64(1_000..=5_000)),
    )
}

/// Which call was refused, and why in Fitbit's words; its messages are left out, for they quote tokens.
pub(super) fn told(refusal: Refusal) -> Detail {
    let causes = fault(&refusal).errors;
    let words = causes
        .iter()
        .map(
            |Cause { kind, field }| {
                if field.is_empty() { kind.clone() } else { format!("{kind}/{field}") }
            },
        )
        .collect::<Vec<_>>()
        .join(", ");
    let mut detail = refusal.detail;
    if !words.is_empty() {
        detail.message.push_str(": ");
        detail.message.extend(words.chars().take(200));
    }
    detail
}
