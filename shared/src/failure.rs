//! Why an attempt failed, in the words that tables, clients and admins share. The worker decides
//! which it was; the retry policy is the worker's as well.

use crate::{Provider, progress::Phase};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Try again with backoff; costs an attempt.
    Retryable,
    /// Wait until a known time; costs nothing.
    Waiting,
    /// No retry by itself can help.
    Terminal,
    /// Our own trouble: as retryable.
    System,
}

/// The codes, one per thing a reader would do differently.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Code {
    /// No answer, or a broken one.
    NetworkError,
    /// The provider answered 5xx, or with something that is no data.
    TemporaryApiError,
    /// A statement of ours took too long or was in another's way.
    DatabaseTimeout,
    /// The provider asked for fewer calls.
    RateLimit,
    /// The provider's quota is spent.
    QuotaExceeded,
    /// The provider does not know our token any more.
    AuthenticationError,
    /// The user did not allow this.
    PermissionDenied,
    /// The whole answer makes no sense.
    InvalidData,
    /// The provider has ended.
    ProviderGone,
    /// The code that a user came back with was not exchanged in time, or is not accepted.
    CodeExpired,
    /// The attempt took too long.
    FunctionTimeout,
    /// An answer was larger than it may be.
    MemoryLimit,
    /// Worker after worker was lost at the same place.
    WorkerLost,
    /// Anything else.
    UnknownError,
}

impl Code {
    /// What to do about it.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::NetworkError | Self::TemporaryApiError | Self::DatabaseTimeout => {
                Class::Retryable
            }
            Self::RateLimit | Self::QuotaExceeded => Class::Waiting,
            Self::AuthenticationError
            | Self::PermissionDenied
            | Self::InvalidData
            | Self::ProviderGone
            | Self::CodeExpired => Class::Terminal,
            Self::FunctionTimeout | Self::MemoryLimit | Self::WorkerLost | Self::UnknownError => {
                Class::System
            }
        }
    }

    /// What the user can do, as a word that an app turns into a button.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::AuthenticationError => "reconnect",
            Self::CodeExpired => "connect",
            Self::PermissionDenied => "grant_access",
            Self::ProviderGone => "connect_another_provider",
            Self::InvalidData => "contact_support",
            Self::RateLimit | Self::QuotaExceeded => "wait",
            _ => "retry",
        }
    }
}

/// One failed attempt, as kept in `last_error` and shown to its user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Which failure.
    pub code: Code,
    /// For people. Never a token, an email or a body.
    pub message: String,
    /// Where in the pipeline.
    pub phase: Phase,
    /// Page, endpoint, HTTP status: what helps to find the cause.
    #[serde(default)]
    pub context: serde_json::Map<String, Value>,
    /// When, by the clock of the process that saw it.
    pub at: DateTime<Utc>,
}

/// No more of a message than this tells kinds of failures apart.
const TOLD_APART_BY: usize = 300;

impl Failure {
    /// Equal for failures of one kind, whatever user, page, id or time they met; 16 hexadecimal digits.
    ///
    /// Kept in tables: a change of it parts what belongs together.
    #[must_use]
    pub fn fingerprint(&self, provider: Provider, job_type: &str) -> String {
        let in_context = |key| self.context.get(key).unwrap_or(&Value::Null);
        let code = serde_json::to_string(&self.code).unwrap_or_default();
        let parts = [
            provider.as_str().to_owned(),
            job_type.to_owned(),
            self.phase.as_str().to_owned(),
            code,
            in_context("endpoint").as_str().map(endpoint_kind).unwrap_or_default(),
            in_context("httpStatus").to_string(),
            message_kind(&self.message),
        ];
        let digest = Sha256::digest(parts.join("\0"));
        let half = digest.first_chunk().copied().unwrap_or_default();
        format!("{:016x}", u64::from_be_bytes(half))
    }
}

/// A path without the ids in it.
fn endpoint_kind(endpoint: &str) -> String {
    let is_id = |part: &str| {
        part.contains(|c: char| c.is_ascii_digit())
            && (part.len() >= 8 || part.chars().all(|c| c.is_ascii_digit()))
    };
    let path = endpoint.split('?').next().unwrap_or_default();
    let parts: Vec<&str> =
        path.split('/').map(|part| if is_id(part) { "#" } else { part }).collect();
    parts.join("/")
}

