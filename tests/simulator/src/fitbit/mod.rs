//! Fitbit: OAuth and the Web API, written from its documentation.
//!
//! Owns users, tokens and each user's quota, and whether the whole API is gone, as the real one is
//! since November 2026. Must not know faults, the request log or the control API.

mod activities;
mod api;
mod body;
mod consent;
mod days;
mod errors;
mod exercise;
mod handle;
mod logbook;
mod night;
mod oauth;
mod population;
mod profile;
mod quota;
mod record;
mod tokens;
mod units;
mod user;
mod walltime;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use axum::Router;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use chrono::Days;

use crate::config::Config;
use crate::credentials;
use crate::dice::mix;
use crate::error::Error;
use crate::http::Fields;
use crate::locks::{locked, reading, writing};
use crate::world::World;
use quota::Budgets;
use tokens::Tokens;
use user::{Spec, User};

pub(crate) use errors::Refusal;
pub use handle::{FITBIT_FULL_SCOPE, FitbitPage, FitbitRecord};
pub use population::{FitbitFigures, FitbitPopulation, FitbitRange, FitbitUser};
pub use quota::{FitbitCalls, FitbitQuota, FitbitSettings, FitbitStanding, FitbitWindow};
pub use record::FitbitLog;
pub use tokens::FitbitTokens;

/// Paths that belong to Fitbit begin with this.
pub(crate) const PREFIX: &str = "/fitbit";
/// Where the quota counts: versions 1, 1.1 and 1.2.
const API: &str = "/fitbit/1";
const MOST_RECORDS: u32 = 100_000;
const MOST_YEARS: u32 = 20;

#[derive(Debug)]
pub(crate) struct Fitbit {
    users: RwLock<BTreeMap<String, Arc<RwLock<User>>>>,
    tokens: Mutex<Tokens>,
    budgets: Mutex<Budgets>,
    gone: AtomicBool,
    seed: u64,
}

impl Fitbit {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            users: RwLock::default(),
            tokens: Mutex::new(Tokens::new(config.seed)),
            budgets: Mutex::new(Budgets::new(config.fitbit.quota, config.fitbit.window)),
            gone: AtomicBool::new(config.fitbit.gone),
            seed: config.seed,
        }
    }

    fn add_user(&self, world: &World, ask: &FitbitPopulation) -> Result<String, Error> {
        let most = ask.weights.max(ask.activities).max(ask.sleeps);
        if most > MOST_RECORDS || !(1..=MOST_YEARS).contains(&ask.years) {
            return Err(Error::TooLarge {
                most_activities: u64::from(MOST_RECORDS),
                most_years: MOST_YEARS,
            });
        }
        let yesterday = world.clock.now().date_naive() - Days::new(1);
        let mut users = writing(&self.users);
        let turn = u64::try_from(users.len()).unwrap_or(u64::MAX);
        // One more id than there are users: one of them is free.
        let free = (turn..=turn * 2 + 1).map(encoded).find(|id| !users.contains_key(id));
        let spec = Spec {
            id: ask.id.clone().or(free).unwrap_or_default(),
            seed: ask.seed.unwrap_or(mix(self.seed ^ mix(turn))),
            weights: ask.weights,
            activities: ask.activities,
            sleeps: ask.sleeps,
            years: ask.years,
            until: ask.until.unwrap_or(yesterday),
        };
        if users.contains_key(&spec.id) {
            return Err(Error::UserExists(spec.id));
        }
        users.insert(spec.id.clone(), Arc::new(RwLock::new(User::new(&spec))));
        Ok(spec.id)
    }

    fn user(&self, id: &str) -> Option<Arc<RwLock<User>>> {
        reading(&self.users).get(id).cloned()
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// Ids as Fitbit gives them: six letters and digits, hard to mistake for each other.
fn encoded(number: u64) -> String {
    const LETTERS: &[u8; 29] = b"23456789BCDFGHJKLMNPQRSTVWXYZ";
    let size = 29_u64.pow(5);
    let mut rest = (number % size) * 1_000_003 % size;
    let mut id = String::from("2");
    for _ in 0..5 {
        id.push(char::from(LETTERS[usize::try_from(rest % 29).unwrap_or(0)]));
        rest /= 29;
    }
    id
}

/// Counts a call. An `Err` is the refusal, ready to be sent; `None` where Fitbit counts nothing.
pub(crate) fn admit(
    world: &World,
    path: &str,
    user: Option<&str>,
) -> Result<Option<FitbitStanding>, Box<Response>> {
    if world.fitbit.is_gone() {
        return Err(Box::new(Refusal::Gone.into_response()));
    }
    let Some(user) = user.filter(|_| path.starts_with(API)) else { return Ok(None) };
    let standing = locked(&world.fitbit.budgets).take(user, world.clock.now());
    if standing.refused {
        return Err(Box::new(standing.told(Refusal::RateLimited.into_response())));
    }
    Ok(Some(standing))
}

/// Notes that a call is refused as if it had been one too many.
pub(crate) fn note_scripted_refusal(world: &World) {
    locked(&world.fitbit.budgets).scripted_refusal();
}

/// The user that a request is made for, from its bearer token or what its body brings.
pub(crate) fn made_for(world: &World, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let fields = Fields::parse(body);
    let tokens = locked(&world.fitbit.tokens);
    let told = ["refresh_token", "code", "token"].into_iter().find_map(|name| fields.one(name));
    let secret = credentials::bearer(headers).or(told)?;
    tokens.owner(secret)
}

/// Whether the body must be read to know whom a request is for.
pub(crate) fn speaks_in_body(path: &str) -> bool {
    path.starts_with("/fitbit/oauth2")
}

/// Every token and unused code, for tests that look for leaks.
pub(crate) fn secrets(world: &World) -> Vec<String> {
    locked(&world.fitbit.tokens).secrets().collect()
}

/// Fitbit's routes.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/fitbit/oauth2/authorize", get(consent::authorize))
        .route("/fitbit/oauth2/token", post(oauth::token))
        .route("/fitbit/oauth2/revoke", post(oauth::revoke))
        .route("/fitbit/1.1/oauth2/introspect", post(oauth::introspect))
        .route("/fitbit/1/user/{user}/profile.json", get(api::profile))
        .route("/fitbit/1/user/{user}/body/log/weight/date/{from}/{to}", get(api::weights))
        .route("/fitbit/1/user/{user}/body/log/fat/date/{from}/{to}", get(api::fats))
        .route("/fitbit/1/user/{user}/activities/list.json", get(activities::list))
        .route("/fitbit/1.2/user/{user}/sleep/date/{from}/{to}", get(api::sleeps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_six_characters_and_never_twice() {
        let ids: std::collections::BTreeSet<String> = (0..10_000).map(encoded).collect();
        assert_eq!(ids.len(), 10_000);
        assert!(ids.iter().all(|id| id.len() == 6));
    }
}
