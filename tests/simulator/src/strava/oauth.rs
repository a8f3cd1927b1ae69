//! Strava's OAuth: tokens and the end of consent. The page where consent is given is `consent`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::errors::{BAD_CLIENT, Refusal};
use super::profile;
use super::tokens::{Bearer, TokenPair};
use crate::credentials;
use crate::http::{self, Fields};
use crate::locks::{locked, reading};
use crate::world::World;

/// `POST /oauth/token`, form or JSON.
pub(super) async fn token(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Refusal> {
    let fields = fields(&headers, query.as_deref(), &body);
    check_client(&world, &fields, true)?;
    match fields.one("grant_type") {
        Some("authorization_code") => exchange(&world, &fields),
        Some("refresh_token") => refresh(&world, &fields),
        _ => Err(Refusal::Invalid { resource: "Application", field: "grant_type" }),
    }
}

fn exchange(world: &World, fields: &Fields) -> Result<Response, Refusal> {
    let now = world.clock.now();
    let invalid = Refusal::Invalid { resource: "AuthorizationCode", field: "code" };
    let code = fields.one("code").ok_or(invalid)?;
    let pair = locked(&world.strava.tokens).exchange(code, now).ok_or(invalid)?;
    let athlete = world.strava.athlete(pair.athlete).ok_or(invalid)?;
    let athlete = profile::summary(&reading(&athlete));
    let body = json!({
        "token_type": "Bearer",
        "expires_at": pair.expires_at,
        "expires_in": pair.expires_at - now.timestamp(),
        "refresh_token": pair.refresh_token,
        "access_token": pair.access_token,
        "athlete": athlete,
    });
    Ok(http::json(200, body.to_string()))
}

fn refresh(world: &World, fields: &Fields) -> Result<Response, Refusal> {
    let now = world.clock.now();
    let invalid = Refusal::Invalid { resource: "RefreshToken", field: "refresh_token" };
    let token = fields.one("refresh_token").ok_or(invalid)?;
    let pair: TokenPair = locked(&world.strava.tokens).refresh(token, now).ok_or(invalid)?;
    let body = json!({
        "token_type": "Bearer",
        "access_token": pair.access_token,
        "expires_at": pair.expires_at,
        "expires_in": pair.expires_at - now.timestamp(),
        "refresh_token": pair.refresh_token,
    });
    Ok(http::json(200, body.to_string()))
}

/// `POST /oauth/deauthorize`: ends every authorization of the token's athlete.
pub(super) async fn deauthorize(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Refusal> {
    let fields = fields(&headers, query.as_deref(), &body);
    let token = credentials::bearer(&headers).or_else(|| fields.one("access_token"));
    let token = token.ok_or(Refusal::Unauthorized)?;
    let mut tokens = locked(&world.strava.tokens);
    let bearer = tokens.bearer(token, world.clock.now()).ok_or(Refusal::Unauthorized)?;
    tokens.revoke(bearer.athlete);
    Ok(http::json(200, json!({ "access_token": token }).to_string()))
}

/// `POST /oauth/revoke`, which replaces `deauthorize`: the application proves itself with Basic
/// credentials and sends one of the athlete's tokens, whichever. 200 also when that is dead already.
pub(super) async fn revoke(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let application = credentials::basic(&headers).ok_or(BAD_CLIENT)?;
    if world.config.strava_application.as_ref().is_some_and(|known| *known != application) {
        return Err(BAD_CLIENT);
    }
    let fields = fields(&headers, None, &body);
    let missing = Refusal::Invalid { resource: "Application", field: "token" };
    let token = fields.one("token").filter(|token| !token.is_empty()).ok_or(missing)?;
    let mut tokens = locked(&world.strava.tokens);
    if let Some(athlete) = tokens.holder(token) {
        tokens.revoke(athlete);
    }
    Ok(http::json(200, "{}"))
}

/// Refuses an application that Strava does not know; with `secret`, also one that cannot prove
/// who it is.
pub(super) fn check_client(world: &World, fields: &Fields, secret: bool) -> Result<(), Refusal> {
    let id = fields.one("client_id").filter(|id| !id.is_empty()).ok_or(BAD_CLIENT)?;
    let given = fields.one("client_secret").filter(|given| !given.is_empty());
    if secret && given.is_none() {
        return Err(BAD_CLIENT);
    }
    match &world.config.strava_application {
        Some(known) if known.client_id != id => Err(BAD_CLIENT),
        Some(known) if secret && given != Some(&known.client_secret) => Err(BAD_CLIENT),
        _ => Ok(()),
    }
}

pub(crate) fn fields(headers: &HeaderMap, query: Option<&str>, body: &[u8]) -> Fields {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/json") {
        return Fields::from_json(body).unwrap_or_default();
    }
    Fields::parse(if body.is_empty() { query.unwrap_or_default().as_bytes() } else { body })
}

/// Who asks. A token in the query is not looked at: Strava stops taking it there.
pub(crate) fn bearer(world: &World, headers: &HeaderMap) -> Option<Bearer> {
    let token = credentials::bearer(headers)?;
    locked(&world.strava.tokens).bearer(token, world.clock.now())
}
