//! Fitbit's OAuth: tokens, their state, the end of consent. The page where consent is given is
//! `consent`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

use super::errors::Refusal;
use super::tokens::{CodeError, FitbitTokens, LIFETIME_S};
use crate::credentials;
use crate::http::{self, Fields};
use crate::locks::locked;
use crate::world::World;

/// `POST /oauth2/token`: a form, from an application that proves itself with Basic credentials.
pub(super) async fn token(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    check_application(&world, &headers)?;
    let fields = Fields::parse(&body);
    let given = |name: &'static str| fields.one(name).filter(|value| !value.is_empty());
    let now = world.clock.now();
    let mut tokens = locked(&world.fitbit.tokens);
    let pair = match given("grant_type") {
        Some("authorization_code") => {
            let code = given("code").ok_or(Refusal::Request("Missing parameters: code."))?;
            tokens
                .exchange(code, given("code_verifier"), given("redirect_uri"), now)
                .map_err(|error| Refusal::Grant(reason(error).to_owned()))?
        }
        Some("refresh_token") => {
            let lacking = Refusal::Request("Missing parameters: refresh_token.");
            let token = given("refresh_token").ok_or(lacking)?;
            let invalid = || Refusal::Grant(format!("Refresh token invalid: {token}"));
            tokens.refresh(token, now).ok_or_else(invalid)?
        }
        _ => return Err(Refusal::Request("Missing or unknown parameter: grant_type.")),
    };
    drop(tokens);
    Ok(told(&pair))
}

fn reason(error: CodeError) -> &'static str {
    match error {
        CodeError::Dead => "Authorization code invalid or expired",
        CodeError::Verifier => "The code_verifier is invalid",
        CodeError::Redirect => "The redirect_uri is not the one of the authorization request",
    }
}

fn told(pair: &FitbitTokens) -> Response {
    let body = json!({
        "access_token": pair.access_token,
        "expires_in": LIFETIME_S,
        "refresh_token": pair.refresh_token,
        "scope": pair.scope,
        "token_type": "Bearer",
        "user_id": pair.user_id,
    });
    http::json(200, body.to_string())
}

/// `POST /oauth2/revoke`: either token ends the consent; 200 also when that has ended already, as
/// RFC 7009 wants it.
pub(super) async fn revoke(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    check_application(&world, &headers)?;
    let fields = Fields::parse(&body);
    let token = fields.one("token").ok_or(Refusal::Request("Missing parameters: token."))?;
    let ended = locked(&world.fitbit.tokens).end(token);
    tracing::debug!(ended, "a consent at the simulated Fitbit was revoked");
    Ok(http::json(200, ""))
}

/// `POST /1.1/oauth2/introspect`: asked with an access token about any.
pub(super) async fn introspect(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let now = world.clock.now();
    let tokens = locked(&world.fitbit.tokens);
    let asks = credentials::bearer(&headers).and_then(|token| tokens.bearer(token));
    if asks.ok_or(Refusal::Token)?.expires <= now {
        return Err(Refusal::Expired);
    }
    let fields = Fields::parse(&body);
    let token = fields.one("token").ok_or(Refusal::Request("Missing parameters: token."))?;
    let Some(state) = tokens.bearer(token).filter(|state| state.expires > now) else {
        return Ok(http::json(200, r#"{"active":false}"#));
    };
    let scopes: Vec<String> =
        state.scope.split(' ').map(|scope| format!("{}=READ", scope.to_uppercase())).collect();
    let known = world.config.fitbit_application.as_ref();
    let body = json!({
        "active": true,
        "scope": format!("{{{}}}", scopes.join(", ")),
        "client_id": known.map_or("23TEST", |application| application.client_id.as_str()),
        "user_id": state.user,
        "token_type": "access_token",
        "exp": state.expires.timestamp_millis(),
        "iat": state.issued.timestamp_millis(),
    });
    Ok(http::json(200, body.to_string()))
}

/// Refuses an application that sends no Basic credentials, or not those that are known.
fn check_application(world: &World, headers: &HeaderMap) -> Result<(), Refusal> {
    let told = credentials::basic(headers).ok_or(Refusal::Client)?;
    match &world.config.fitbit_application {
        Some(known) if *known != told => Err(Refusal::Client),
        None if told.client_id.is_empty() || told.client_secret.is_empty() => Err(Refusal::Client),
        _ => Ok(()),
    }
}
