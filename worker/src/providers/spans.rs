//! What the providers' plans have in common: which spans of time are to be read, and steps as JSON.

use super::{
    Detail, Error,
    source::{Answer, Ask},
};
use bytes::Bytes;
use chrono::TimeDelta;
use paceline_shared::db::connection_coverage::{Coverage, Span, gaps};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The spans of a list that are to be read: all that is asked for, or what of it is not covered, with the look-back.
/// In order, without overlap, each ended by the time of planning at the latest.
#[must_use]
pub fn to_read(ask: &Ask<'_>, stream: &str, look_back: TimeDelta) -> Vec<Span> {
    let asked = Span::from(ask.range);
    let to = asked.to.map_or(ask.now, |to| to.min(ask.now));
    let within = Span { from: asked.from, to: Some(to) };
    if within.from.is_some_and(|from| from >= to) {
        return vec![];
    }
    if !ask.only_new {
        return vec![within];
    }
    let covered: Vec<Span> = ask
        .coverage
        .iter()
        .filter(|list| list.stream == stream)
        .flat_map(|list| list.spans.iter().copied())
        .filter_map(|span| before(span, ask.now - look_back))
        .collect();
    gaps(&covered, within)
}

/// The part of a span before `end`: what lies behind is read again.
fn before(span: Span, end: chrono::DateTime<chrono::Utc>) -> Option<Span> {
    if span.from.is_some_and(|from| from >= end) {
        return None;
    }
    Some(Span { from: span.from, to: Some(span.to.map_or(end, |to| to.min(end))) })
}

/// Where the list of changes goes on.
#[must_use]
pub fn mark<'a>(coverage: &'a [Coverage], stream: &str) -> Option<&'a Value> {
    coverage.iter().find(|list| list.stream == stream).and_then(|list| list.mark.as_ref())
}

/// A step as its provider wrote it.
pub fn step<S: DeserializeOwned>(step: &Value) -> Result<S, Error> {
    S::deserialize(step).map_err(|error| no_step(&error.to_string()))
}

/// What is asked for needs this scope, and the user withheld it. No call is made to find out.
#[must_use]
pub fn not_granted(scope: &str) -> Error {
    Error::Denied(Detail { message: format!("{scope} was not granted"), ..Detail::default() })
}

/// A step that cannot be taken.
#[must_use]
pub fn no_step(why: &str) -> Error {
    let message = format!("a step of this sync cannot be read: {why}");
    Error::Refused(Detail { message, ..Detail::default() })
}

impl Answer {
    /// An answer with nothing but a body, the last one of its sync.
    #[must_use]
    pub const fn of(stream: &'static str, body: Bytes) -> Self {
        Self { stream, body, context: None, next: None, left: None, mark: None, profile: None }
    }

    /// The same, with a step after it.
    #[must_use]
    pub fn then(self, next: Option<Value>) -> Self {
        Self { next, ..self }
    }
}
