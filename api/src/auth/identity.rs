//! Who a request comes from, as its token says: verified once and kept with the request, for whoever asks
//! after that.

use super::verifier::{Refusal, Verified};
use crate::{
    app::App,
    problem::{Kind, Problem},
};
use axum::http::{HeaderMap, header, request::Parts};
use std::borrow::Cow;

/// The token's words, or why they do not count.
#[derive(Clone)]
struct Checked(Result<Verified, Problem>);

/// Whom the request's token speaks for.
pub(crate) async fn identity(parts: &mut Parts, app: &App) -> Result<Verified, Problem> {
    if let Some(Checked(known)) = parts.extensions.get() {
        return known.clone();
    }
    let checked = match bearer(&parts.headers) {
        Ok(token) => app.verifier.verify(token).await.map_err(refused),
        Err(problem) => Err(problem),
    };
    parts.extensions.insert(Checked(checked.clone()));
    checked
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
