//! Fitbit's list of activities: pages that name the next one.
//!
//! `afterDate` includes what starts at that very time, `beforeDate` does not; both are local. Every
//! page but the last holds `limit` entries, and the last one's `pagination.next` is empty.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use axum::response::Response;
use serde_json::{Value, json};
use url::form_urlencoded::Serializer;

use super::api::{day, entries, reader};
use super::errors::Refusal;
use super::record::FitbitLog;
use super::units::Units;
use super::walltime;
use crate::http::{self, Fields};
use crate::locks::reading;
use crate::world::World;

const MOST: usize = 100;

/// What a list was asked for.
struct Ask {
    ascending: bool,
    /// `afterDate` or `beforeDate`.
    bound: &'static str,
    date: String,
    /// What the date means on the wall.
    wall: i64,
    limit: usize,
    offset: usize,
}

/// `GET /1/user/-/activities/list.json`.
pub(super) async fn list(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Path(user): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let user = reader(&world, &headers, &user, "activity")?;
    let ask = Ask::read(&Fields::parse(query.unwrap_or_default().as_bytes()))?;
    let user = reading(&user);
    let log = user.log(FitbitLog::Activities);
    let mut numbers = if ask.ascending {
        log.range(Some(ask.wall), None).to_vec()
    } else {
        log.range(None, Some(ask.wall)).to_vec()
    };
    if !ask.ascending {
        numbers.reverse();
    }
    let total = numbers.len();
    let from = ask.offset.min(total);
    let to = from.saturating_add(ask.limit).min(total);
    let told = entries(&user, FitbitLog::Activities, &numbers[from..to], Units::of(&headers));
    let next = if to < total { ask.link(&headers, to) } else { String::new() };
    let previous = match ask.offset {
        0 => String::new(),
        offset => ask.link(&headers, offset.saturating_sub(ask.limit)),
    };
    let mut pagination = json!({
        "limit": ask.limit,
        "next": next,
        "offset": ask.offset,
        "previous": previous,
        "sort": ask.sort(),
    });
    pagination[ask.bound] = Value::from(ask.date);
    Ok(http::json(200, format!("{{\"activities\":[{told}],\"pagination\":{pagination}}}")))
}

impl Ask {
    fn read(fields: &Fields) -> Result<Self, Refusal> {
        let wrong = |field: &'static str, message: &str| Refusal::Validation {
            field,
            message: message.to_owned(),
        };
        let (bound, date) = match (fields.one("afterDate"), fields.one("beforeDate")) {
            (Some(date), None) => ("afterDate", date),
            (None, Some(date)) => ("beforeDate", date),
            _ => return Err(wrong("date", "Either beforeDate or afterDate must be specified.")),
        };
        let ascending = bound == "afterDate";
        if fields.one("sort") != Some(if ascending { "asc" } else { "desc" }) {
            return Err(wrong(
                "sort",
                "Use sort=asc with afterDate and sort=desc with beforeDate.",
            ));
        }
        let number = |field: &'static str| {
            let text =
                fields.one(field).ok_or_else(|| wrong(field, "A required parameter is missing."));
            text?.parse::<usize>().ok().ok_or_else(|| wrong(field, "This is no number."))
        };
        let (limit, offset) = (number("limit")?, number("offset")?);
        if !(1..=MOST).contains(&limit) {
            return Err(wrong("limit", "The limit must be from 1 to 100."));
        }
        let wall = match walltime::read(date) {
            Some(wall) => wall,
            None => walltime::midnight(day(bound, date)?),
        };
        Ok(Self { ascending, bound, date: date.to_owned(), wall, limit, offset })
    }

    fn sort(&self) -> &'static str {
        if self.ascending { "asc" } else { "desc" }
    }

    /// The address of another page, at the host that this one was asked from.
    fn link(&self, headers: &HeaderMap, offset: usize) -> String {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
        let query = Serializer::new(String::new())
            .append_pair("offset", &offset.to_string())
            .append_pair("limit", &self.limit.to_string())
            .append_pair("sort", self.sort())
            .append_pair(self.bound, &self.date)
            .finish();
        format!("http://{host}/fitbit/1/user/-/activities/list.json?{query}")
    }
}
