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
    /// Whose keys these are.
    owner: UserId,
    route: String,
    hash: [u8; 32],
    jobs_path: &'static str,
}

/// An answer that can be kept.
pub(crate) struct Answer {
    status: StatusCode,
    body: Value,
    /// Where its caller finds jobs.
    jobs_path: &'static str,
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
        let hash = Sha256::digest(asked).into();
        Ok(Self { key, owner: user, route: route.into(), hash, jobs_path: "syncs" })
    }

    /// The same for a member of staff, who need not be a user.
    pub(crate) fn of_staff(
        key: IdempotencyKey,
        subject: &str,
        route: impl Into<String>,
        asked: &impl Serialize,
    ) -> Result<Self, Problem> {
        let request = Self::new(key, owner_of(subject), route, asked)?;
        Ok(Self { jobs_path: "admin/jobs", ..request })
    }

    /// The answer that was given before. Of two equal requests at once the second waits here.
    pub(crate) async fn answered(&self, tx: &mut PgConnection) -> Result<Option<Answer>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        match idempotency_keys::look_up(tx, self.owner, &self.route, key, &self.hash).await? {
            Known::New => Ok(None),
            Known::Mismatch => Err(Problem::new(Kind::IdempotencyKeyReused)),
            Known::Answered { status, response } => Ok(Some(Answer {
                status: u16::try_from(status)
                    .ok()
                    .and_then(|status| StatusCode::from_u16(status).ok())
                    .unwrap_or(StatusCode::OK),
                body: response,
                jobs_path: self.jobs_path,
                replayed: true,
            })),
        }
    }

    /// Keeps the answer 202, in the transaction of the act.
    pub(crate) async fn accepted(
        &self,
        tx: &mut PgConnection,
        body: &impl Serialize,
    ) -> Result<Answer, Problem> {
        self.answer(tx, StatusCode::ACCEPTED, body).await
    }

    /// Keeps an answer, in the transaction of the act.
    pub(crate) async fn answer(
        &self,
        tx: &mut PgConnection,
        status: StatusCode,
        body: &impl Serialize,
    ) -> Result<Answer, Problem> {
        let body = serde_json::to_value(body).map_err(|error| unwritable(&error))?;
        if let Some(key) = &self.key {
            // No status is larger.
            let status = i16::try_from(status.as_u16()).unwrap_or(i16::MAX);
            idempotency_keys::remember(tx, self.owner, &self.route, key, &self.hash, status, &body)
                .await?;
        }
        Ok(Answer { status, body, jobs_path: self.jobs_path, replayed: false })
    }
}

/// An id for a subject that may be no user's. It is version 8, and users' are version 7, so none of them is meant.
fn owner_of(subject: &str) -> UserId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(format!("staff/{subject}"))[..16]);
    UserId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

fn unwritable(error: &serde_json::Error) -> Problem {
    tracing::error!(%error, "a value could not be written as JSON");
    Problem::new(Kind::Internal)
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let at = |member: &str, path: &str| {
            self.body[member].as_str().map(|id| format!("/api/v1/{path}/{id}"))
        };
        let location =
            at("operationId", "admin/operations").or_else(|| at("syncId", self.jobs_path));
        let location = location.and_then(|path| HeaderValue::try_from(path).ok());
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.extend(location.map(|location| (header::LOCATION, location)));
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_staff_are_their_own_and_no_users() {
        let (ada, ora) = (owner_of("ada"), owner_of("ora"));
        assert_eq!(ada, owner_of("ada"));
        assert_ne!(ada, ora);
        assert_eq!(ada.0.get_version_num(), 8);
        assert_eq!(UserId::fresh().0.get_version_num(), 7);
    }
}
