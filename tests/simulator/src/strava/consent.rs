//! What Strava asks of a request for consent, and what it sends back.
//!
//! The page itself, and the shortcut that passes it without a click, is `consent_page`.

use std::sync::{Arc, RwLock};

use axum::extract::{RawQuery, State};
use axum::response::Response;
use url::Url;

use super::athlete::Athlete;
use super::errors::Refusal;
use super::oauth::check_client;
use super::population::Population;
use crate::consent_page::{Choice, Page, choice, granted, send_back};
use crate::http::Fields;
use crate::locks::{locked, reading};
use crate::world::World;

const SCOPES: [&str; 7] = [
    "read",
    "read_all",
    "profile:read_all",
    "profile:write",
    "activity:read",
    "activity:read_all",
    "activity:write",
];

/// `GET /oauth/authorize`.
pub(super) async fn authorize(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    check_client(&world, &fields, false)?;
    let bad = |field| Refusal::Invalid { resource: "Application", field };
    let redirect = fields.one("redirect_uri").and_then(|uri| Url::parse(uri).ok());
    let redirect = redirect.filter(Url::has_host).ok_or(bad("redirect_uri"))?;
    if fields.one("response_type") != Some("code") {
        return Err(bad("response_type"));
    }
    let asked: Vec<&str> = fields.one("scope").unwrap_or("read").split(',').collect();
    if asked.iter().any(|scope| !SCOPES.contains(scope)) {
        return Err(bad("scope"));
    }
    let athlete = match choice(&fields) {
        Choice::Open => return Ok(page(&world, &fields, &asked)),
        Choice::Deny => {
            let denied = send_back(redirect, &fields, &[("error", "access_denied")]);
            return denied.ok_or(bad("redirect_uri"));
        }
        Choice::New => world.strava.add_athlete(&world, &Population::default()).ok(),
        Choice::User(id) => id.parse().ok().filter(|&id| world.strava.athlete(id).is_some()),
    };
    let athlete = athlete.ok_or(Refusal::NotFound { resource: "Athlete", field: "id" })?;
    let scope = granted(&fields, &asked).join(",");
    let code = locked(&world.strava.tokens).authorize(athlete, &scope);
    let answer = [("code", code.as_str()), ("scope", &scope)];
    send_back(redirect, &fields, &answer).ok_or(bad("redirect_uri"))
}

fn page(world: &World, fields: &Fields, asked: &[&str]) -> Response {
    let person = |athlete: Arc<RwLock<Athlete>>| {
        let athlete = reading(&athlete);
        let name = format!("{} {}", athlete.person.first_name, athlete.person.last_name);
        let held = athlete.range(None, None).len();
        (athlete.id.to_string(), format!("{name} ({held} activities)"))
    };
    let carried =
        ["client_id", "redirect_uri", "response_type", "scope", "state", "approval_prompt"];
    let people = world.strava.athletes().into_iter().map(person).collect();
    Page { provider: "Strava", fields, carried: &carried, scopes: asked, people }.show()
}