/// A message without what differs from case to case: quoted parts, and words with a digit in them,
/// which are numbers, ids, times and versions.
fn message_kind(message: &str) -> String {
    let unquoted = without_quotes(message);
    let mut words: Vec<&str> = Vec::new();
    let breaks =
        |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '(' | ')' | '[' | ']' | '=');
    for word in unquoted.split(breaks).filter(|word| !word.is_empty()) {
        let word = if word.contains(|c: char| c.is_numeric()) { "#" } else { word };
        // A list of numbers is as good as one.
        if word != "#" || words.last() != Some(&"#") {
            words.push(word);
        }
    }
    let mut kind = words.join(" ");
    kind.truncate(kind.floor_char_boundary(TOLD_APART_BY));
    kind
}

/// The text with `#` for each quoted part. An apostrophe within a word quotes nothing.
fn without_quotes(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some(at) = rest.find(['"', '\'', '`']) {
        let (before, quoted) = rest.split_at(at);
        out.push_str(before);
        let mut inner = quoted.chars();
        let quote = inner.next().unwrap_or('"');
        let within = inner.as_str();
        let in_word = quote == '\'' && before.ends_with(char::is_alphanumeric);
        if let Some(end) = within.find(quote).filter(|_| !in_word) {
            out.push('#');
            rest = &within[end + quote.len_utf8()..];
        } else {
            out.push(quote);
            rest = within;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn failure(message: &str, endpoint: &str, status: u16) -> Failure {
        let context =
            json!({ "endpoint": endpoint, "httpStatus": status, "page": status, "tries": 3 });
        Failure {
            code: Code::TemporaryApiError,
            message: message.to_owned(),
            phase: Phase::Fetch,
            context: context.as_object().cloned().unwrap_or_default(),
            at: Utc::now(),
        }
    }

    fn print(failure: &Failure) -> String {
        failure.fingerprint(Provider::Strava, "activities")
    }

    #[test]
    fn the_same_failure_on_another_page_id_or_time_has_the_same_fingerprint() {
        for (one, other) in [
            ("no data: HTTP 502 Bad Gateway", "no data: HTTP 502 Bad Gateway"),
            ("record 17 of page 3 is too long", "record 209 of page 12 is too long"),
            (
                "no row 0192f0c1-2a5b-7c3d-8e4f-a1b2c3d4e5f6 at 2026-11-21T10:00:00Z",
                "no row 5e0f0c1b-2a5b-4c3d-8e4f-0000c3d4e5f6 at 2025-01-01T23:59:59.5Z",
            ),
            ("key (\"user_id\")=(7) exists", "key (\"athlete\")=(1234) exists"),
            ("the field 'name' can't be read", "the field 'start date' can't be read"),
            ("took 1.5s, 20 ms too long", "took 30s, 9 ms too long"),
            ("bad values 1, 2, 3", "bad values 4"),
        ] {
            let (a, b) = (
                failure(one, "athlete/activities", 502),
                failure(other, "athlete/activities", 502),
            );
            assert_eq!(print(&a), print(&b), "{one} | {other}");
        }
        let of = |path: &str| print(&failure("no data", path, 500));
        assert_eq!(of("activities/123456/streams"), of("activities/99/streams?keys=x"));
    }

    #[test]
    fn every_part_that_a_reader_would_act_on_tells_failures_apart() {
        let base = failure("no data: HTTP", "athlete/activities", 500);
        let mut prints = vec![
            print(&base),
            base.fingerprint(Provider::Fitbit, "activities"),
            base.fingerprint(Provider::Strava, "measurements"),
            print(&failure("no data: HTTP", "oauth/token", 500)),
            print(&failure("no data: HTTP", "athlete/activities", 503)),
            print(&failure("no answer: HTTP", "athlete/activities", 500)),
            print(&Failure { code: Code::NetworkError, ..base.clone() }),
            print(&Failure { phase: Phase::Store, ..base.clone() }),
            print(&Failure { context: serde_json::Map::new(), ..base.clone() }),
        ];
        assert!(prints.iter().all(|print| print.len() == 16));
        prints.sort();
        prints.dedup();
        assert_eq!(prints.len(), 9);
    }

    #[test]
    fn a_fingerprint_stays_what_it_was_in_older_rows() {
        assert_eq!(
            print(&failure("no data: HTTP 502", "athlete/activities", 502)),
            "0447a8908e9da109"
        );
    }

    #[test]
    fn odd_messages_have_fingerprints_too() {
        for odd in ["", "\"", "'", "don't", "''", "`a` \"b", &"ü'".repeat(500), "\u{0}"] {
            assert_eq!(print(&failure(odd, "", 0)).len(), 16, "{odd:?}");
        }
        assert_eq!(message_kind("it doesn't fit, isn't it?"), "it doesn't fit isn't it?");
        assert_eq!(message_kind("a 'b' c"), "a # c");
    }
}
