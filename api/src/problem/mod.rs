//! What every request that fails is answered with: RFC 9457 problem details.
//!
//! A problem says what a caller needs and nothing of the inside; the log has the rest.

mod kind;

pub(crate) use kind::Kind;

use crate::observe;
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use paceline_shared::{JobId, db};
use serde::Serialize;
use std::borrow::Cow;

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// A field that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct FieldError {
    /// Where, with dots between the levels; a parameter or a header by its name.
    #[schema(example = "options.batchSize")]
    pub(crate) field: String,
    /// What it must be.
    #[schema(example = "must be from 1 to 200, and is 0")]
    pub(crate) message: String,
}

impl FieldError {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// A failure, ready to be answered.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    detail: Option<Cow<'static, str>>,
    sync_id: Option<JobId>,
    action: Option<&'static str>,
    errors: Vec<FieldError>,
    challenge: Option<String>,
}

/// Problem details (RFC 9457).
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub(crate) struct Body<'a> {
    /// Which problem; the reference can be fetched.
    #[schema(example = "/problems/already-running")]
    r#type: String,
    /// The problem in a few words, always the same for the same type.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What went wrong this time.
    detail: &'a str,
    /// This one occurrence; the log has it as `request.id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    #[schema(example = "urn:uuid:019a9c6e-7b0c-7d4e-9d52-0a6a1c0e8f11")]
    instance: Option<String>,
    /// The sync that the problem is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sync_id: Option<JobId>,
    /// What the user can do, as a word: `connect`, `reconnect`, `connect_another_provider`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    action: Option<&'static str>,
    /// The fields at fault.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    errors: &'a [FieldError],
}

impl Problem {
    pub(crate) const fn new(kind: Kind) -> Self {
        Self {
            kind,
            detail: None,
            sync_id: None,
            action: None,
            errors: Vec::new(),
            challenge: None,
        }
    }

    /// Says what went wrong this time.
    pub(crate) fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Names the sync it is about.
    pub(crate) const fn sync(mut self, id: JobId) -> Self {
        self.sync_id = Some(id);
        self
    }

    /// Names what the user can do about it.
    pub(crate) const fn action(mut self, action: &'static str) -> Self {
        self.action = Some(action);
        self
    }

    /// Says in `WWW-Authenticate` which credentials are asked for.
    pub(crate) fn challenge(mut self, challenge: impl Into<String>) -> Self {
        self.challenge = Some(challenge.into());
        self
    }

    /// The request is wrong in these fields.
    pub(crate) fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = errors
            .iter()
            .map(|error| {
                if error.field.is_empty() {
                    error.message.clone()
                } else {
                    format!("{}: {}", error.field, error.message)
                }
            })
            .collect::<Vec<_>>()
            .join("; ");
        Self { errors, ..Self::new(Kind::InvalidRequest).detail(detail) }
    }

    /// The request is wrong in this field.
    pub(crate) fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(vec![FieldError::new(field, message)])
    }

    /// For the moment; worth another try in a second.
    pub(crate) fn unavailable(detail: &'static str) -> Self {
        Self::new(Kind::Unavailable).detail(detail)
    }

    /// The fields at fault.
    #[cfg(test)]
    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let entry = self.kind.entry();
        let body = Body {
            r#type: self.kind.reference(),
            title: entry.title,
            status: entry.status.as_u16(),
            detail: self.detail.as_deref().unwrap_or(entry.meaning),
            instance: observe::request_id().map(|id| id.urn().to_string()),
            sync_id: self.sync_id,
            action: self.action,
            errors: &self.errors,
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        // Strings, numbers and ids: there is nothing in it that JSON cannot say.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (entry.status, headers, body).into_response();
        let headers = response.headers_mut();
        if self.kind == Kind::Unavailable {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Some(challenge) = self.challenge.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

impl From<db::Error> for Problem {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Unreachable(_) => {
                tracing::warn!(reason = error.reason(), "{error}");
                Self::unavailable("The database cannot be reached.")
            }
            db::Error::Busy(_) => {
                tracing::warn!(reason = error.reason(), "{error}");
                Self::unavailable("The database is busy.")
            }
            db::Error::Refused(_) | db::Error::Other(_) => {
                tracing::error!(reason = error.reason(), "{error}");
                Self::new(Kind::Internal)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::StatusCode;
    use serde_json::{Value, json};

    async fn answered(problem: Problem) -> (Response, Value) {
        let (parts, body) = problem.into_response().into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (
            Response::from_parts(parts, ().into_response().into_body()),
            serde_json::from_slice(&bytes).unwrap(),
        )
    }

    #[tokio::test]
    async fn a_problem_says_what_rfc_9457_asks_for() {
        let id = JobId::fresh();
        let (response, body) =
            answered(Problem::new(Kind::AlreadyRunning).detail("Strava is being read.").sync(id))
                .await;
        assert_eq!(response.status(), StatusCode::CONFLICT);
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        assert_eq!(
            body,
            json!({
                "type": "/problems/already-running", "title": "A sync is already under way", "status": 409,
                "detail": "Strava is being read.", "syncId": id
            })
        );
    }

    #[tokio::test]
    async fn every_field_at_fault_is_named_in_the_detail_too() {
        let (_, body) = answered(Problem::invalid(vec![
            FieldError::new("provider", "is missing"),
            FieldError::new("", "is no object"),
        ]))
        .await;
        assert_eq!(body["detail"], "provider: is missing; is no object");
        assert_eq!(body["errors"][0], json!({"field": "provider", "message": "is missing"}));
    }

    #[tokio::test]
    async fn what_the_database_said_stays_inside() {
        let error = db::Error::Other(sqlx::Error::Configuration("secret place".into()));
        let (response, body) = answered(error.into()).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!body.to_string().contains("secret"));
        let (response, _) =
            answered(db::Error::Unreachable(sqlx::Error::PoolTimedOut).into()).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }
}
