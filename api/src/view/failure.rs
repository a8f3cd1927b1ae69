//! A record that failed alone, and a sync's own failure, as their user reads them.

use super::phases::PhaseName;
use chrono::{DateTime, Utc};
use paceline_shared::{
    db::record_failures::RecordFailure,
    failure::{Class, Code, Failure},
};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Why a sync failed, or is being tried again.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SyncError {
    /// Which failure; programs branch on it.
    pub(crate) code: Code,
    /// For people.
    pub(crate) message: String,
    /// Where in the pipeline.
    pub(crate) phase: PhaseName,
    /// Whether trying again can help without somebody doing something first.
    pub(crate) retryable: bool,
    /// What the user can do, as a word: `retry`, `wait`, `reconnect`, `grant_access`,
    /// `connect_another_provider`, `contact_support`.
    pub(crate) action: &'static str,
    /// What helps to find the cause: page, endpoint, HTTP status. No secrets.
    #[schema(value_type = Object)]
    pub(crate) context: Map<String, Value>,
    /// When.
    pub(crate) timestamp: DateTime<Utc>,
}

impl From<&Failure> for SyncError {
    fn from(failure: &Failure) -> Self {
        Self {
            code: failure.code,
            message: failure.message.clone(),
            phase: failure.phase.into(),
            retryable: failure.code.class() != Class::Terminal,
            action: failure.code.action(),
            context: redacted(&failure.context),
            timestamp: failure.at,
        }
    }
}

/// Words in the name of a value that nobody may read.
const SECRET: [&str; 8] =
    ["token", "secret", "password", "authorization", "cookie", "credential", "email", "body"];
/// The longest text that is shown, in characters.
const TEXT_LIMIT: usize = 300;

/// The context without what could be a secret, its names in camelCase. The worker puts no secret in;
/// this is the second lock.
pub(in crate::view) fn redacted(context: &Map<String, Value>) -> Map<String, Value> {
    context
        .iter()
        .filter(|(name, _)| {
            let name = name.to_ascii_lowercase();
            !SECRET.iter().any(|word| name.contains(word))
        })
        .map(|(name, value)| (camel_case(name), shown(value)))
        .collect()
}

fn shown(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            // A URL's query is where keys travel.
            let text = if text.contains("://") {
                text.split(['?', '#']).next().unwrap_or_default()
            } else {
                text
            };
            Value::String(text.chars().take(TEXT_LIMIT).collect())
        }
        Value::Object(inner) => Value::Object(redacted(inner)),
        Value::Array(items) => items.iter().map(shown).collect(),
        other => other.clone(),
    }
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_').filter(|word| !word.is_empty());
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        camel.push_str(letters.as_str());
    }
    camel
}

/// A record that could not be read or stored; the sync went on without it.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RecordFailure)]
pub(crate) struct RecordFailureView {
    /// Its id.
    pub(crate) id: Uuid,
    /// The provider's page, from 1.
    pub(crate) page: i32,
    /// The place on the page, from 0.
    pub(crate) position: i32,
    /// The provider's id, where it could be read.
    pub(crate) provider_record_id: Option<String>,
    /// `unreadable`: the record made no sense; `refused`: the database took it not.
    pub(crate) code: String,
    /// For people.
    pub(crate) message: String,
    /// When.
    pub(crate) timestamp: DateTime<Utc>,
}

impl From<RecordFailure> for RecordFailureView {
    fn from(row: RecordFailure) -> Self {
        Self {
            id: row.id,
            page: row.page,
            position: row.position,
            provider_record_id: row.provider_record_id,
            code: row.code,
            message: row.message,
            timestamp: row.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_context_shows_what_helps_and_nothing_secret() {
        let context = json!({
            "http_status": 503, "endpoint": "https://provider.example/activities?access_token=abc#x",
            "page": 4, "access_token": "abc", "Authorization": "Bearer abc", "response_body": "<html>",
            "retry": {"refreshToken": "abc", "after_s": 3}, "tried": ["https://a.example/?k=abc"], "long": "x".repeat(1000)
        });
        let shown = Value::Object(redacted(context.as_object().unwrap()));
        assert_eq!(
            shown,
            json!({
                "httpStatus": 503, "endpoint": "https://provider.example/activities", "page": 4,
                "retry": {"afterS": 3}, "tried": ["https://a.example/"], "long": "x".repeat(300)
            })
        );
    }
}
