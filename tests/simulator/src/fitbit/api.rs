//! Fitbit's API by date: weights, fats, sleeps, and the profile. The list of activities, which has
//! pages, is `activities`.

use std::sync::{Arc, RwLock};

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::NaiveDate;

use super::errors::Refusal;
use super::record::FitbitLog;
use super::units::Units;
use super::user::User;
use super::walltime::midnight;
use crate::credentials;
use crate::http;
use crate::locks::{locked, reading};
use crate::world::World;

/// The user, and both days as the path has them.
type Asked = Path<(String, String, String)>;

/// `GET /1/user/-/body/log/weight/date/{from}/{to}.json`, at most 31 days.
pub(super) async fn weights(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Path((user, from, to)): Asked,
) -> Result<Response, Refusal> {
    let user = reader(&world, &headers, &user, "weight")?;
    by_date(&user, &headers, FitbitLog::Weight, (&from, &to), 31)
}

/// `GET /1/user/-/body/log/fat/date/{from}/{to}.json`, at most 30 days.
pub(super) async fn fats(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Path((user, from, to)): Asked,
) -> Result<Response, Refusal> {
    let user = reader(&world, &headers, &user, "weight")?;
    by_date(&user, &headers, FitbitLog::Fat, (&from, &to), 30)
}

/// `GET /1.2/user/-/sleep/date/{from}/{to}.json`, at most 100 days, by the day of waking up.
pub(super) async fn sleeps(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Path((user, from, to)): Asked,
) -> Result<Response, Refusal> {
    let user = reader(&world, &headers, &user, "sleep")?;
    by_date(&user, &headers, FitbitLog::Sleep, (&from, &to), 100)
}

/// `GET /1/user/-/profile.json`.
pub(super) async fn profile(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    Path(user): Path<String>,
) -> Result<Response, Refusal> {
    let user = reader(&world, &headers, &user, "profile")?;
    let now = world.clock.now().timestamp();
    let profile = super::profile::profile(&reading(&user), Units::of(&headers), now);
    Ok(http::json(200, profile.to_string()))
}

/// Who asks, when they may see this kind of data: of nobody but themselves.
pub(super) fn reader(
    world: &World,
    headers: &HeaderMap,
    user: &str,
    scope: &'static str,
) -> Result<Arc<RwLock<User>>, Refusal> {
    let token = credentials::bearer(headers).ok_or(Refusal::Token)?;
    let bearer = locked(&world.fitbit.tokens).bearer(token).ok_or(Refusal::Token)?;
    if bearer.expires <= world.clock.now() {
        return Err(Refusal::Expired);
    }
    if !bearer.may(scope) {
        return Err(Refusal::MissingScope(scope));
    }
    if user != "-" && user != bearer.user {
        return Err(Refusal::Stranger);
    }
    world.fitbit.user(&bearer.user).ok_or(Refusal::Token)
}

fn by_date(
    user: &RwLock<User>,
    headers: &HeaderMap,
    log: FitbitLog,
    (from, to): (&str, &str),
    most_days: i64,
) -> Result<Response, Refusal> {
    let from = day("start-date", from)?;
    let to = day("end-date", to.strip_suffix(".json").ok_or(Refusal::NotFound)?)?;
    let days = (to - from).num_days() + 1;
    if !(1..=most_days).contains(&days) {
        let message = if days < 1 {
            "The end date must not be before the start date.".to_owned()
        } else {
            format!("The range of dates may not exceed {most_days} days.")
        };
        return Err(Refusal::Validation { field: "end-date", message });
    }
    let user = reading(user);
    let mut numbers =
        user.log(log).range(Some(midnight(from)), Some(midnight(to) + 86_400)).to_vec();
    if log == FitbitLog::Sleep {
        // As the real one answers: the newest first.
        numbers.reverse();
    }
    let name = if log == FitbitLog::Sleep { "sleep".to_owned() } else { log.to_string() };
    let entries = entries(&user, log, &numbers, Units::of(headers));
    Ok(http::json(200, format!("{{\"{name}\":[{entries}]}}")))
}

/// Entries as JSON texts with commas between.
pub(super) fn entries(user: &User, log: FitbitLog, numbers: &[u32], units: Units) -> String {
    let texts = numbers.iter().filter_map(|&number| user.json(log, number));
    texts.map(|text| units.told(log, text)).collect::<Vec<_>>().join(",")
}

pub(super) fn day(field: &'static str, text: &str) -> Result<NaiveDate, Refusal> {
    let message = || format!("Invalid date: {text}");
    // Fitbit takes four digits, two and two, and nothing else.
    let day = if text.len() == 10 { text.parse().ok() } else { None };
    day.ok_or_else(|| Refusal::Validation { field, message: message() })
}
