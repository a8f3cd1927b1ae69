//! Answers given once: a request with an `Idempotency-Key` that was answered is answered the same
//! again, from the row that was written in the transaction of the act. Failures change nothing, so
//! they are not kept.

use crate::{
    extract::{IdempotencyKey, Json},
    problem::{Kind, Problem},
};
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use paceline_shared::{
    UserId,
    db::idempotency_keys::{self, Known},
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A request that may come twice.
pub(crate) struct Request {
    key: Option<String>,
    user: UserId,
    route: String,
    hash: [u8; 32],
}

/// An answer that can be kept.
pub(crate) struct Answer {
    status: StatusCode,
    body: Value,
    replayed: bool,
}

impl Request {
    /// `asked`: what makes two requests the same.
    pub(crate) fn new(
        IdempotencyKey { key }: IdempotencyKey,
        user: UserId,
        route: impl Into<String>,
        asked: &impl Serialize,
    ) -> Result<Self, Problem> {
        let asked = serde_json::to_vec(asked).map_err(|error| unwritable(&error))?;
        Ok(Self { key, user, route: route.into(), hash: Sha256::digest(asked).into() })
    }

    /// The answer that was given before. Of two equal requests at once the second waits here.
    pub(crate) async fn answered(&self, tx: &mut PgConnection) -> Result<Option<Answer>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        match idempotency_keys::look_up(tx, self.user, &self.route, key, &self.hash).await? {
            Known::New => Ok(None),
            Known::Mismatch => Err(Problem::new(Kind::IdempotencyKeyReused)),
            Known::Answered { status, response } => Ok(Some(Answer {
                status: u16::try_from(status)
                    .ok()
                    .and_then(|status| StatusCode::from_u16(status).ok())
                    .unwrap_or(StatusCode::OK),
                body: response,
                replayed: true,
            })),
        }
    }

    /// Keeps the answer, in the transaction of the act.
    pub(crate) async fn accepted(
        &self,
        tx: &mut PgConnection,
        body: &impl Serialize,
    ) -> Result<Answer, Problem> {
        let status = StatusCode::ACCEPTED;
        let body = serde_json::to_value(body).map_err(|error| unwritable(&error))?;
        if let Some(key) = &self.key {
            let status = 202;
            idempotency_keys::remember(tx, self.user, &self.route, key, &self.hash, status, &body)
                .await?;
        }
        Ok(Answer { status, body, replayed: false })
    }
}

fn unwritable(error: &serde_json::Error) -> Problem {
    tracing::error!(%error, "a value could not be written as JSON");
    Problem::new(Kind::Internal)
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let location = self.body["syncId"]
            .as_str()
            .and_then(|id| HeaderValue::try_from(format!("/api/v1/syncs/{id}")).ok());
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.extend(location.map(|location| (header::LOCATION, location)));
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
