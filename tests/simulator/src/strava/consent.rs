//! Strava's consent page, clicked through by a person or passed by a test.
//!
//! `GET /oauth/authorize` as documented shows a page with a form for each athlete. What the form
//! sends is the shortcut for tests: `auto=<athlete id>` consents at once, `auto=new` creates an
//! athlete first, `auto=deny` refuses; `granted=<scope>` (repeated, or comma-separated) unticks
//! whatever it does not name.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use url::Url;

use super::errors::Refusal;
use super::oauth::check_client;
use super::population::Population;
use crate::http::{self, Fields, HTML};
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
    let athlete = match fields.one("auto") {
        None => return Ok(http::reply(200, HTML, page(&world, &fields, &asked))),
        Some("deny") => return back(redirect, &fields, &[("error", "access_denied")]),
        Some("new") => world.strava.add_athlete(&world, &Population::default()).ok(),
        Some(id) => id.parse().ok().filter(|&id| world.strava.athlete(id).is_some()),
    };
    let athlete = athlete.ok_or(Refusal::NotFound { resource: "Athlete", field: "id" })?;
    let granted: Vec<&str> = fields.all("granted").flat_map(|list| list.split(',')).collect();
    let scope = if granted.is_empty() {
        asked.join(",")
    } else {
        asked.into_iter().filter(|scope| granted.contains(scope)).collect::<Vec<_>>().join(",")
    };
    let code = locked(&world.strava.tokens).authorize(athlete, &scope);
    back(redirect, &fields, &[("code", &code), ("scope", &scope)])
}

fn back(mut to: Url, fields: &Fields, answer: &[(&str, &str)]) -> Result<Response, Refusal> {
    let state = fields.one("state").unwrap_or_default();
    to.query_pairs_mut().append_pair("state", state).extend_pairs(answer);
    let bad = Refusal::Invalid { resource: "Application", field: "redirect_uri" };
    http::redirect(to.as_str()).ok_or(bad)
}

fn page(world: &World, fields: &Fields, asked: &[&str]) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>Authorize (simulated Strava)</title><style>body{font:16px system-ui;max-width:34rem;\
         margin:3rem auto;padding:0 1rem}form{margin:1rem 0}button{font:inherit;padding:.4rem 1rem}\
         </style><h1>Authorize the application?</h1><p>This is a simulated Strava. Choose who you are.</p>",
    );
    for athlete in world.strava.athletes() {
        let athlete = reading(&athlete);
        let name = format!("{} {}", athlete.person.first_name, athlete.person.last_name);
        let label = format!("Authorize as {name} ({} activities)", athlete.range(None, None).len());
        form(&mut page, fields, Some(asked), &athlete.id.to_string(), &label);
    }
    form(&mut page, fields, Some(asked), "new", "Authorize as a new athlete");
    form(&mut page, fields, None, "deny", "Cancel");
    page
}

fn form(page: &mut String, fields: &Fields, scopes: Option<&[&str]>, auto: &str, label: &str) {
    page.push_str("<form method=\"get\">");
    for name in ["client_id", "redirect_uri", "response_type", "scope", "state", "approval_prompt"]
    {
        if let Some(value) = fields.one(name) {
            // Writing to a string does not fail.
            let _written = write!(
                page,
                "<input type=\"hidden\" name=\"{name}\" value=\"{}\">",
                escaped(value)
            );
        }
    }
    if let Some(scopes) = scopes {
        // Sent even when every box is unticked, so that nothing granted is not everything granted.
        page.push_str("<input type=\"hidden\" name=\"granted\" value=\"none\">");
        for scope in scopes {
            let _written = write!(
                page,
                "<label><input type=\"checkbox\" name=\"granted\" value=\"{scope}\" checked> {scope}</label><br>"
            );
        }
    }
    let _written = write!(
        page,
        "<button name=\"auto\" value=\"{}\">{}</button></form>",
        escaped(auto),
        escaped(label)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
