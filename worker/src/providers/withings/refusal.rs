//! What Withings' status codes mean, and HTTP's where it uses them after all.

use super::{Failed, answer::Status};
use crate::providers::{
    Detail, Error,
    http::{Failure, Refusal},
};
use reqwest::{
    StatusCode,
    header::{HeaderMap, RETRY_AFTER},
};
use std::time::Duration;

/// Calls are counted over a sliding minute, and it is not told when one is free again.
const MINUTE: Duration = Duration::from_mins(1);

/// The same call within ten seconds is refused.
pub(super) const SAME_CALL: Duration = Duration::from_secs(10);

/// What a status is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// The token, or on the token endpoint the code.
    Authentication,
    /// The request. 503 is one of them: Withings is there and well.
    Params,
    /// What the user allows.
    Denied,
    /// Too many calls, or the same too soon.
    TooMany,
    /// What no retry betters.
    NotImplemented,
    /// Withings itself: may be gone in a minute.
    Trouble,
}

/// By the table that Withings publishes; a code that is not in it is trouble.
pub(super) const fn family(code: i64) -> Family {
    match code {
        100..=102 | 200 | 401 => Family::Authentication,
        201..=213
        | 216..=218
        | 220..=221
        | 223
        | 225
        | 227..=230
        | 234..=236
        | 238
        | 240..=252
        | 254
        | 260..=267
        | 271..=272
        | 275..=276
        | 283..=288
        | 290
        | 293..=295
        | 297
        | 300..=304
        | 321
        | 323..=353
        | 380..=382
        | 400
        | 501..=511
        | 523
        | 532
        | 3017..=3019 => Family::Params,
        214 | 277 | 2553 | 2555 => Family::Denied,
        601 => Family::TooMany,
        2554 => Family::NotImplemented,
        // 522 is a time-out, 524 a bad state; all others "an error occurred".
        _ => Family::Trouble,
    }
}

/// What a failed call means.
pub(super) fn error(failed: Failed) -> Error {
    match failed {
        Failed::Said { status, detail } => {
            let family = family(status.code);
            let after = wait(&status);
            let detail = told(&status, detail);
            match family {
                Family::Authentication => Error::Unauthorized(detail),
                Family::Params | Family::NotImplemented => Error::Refused(detail),
                Family::Denied => Error::Denied(detail),
                Family::TooMany => Error::Wait { reason: "rate_limit", after },
                Family::Trouble => Error::Temporary(detail),
            }
        }
        Failed::Http(failure) => failure.or_refused(refused),
    }
}

/// HTTP's own words, of Withings or of somebody on the way.
fn refused(refusal: Refusal) -> Error {
    let Refusal { status, headers, detail, .. } = refusal;
    match status {
        StatusCode::TOO_MANY_REQUESTS => {
            let after = retry_after(&headers).unwrap_or_else(|| spread(MINUTE));
            Error::Wait { reason: "rate_limit", after }
        }
        StatusCode::UNAUTHORIZED => Error::Unauthorized(detail),
        // Withings says this by a status; here it is somebody on the way.
        StatusCode::FORBIDDEN | StatusCode::REQUEST_TIMEOUT => Error::Temporary(detail),
        StatusCode::GONE => Error::Gone(detail),
        _ => Error::Refused(detail),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// How long a 601 asks to wait. Its text tells which of both it is; were it another one some day, the call would be
/// refused once more.
fn wait(status: &Status) -> Duration {
    let is_same_call = status.words.to_ascii_lowercase().contains("same arguments");
    spread(if is_same_call { SAME_CALL } else { MINUTE })
}

/// One to four seconds more: clocks differ, and not all should ask at once.
fn spread(wait: Duration) -> Duration {
    wait + Duration::from_millis(fastrand::u64(1_000..=4_000))
}

/// Whether a refusal names something that is ours and not the user's, so that no user must connect again for it.
pub(super) fn is_about_us(status: &Status) -> bool {
    let words = status.words.to_ascii_lowercase();
    ["client", "signature", "nonce", "redirect_uri", "grant_type"]
        .iter()
        .any(|ours| words.contains(ours))
}

/// Whether there is no such action, or nothing at that address.
pub(super) fn is_not_implemented(failed: &Failed) -> bool {
    match failed {
        Failed::Said { status, .. } => family(status.code) == Family::NotImplemented,
        Failed::Http(Failure::Refused(refusal)) => refusal.status == StatusCode::NOT_FOUND,
        Failed::Http(_) => false,
    }
}

/// Which call was refused, and why in Withings' words. What is as long as a token is left out of them.
pub(super) fn told(status: &Status, mut detail: Detail) -> Detail {
    let words: Vec<&str> =
        status.words.split_whitespace().filter(|word| word.len() <= 24).take(20).collect();
    detail.message = format!("status {}", status.code);
    if !words.is_empty() {
        detail.message = format!("{}: {}", detail.message, words.join(" "));
    }
    detail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(code: i64, words: &str) -> Error {
        let status = Status { code, words: words.to_owned() };
        error(Failed::Said { status, detail: Detail::default() })
    }

    #[test]
    fn withings_status_503_is_a_bad_request_and_no_outage() {
        assert!(matches!(means(503, "Invalid Params"), Error::Refused(_)));
        assert_eq!(family(503), Family::Params);
    }

    #[test]
    fn each_family_of_the_table_has_its_meaning() {
        for code in [100, 101, 102, 200, 401] {
            assert!(matches!(means(code, ""), Error::Unauthorized(_)), "{code}");
        }
        for code in [214, 277, 2553, 2555] {
            assert!(matches!(means(code, ""), Error::Denied(_)), "{code}");
        }
        for code in [201, 213, 218, 221, 254, 293, 304, 353, 400, 511, 523, 532, 2554, 3018] {
            assert!(matches!(means(code, ""), Error::Refused(_)), "{code}");
        }
        for code in [215, 219, 522, 524, 602, 700, 2556, 5000, 10_000, 999_999, -1] {
            assert!(matches!(means(code, ""), Error::Temporary(_)), "{code}");
        }
    }

    #[test]
    fn a_601_is_a_wait_of_ten_seconds_at_least() {
        for (words, least_s, most_s) in [
            ("Too Many Requests", 60, 65),
            ("Same arguments in less than 10 seconds", 10, 15),
            ("", 60, 65),
        ] {
            let Error::Wait { reason, after } = means(601, words) else { panic!("{words}") };
            assert_eq!(reason, "rate_limit");
            assert!((least_s..=most_s).contains(&after.as_secs()), "{words}: {after:?}");
        }
    }

    #[test]
    fn no_token_gets_into_a_message() {
        let token = "a075f8c14fb8df40b08ebc8508533dc332a6910a";
        let Error::Refused(detail) = means(503, &format!("invalid refresh_token {token}")) else {
            panic!()
        };
        assert_eq!(detail.message, "status 503: invalid refresh_token");
    }
}
