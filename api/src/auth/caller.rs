//! The caller as handlers see him: taken from the header `Authorization`, or a problem.

use super::verifier::{Refusal, is_subject};
use crate::{
    app::App,
    problem::{Kind, Problem},
};
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use paceline_shared::{UserId, db};
use std::borrow::Cow;

/// Somebody with a valid token.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) user: UserId,
    subject: String,
    is_service: bool,
}

impl Caller {
    /// The user a request is about: the caller, or the one that a service names.
    pub(crate) async fn acting_for(
        &self,
        app: &App,
        user_id: Option<&str>,
    ) -> Result<UserId, Problem> {
        let Some(named) = user_id.filter(|named| *named != self.subject) else {
            return Ok(self.user);
        };
        if !self.is_service {
            return Err(Problem::new(Kind::AnotherUser));
        }
        let nobody = || Problem::invalid_field("userId", "names nobody who was ever seen here");
        if !is_subject(named) {
            return Err(nobody());
        }
        if let Some(user) = app.subjects.find(named) {
            return Ok(user);
        }
        let user = db::users::find_subject(&app.db, named).await?.ok_or_else(nobody)?;
        app.subjects.remember(named.to_owned(), user);
        Ok(user)
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = bearer(&parts.headers)?;
        let verified = app.verifier.verify(token).await.map_err(refused)?;
        let is_service = verified.role.as_deref() == Some(app.service_role.as_str());
        let user = if let Some(user) = app.subjects.find(&verified.subject) {
            user
        } else {
            let user = db::users::of_subject(&app.db, &verified.subject).await?;
            app.subjects.remember(verified.subject.clone(), user);
            user
        };
        Ok(Self { user, subject: verified.subject, is_service })
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => {
            return Err(unauthenticated("Send a bearer token.", "Bearer realm=\"paceline\""));
        }
        (Some(value), None) => value,
        (Some(_), Some(_)) => return Err(refused(Refusal::Malformed)),
    };
    value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| refused(Refusal::Malformed))
}

fn refused(refusal: Refusal) -> Problem {
    if refusal == Refusal::KeysUnavailable {
        return Problem::unavailable("The keys of the token's issuer cannot be fetched.");
    }
    let challenge = format!(
        "Bearer realm=\"paceline\", error=\"invalid_token\", error_description=\"{refusal}\""
    );
    unauthenticated(refusal.to_string(), challenge)
}

fn unauthenticated(detail: impl Into<Cow<'static, str>>, challenge: impl Into<String>) -> Problem {
    Problem::new(Kind::Unauthenticated).detail(detail).challenge(challenge)
}
