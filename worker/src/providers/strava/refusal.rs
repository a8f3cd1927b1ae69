//! What Strava's refusals and quota headers mean.

use super::super::{
    Detail, Error,
    http::{Failure, Refusal, after_window},
};
use crate::budget::Reading;
use chrono::{DateTime, Utc};
use reqwest::{StatusCode, header::HeaderMap};
use serde::Deserialize;

/// Strava counts calls in quarter hours and in UTC days.
const QUARTER_S: i64 = 15 * 60;
const DAY_S: i64 = 24 * 60 * 60;

/// The quotas, each as scope, limit and usage; reads count against both.
const QUOTAS: [(&str, &str, &str); 2] = [
    (super::ALL.1, "x-ratelimit-limit", "x-ratelimit-usage"),
    (super::READ.1, "x-readratelimit-limit", "x-readratelimit-usage"),
];

/// The body of a refusal.
#[derive(Default, Deserialize)]
struct Fault {
    #[serde(default)]
    errors: Vec<Cause>,
}

#[derive(Deserialize)]
struct Cause {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    field: String,
    #[serde(default)]
    code: String,
}

fn fault(refusal: &Refusal) -> Option<Fault> {
    serde_json::from_slice(&refusal.body).ok()
}

/// What a failed call of the API means.
pub(super) fn error(failure: Failure) -> Error {
    failure.or_refused(|refusal| {
        let fault = fault(&refusal);
        // A user who unticked a scope gets a 401, and a refresh would not help.
        let scope_missing = fault
            .iter()
            .flat_map(|fault| &fault.errors)
            .any(|cause| cause.field.ends_with("_permission") && cause.code == "missing");
        match refusal.status {
            StatusCode::UNAUTHORIZED if scope_missing => Error::Denied(told(refusal)),
            StatusCode::UNAUTHORIZED => Error::Unauthorized(told(refusal)),
            // Strava's own 403 is JSON; a page of HTML is somebody's on the way.
            StatusCode::FORBIDDEN if fault.is_none() => Error::Temporary(told(refusal)),
            // Our own subscription: no user's consent would help.
            StatusCode::FORBIDDEN if names(&refusal, "Application") => {
                Error::Refused(told(refusal))
            }
            _ => refused(refusal),
        }
    })
}

/// What a failed call of the token endpoint means when it is not about the token or code itself.
pub(super) fn token_error(failure: Failure) -> Error {
    failure.or_refused(refused)
}

fn refused(refusal: Refusal) -> Error {
    match refusal.status {
        StatusCode::TOO_MANY_REQUESTS => {
            let now = Utc::now();
            let (reason, until) = spent(&refusal.headers, now)
                .unwrap_or_else(|| ("rate_limit", after_window(now, QUARTER_S)));
            Error::Wait { reason, after: (until - now).to_std().unwrap_or_default() }
        }
        StatusCode::FORBIDDEN => Error::Denied(told(refusal)),
        StatusCode::GONE => Error::Gone(told(refusal)),
        StatusCode::REQUEST_TIMEOUT => Error::Temporary(told(refusal)),
        _ => Error::Refused(told(refusal)),
    }
}

/// Whether the refusal is about `resource`.
pub(super) fn names(refusal: &Refusal, resource: &str) -> bool {
    fault(refusal).is_some_and(|fault| fault.errors.iter().any(|cause| cause.resource == resource))
}

/// Which call was refused, and why in Strava's words.
pub(super) fn told(refusal: Refusal) -> Detail {
    let causes = fault(&refusal).unwrap_or_default().errors;
    let words = causes
        .iter()
        .map(|Cause { resource, field, code }| format!("{resource}/{field}/{code}"))
        .collect::<Vec<_>>()
        .join(", ");
    let mut detail = refusal.detail;
    if !words.is_empty() {
        detail.message.push_str(": ");
        detail.message.extend(words.chars().take(200));
    }
    detail
}

