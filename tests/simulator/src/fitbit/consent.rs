//! What Fitbit asks of a request for consent, and what it sends back.
//!
//! The page itself, and the shortcut that passes it without a click, is `consent_page`. The scopes
//! that stayed ticked are not in the address that the user is sent back to: only the tokens tell.

use std::sync::{Arc, RwLock};

use axum::extract::{RawQuery, State};
use axum::response::Response;
use url::Url;

use super::errors::Refusal;
use super::population::FitbitPopulation;
use super::record::FitbitLog;
use super::tokens;
use super::user::User;
use crate::consent_page::{Choice, Page, choice, granted, send_back};
use crate::http::Fields;
use crate::locks::{locked, reading};
use crate::world::World;

const SCOPES: [&str; 15] = [
    "activity",
    "cardio_fitness",
    "electrocardiogram",
    "heartrate",
    "irregular_rhythm_notifications",
    "location",
    "nutrition",
    "oxygen_saturation",
    "profile",
    "respiratory_rate",
    "settings",
    "sleep",
    "social",
    "temperature",
    "weight",
];

/// `GET /oauth2/authorize`.
pub(super) async fn authorize(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let client = fields.one("client_id").filter(|id| !id.is_empty());
    let client = client.ok_or(Refusal::Request("Missing parameters: client_id."))?;
    if world.config.fitbit_application.as_ref().is_some_and(|known| known.client_id != client) {
        return Err(Refusal::Request("Invalid parameter value: client_id."));
    }
    let bad_redirect = Refusal::Request("Invalid parameter value: redirect_uri.");
    let told = fields.one("redirect_uri");
    let mut redirect = told.and_then(|uri| Url::parse(uri).ok()).filter(Url::has_host);
    if let Some(redirect) = &mut redirect {
        // The real page sends users back with this, whoever asked for it.
        redirect.set_fragment(Some("_=_"));
    }
    let redirect = redirect.ok_or(bad_redirect.clone())?;
    if fields.one("response_type") != Some("code") {
        return Err(Refusal::Request("Invalid parameter value: response_type."));
    }
    let challenge = fields.one("code_challenge");
    if challenge.is_some() && fields.one("code_challenge_method") != Some("S256") {
        return Err(Refusal::Request("Invalid parameter value: code_challenge_method."));
    }
    let asked: Vec<&str> = fields.one("scope").unwrap_or_default().split(' ').collect();
    if let Some(unknown) = asked.iter().find(|scope| !SCOPES.contains(scope)) {
        return Err(Refusal::Scope((*unknown).to_owned()));
    }
    let user = match choice(&fields) {
        Choice::Open => return Ok(page(&world, &fields, &asked)),
        Choice::Deny => {
            let denied =
                [("error_description", "The user denied the request."), ("error", "access_denied")];
            return send_back(redirect, &fields, &denied).ok_or(bad_redirect);
        }
        Choice::New => world.fitbit.add_user(&world, &FitbitPopulation::default()).ok(),
        Choice::User(id) => world.fitbit.user(id).map(|_| id.to_owned()),
    };
    let consent = tokens::Consent {
        user: user.ok_or(Refusal::NotFound)?,
        scope: granted(&fields, &asked).join(" "),
        challenge: challenge.map(str::to_owned),
        redirect: told.map(str::to_owned),
    };
    let code = locked(&world.fitbit.tokens).authorize(consent, world.clock.now());
    send_back(redirect, &fields, &[("code", &code)]).ok_or(bad_redirect)
}

fn page(world: &World, fields: &Fields, asked: &[&str]) -> Response {
    let person = |user: &Arc<RwLock<User>>| {
        let user = reading(user);
        let name = format!("{} {}", user.person.first_name, user.person.last_name);
        let weights = user.log(FitbitLog::Weight).range(None, None).len();
        (user.id.clone(), format!("{name} ({weights} weights)"))
    };
    let carried = [
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "code_challenge",
        "code_challenge_method",
        "prompt",
    ];
    let people = reading(&world.fitbit.users).values().map(person).collect();
    Page { provider: "Fitbit", fields, carried: &carried, scopes: asked, people }.show()
}
