//! `POST /v2/oauth2`: tokens, and the end of consent. The page where consent is given is `consent`.
//!
//! An application proves itself by its secret. The documentation's other way, a nonce and a signature,
//! is not simulated; of `revoke` it documents only that way, and here the secret stands for it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use serde_json::{Value, json};

use super::ask::fields;
use super::errors::Refusal;
use super::tokens::{LIFETIME_S, WithingsPair};
use crate::dice::{Dice, mix};
use crate::http::{self, Fields};
use crate::locks::{locked, reading};
use crate::world::World;

const CSRF: u64 = 0x77_63;

pub(super) async fn token(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Refusal> {
    let fields = fields(query.as_deref(), &body);
    check_client(&world, &fields, true)?;
    match (fields.one("action"), fields.one("grant_type")) {
        (Some("requesttoken"), Some("authorization_code")) => exchange(&world, &fields),
        (Some("requesttoken"), Some("refresh_token")) => refresh(&world, &fields),
        (Some("requesttoken"), _) => Err(Refusal::Invalid("grant_type")),
        (Some("revoke"), _) => revoke(&world, &fields),
        _ => Err(Refusal::NotImplemented),
    }
}

fn exchange(world: &World, fields: &Fields) -> Result<Response, Refusal> {
    let code = fields.one("code").ok_or(Refusal::Invalid("code"))?;
    let redirect = fields.one("redirect_uri").filter(|uri| !uri.is_empty());
    let redirect = redirect.ok_or(Refusal::Invalid("redirect_uri"))?;
    let now = world.clock.now();
    let pair = locked(&world.withings.tokens).exchange(code, redirect, now);
    let pair = pair.ok_or(Refusal::Invalid("code"))?;
    let mut told = told(world, &pair)?;
    let mut dice = Dice::new(world.config.seed, CSRF, mix(pair.user));
    told["csrf_token"] = json!(format!("{:016x}{:016x}", dice.draw(), dice.draw()));
    Ok(answer(&told))
}

fn refresh(world: &World, fields: &Fields) -> Result<Response, Refusal> {
    let token = fields.one("refresh_token").ok_or(Refusal::Invalid("refresh_token"))?;
    let pair = locked(&world.withings.tokens).refresh(token, world.clock.now());
    Ok(answer(&told(world, &pair.ok_or(Refusal::Invalid("refresh_token"))?)?))
}

fn told(world: &World, pair: &WithingsPair) -> Result<Value, Refusal> {
    let user = world.withings.user(pair.user).ok_or(Refusal::Invalid("userid"))?;
    Ok(json!({
        "userid": reading(&user).userid(),
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "expires_in": LIFETIME_S,
        "scope": pair.scope,
        "token_type": "Bearer",
    }))
}

fn revoke(world: &World, fields: &Fields) -> Result<Response, Refusal> {
    let user = fields.one("userid").and_then(|id| id.parse().ok());
    let user = user.filter(|&id| world.withings.user(id).is_some());
    locked(&world.withings.tokens).revoke(user.ok_or(Refusal::Invalid("userid"))?);
    Ok(answer(&json!({})))
}

fn answer(body: &Value) -> Response {
    http::json(200, json!({ "status": 0, "body": body }).to_string())
}

/// Refuses an application that Withings does not know; with `secret`, also one that cannot prove who
/// it is.
pub(super) fn check_client(world: &World, fields: &Fields, secret: bool) -> Result<(), Refusal> {
    let bad = Refusal::Invalid("client_id");
    let id = fields.one("client_id").filter(|id| !id.is_empty()).ok_or(bad)?;
    let given = fields.one("client_secret").filter(|given| !given.is_empty());
    if secret && given.is_none() {
        return Err(Refusal::Invalid("client_secret"));
    }
    match &world.config.withings_application {
        Some(known) if known.client_id != id => Err(bad),
        Some(known) if secret && given != Some(&known.client_secret) => {
            Err(Refusal::Invalid("client_secret"))
        }
        _ => Ok(()),
    }
}