/// What an answer tells of the quotas: for each the quarter hour and the day.
pub(super) fn readings(_status: StatusCode, headers: &HeaderMap) -> Vec<Reading> {
    let pair = |name: &str| -> Option<[i32; 2]> {
        let (quarter, day) = headers.get(name)?.to_str().ok()?.split_once(',')?;
        Some([quarter.trim().parse().ok()?, day.trim().parse().ok()?])
    };
    let mut readings = Vec::with_capacity(4);
    for (scope, limit, usage) in QUOTAS {
        if let (Some(limits), Some(used)) = (pair(limit), pair(usage)) {
            let windows = limits.into_iter().zip(used).enumerate();
            readings.extend(windows.map(|(nth, (limit, used))| Reading {
                scope,
                nth,
                limit,
                used,
            }));
        }
    }
    readings
}

/// When to ask again, and what to call the wait, if the headers say that a quota is used up.
fn spent(headers: &HeaderMap, now: DateTime<Utc>) -> Option<(&'static str, DateTime<Utc>)> {
    let readings = readings(StatusCode::OK, headers);
    let is_spent = |nth| readings.iter().any(|r| r.nth == nth && r.used >= r.limit);
    match [is_spent(0), is_spent(1)] {
        [_, true] => Some(("quota_exceeded", after_window(now, DAY_S))),
        [true, false] => Some(("rate_limit", after_window(now, QUARTER_S))),
        [false, false] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeDelta;

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn wait(of: &[(&'static str, &str)]) -> Option<(&'static str, String)> {
        let now = "2026-11-21T23:20:00Z".parse().unwrap();
        // The border without the seconds by which we ask later.
        spent(&headers(of), now).map(|(reason, until)| {
            (reason, (until - TimeDelta::seconds(1)).format("%dT%H:%M").to_string())
        })
    }

    #[test]
    fn a_quota_with_calls_left_stops_nobody() {
        assert_eq!(wait(&[]), None);
        assert_eq!(
            wait(&[
                ("x-ratelimit-limit", "200,2000"),
                ("x-ratelimit-usage", "54,412"),
                ("x-readratelimit-limit", "100,1000"),
                ("x-readratelimit-usage", "40,310"),
            ]),
            None
        );
        assert_eq!(wait(&[("x-ratelimit-limit", "200"), ("x-ratelimit-usage", "x,y")]), None);
    }

    #[test]
    fn both_windows_of_both_quotas_are_read() {
        let told = headers(&[
            ("x-ratelimit-limit", "200,2000"),
            ("x-ratelimit-usage", "54,412"),
            ("x-readratelimit-limit", "100, 1000"),
            ("x-readratelimit-usage", "40, 310"),
        ]);
        let of = |scope, nth, limit, used| Reading { scope, nth, limit, used };
        assert_eq!(
            readings(StatusCode::OK, &told),
            [
                of("strava:all", 0, 200, 54),
                of("strava:all", 1, 2000, 412),
                of("strava:read", 0, 100, 40),
                of("strava:read", 1, 1000, 310),
            ]
        );
        assert_eq!(readings(StatusCode::OK, &headers(&[("x-ratelimit-limit", "200,2000")])), []);
    }

    #[test]
    fn a_spent_quarter_hour_is_waited_for() {
        let quarter = Some(("rate_limit", "21T23:30".to_owned()));
        assert_eq!(
            wait(&[("x-ratelimit-limit", "200,2000"), ("x-ratelimit-usage", "200,412")]),
            quarter
        );
        assert_eq!(
            wait(&[
                ("x-ratelimit-limit", "200,2000"),
                ("x-ratelimit-usage", "101,412"),
                ("x-readratelimit-limit", "100, 1000"),
                ("x-readratelimit-usage", "101, 412"),
            ]),
            quarter,
            "reads have a quota of their own"
        );
    }

    #[test]
    fn a_spent_day_is_waited_for_until_midnight_utc() {
        let headers =
            [("x-readratelimit-limit", "100,1000"), ("x-readratelimit-usage", "100,1000")];
        assert_eq!(wait(&headers), Some(("quota_exceeded", "22T00:00".to_owned())));
    }
}
