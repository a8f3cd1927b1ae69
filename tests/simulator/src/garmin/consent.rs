//! Garmin's consent page: `GET /oauth2Confirm`, with PKCE.
//!
//! The page itself, and the shortcut that passes it without a click, is `consent_page`. What is
//! ticked there are permissions: they belong to the user, the newest consent holds, and the client
//! reads them at `/user/permissions`, for the way back does not carry them.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use url::Url;

use super::errors::OAuthRefusal;
use super::handle::GARMIN_PERMISSIONS;
use super::oauth::check_client;
use super::population::{self, GarminPopulation};
use super::tokens::Consent;
use crate::consent_page::{Choice, Page, choice, granted, send_back};
use crate::http::Fields;
use crate::locks::{locked, reading, writing};
use crate::world::World;

const BAD_REDIRECT: OAuthRefusal = OAuthRefusal::Request("redirect_uri is missing or invalid");

/// `GET /oauth2Confirm`.
pub(super) async fn authorize(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
) -> Result<Response, OAuthRefusal> {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    check_client(&world, &fields, false)?;
    let redirect_uri = fields.one("redirect_uri").ok_or(BAD_REDIRECT)?;
    let redirect = Url::parse(redirect_uri).ok().filter(Url::has_host).ok_or(BAD_REDIRECT)?;
    if fields.one("response_type") != Some("code") {
        return Err(OAuthRefusal::Request("response_type must be code"));
    }
    if fields.one("code_challenge_method") != Some("S256") {
        return Err(OAuthRefusal::Request("code_challenge_method must be S256"));
    }
    // 32 bytes of hash are 43 characters.
    let challenge = fields.one("code_challenge").filter(|text| text.len() == 43);
    let challenge =
        challenge.ok_or(OAuthRefusal::Request("code_challenge is missing or invalid"))?;
    let user = match choice(&fields) {
        Choice::Open => return Ok(page(&world, &fields)),
        Choice::Deny => {
            let denied = send_back(redirect, &fields, &[("error", "access_denied")]);
            return denied.ok_or(BAD_REDIRECT);
        }
        Choice::New => world.garmin.add_user(&world, &GarminPopulation::default()).ok(),
        Choice::User(id) => Some(id.to_owned()),
    };
    let nobody = OAuthRefusal::Request("there is no such user");
    let user = user.and_then(|id| world.garmin.user(&id)).ok_or(nobody)?;
    let id = {
        let mut user = writing(&user);
        let ticked = granted(&fields, &GARMIN_PERMISSIONS);
        user.permissions = ticked.into_iter().map(str::to_owned).collect();
        user.id.clone()
    };
    let consent = Consent {
        user: id,
        challenge: Some(challenge.to_owned()),
        redirect_uri: Some(redirect_uri.to_owned()),
    };
    let code = locked(&world.garmin.tokens).authorize(consent, world.clock.now());
    send_back(redirect, &fields, &[("code", &code)]).ok_or(BAD_REDIRECT)
}

fn page(world: &World, fields: &Fields) -> Response {
    let users = reading(&world.garmin.users);
    let people = users.values().map(|user| {
        let user = reading(user);
        let held: usize = user.stores().map(|(_, store)| store.present().count()).sum();
        (user.id.clone(), format!("{} ({held} summaries)", population::name(&user)))
    });
    let people = people.collect();
    let carried = [
        "client_id",
        "redirect_uri",
        "response_type",
        "code_challenge",
        "code_challenge_method",
        "state",
    ];
    let scopes = &GARMIN_PERMISSIONS;
    Page { provider: "Garmin", fields, carried: &carried, scopes, people }.show()
}
