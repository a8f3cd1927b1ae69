//! Garmin's token endpoint. The page where consent is given is `consent`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::json;

use super::errors::OAuthRefusal;
use super::tokens::GarminTokens;
use crate::http::{self, Fields};
use crate::locks::locked;
use crate::world::World;

/// `POST /di-oauth2-service/oauth/token`, a form.
pub(super) async fn token(
    State(world): State<Arc<World>>,
    body: Bytes,
) -> Result<Response, OAuthRefusal> {
    let fields = Fields::parse(&body);
    check_client(&world, &fields, true)?;
    let now = world.clock.now();
    let pair = match fields.one("grant_type") {
        Some("authorization_code") => {
            let code = fields.one("code").ok_or(OAuthRefusal::Request("code is missing"))?;
            let verifier = fields.one("code_verifier").filter(|text| !text.is_empty());
            let verifier = verifier.ok_or(OAuthRefusal::Request("code_verifier is missing"))?;
            let redirect_uri = fields.one("redirect_uri");
            let mut tokens = locked(&world.garmin.tokens);
            tokens.exchange(code, verifier, redirect_uri, now).map_err(OAuthRefusal::Grant)?
        }
        Some("refresh_token") => {
            let token = fields.one("refresh_token");
            let token = token.ok_or(OAuthRefusal::Request("refresh_token is missing"))?;
            let refreshed = locked(&world.garmin.tokens).refresh(token, now);
            refreshed.ok_or(OAuthRefusal::Grant("Invalid refresh token"))?
        }
        _ => return Err(OAuthRefusal::GrantType),
    };
    Ok(http::json(200, told(&pair, now)))
}

fn told(pair: &GarminTokens, now: DateTime<Utc>) -> String {
    let told = json!({
        "access_token": pair.access_token,
        "expires_in": pair.expires_at - now.timestamp(),
        "token_type": "bearer",
        "refresh_token": pair.refresh_token,
        "refresh_token_expires_in": pair.refresh_expires_at - now.timestamp(),
        "scope": pair.scope,
        "jti": pair.jti,
    });
    told.to_string()
}

/// Refuses an application that Garmin does not know; with `secret`, also one that cannot prove who
/// it is.
pub(super) fn check_client(
    world: &World,
    fields: &Fields,
    secret: bool,
) -> Result<(), OAuthRefusal> {
    let id = fields.one("client_id").filter(|id| !id.is_empty()).ok_or(OAuthRefusal::Client)?;
    let given = fields.one("client_secret").filter(|given| !given.is_empty());
    if secret && given.is_none() {
        return Err(OAuthRefusal::Client);
    }
    match &world.config.garmin_application {
        Some(known) if known.client_id != id => Err(OAuthRefusal::Client),
        Some(known) if secret && given != Some(&known.client_secret) => Err(OAuthRefusal::Client),
        _ => Ok(()),
    }
}
