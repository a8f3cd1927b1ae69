//! What Withings asks of a request for consent, and what it sends back: a code and the state, and not
//! what was granted, which only the token tells.
//!
//! The page itself, and the shortcut that passes it without a click, is `consent_page`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use url::Url;

use super::oauth::check_client;
use super::population::WithingsPopulation;
use super::record::WithingsKind;
use crate::consent_page::{Choice, Page, choice, granted, send_back};
use crate::http::{self, Fields, HTML};
use crate::locks::{locked, reading};
use crate::world::World;

const SCOPES: [&str; 4] = ["user.info", "user.metrics", "user.activity", "user.sleepevents"];
const CARRIED: [&str; 5] = ["response_type", "client_id", "scope", "redirect_uri", "state"];

/// `GET /oauth2_user/authorize2`: a page for people, and so its errors are pages too.
pub(super) async fn authorize(
    State(world): State<Arc<World>>,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    consent(&world, &fields).unwrap_or_else(|(status, what)| {
        http::reply(status, HTML, format!("<!doctype html><h1>{status}</h1><p>{what}</p>"))
    })
}

fn consent(world: &World, fields: &Fields) -> Result<Response, (u16, &'static str)> {
    check_client(world, fields, false).ok().ok_or((400, "No such client_id."))?;
    let redirect = fields.one("redirect_uri").unwrap_or_default();
    let to = Url::parse(redirect).ok().filter(Url::has_host);
    let to = to.ok_or((400, "The redirect_uri is no address."))?;
    if fields.one("response_type") != Some("code") {
        return Err((400, "The response_type must be code."));
    }
    if fields.one("state").is_none_or(str::is_empty) {
        return Err((400, "A state is needed."));
    }
    let asked: Vec<&str> = fields.one("scope").unwrap_or_default().split(',').collect();
    if asked.iter().any(|scope| !SCOPES.contains(scope)) {
        return Err((400, "There is no such scope."));
    }
    let user = match choice(fields) {
        Choice::Open => return Ok(page(world, fields, &asked)),
        Choice::Deny => {
            return send_back(to, fields, &[("error", "access_denied")])
                .ok_or((400, "The redirect_uri is no address."));
        }
        Choice::New => world.withings.add_user(world, &WithingsPopulation::default()).ok(),
        Choice::User(id) => id.parse().ok().filter(|&id| world.withings.user(id).is_some()),
    };
    let user = user.ok_or((404, "There is no such user."))?;
    let scope = granted(fields, &asked).join(",");
    let now = world.clock.now();
    let code = locked(&world.withings.tokens).authorize(user, &scope, Some(redirect), now);
    send_back(to, fields, &[("code", &code)]).ok_or((400, "The redirect_uri is no address."))
}

fn page(world: &World, fields: &Fields, asked: &[&str]) -> Response {
    let people = world.withings.users().into_iter().map(|user| {
        let user = reading(&user);
        let groups = user.shelf(WithingsKind::Measures).all().count();
        (user.id.to_string(), format!("{} ({groups} measures)", user.name()))
    });
    let people = people.collect();
    let page = Page { provider: "Withings", fields, carried: &CARRIED, scopes: asked, people };
    page.show()
}
