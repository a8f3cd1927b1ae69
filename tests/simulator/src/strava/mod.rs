//! Strava: OAuth and API v3, written from its documentation.
//!
//! Owns athletes, tokens and the application's quota. Must not know faults, the request log or
//! the control API.

mod api;
mod athlete;
mod consent;
mod edit;
mod errors;
mod generate;
mod handle;
mod marks;
mod oauth;
mod origin;
mod paging;
mod polyline;
mod population;
mod profile;
mod quota;
mod sports;
mod summary;
mod tokens;
mod zoned;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use chrono::{DateTime, Days, Utc};

use crate::config::Config;
use crate::dice::mix;
use crate::error::Error;
use crate::locks::{locked, reading, writing};
use crate::world::World;
use athlete::{Athlete, IDS_PER_ATHLETE, Spec};
use paging::Paging;
use quota::Windows;
use tokens::Tokens;

pub(crate) use errors::Refusal;
pub use handle::{FULL_SCOPE, TruePage};
pub use population::{AthleteSummary, Population, StartRange};
pub(crate) use quota::told;
pub use quota::{Allowance, Standing, StravaCalls, StravaQuota, StravaWindows};
pub use tokens::TokenPair;

/// Paths that belong to Strava begin with this.
pub(crate) const PREFIX: &str = "/strava";
/// Where the quota counts.
const API: &str = "/strava/api/";
/// Its body tells whom it is for.
const TOKEN: &str = "/strava/oauth/token";
const MOST_YEARS: u32 = 50;

#[derive(Debug)]
pub(crate) struct Strava {
    athletes: RwLock<BTreeMap<u64, Arc<RwLock<Athlete>>>>,
    tokens: Mutex<Tokens>,
    windows: Mutex<Windows>,
    seed: u64,
    short_page_every: u32,
}

impl Strava {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            athletes: RwLock::default(),
            tokens: Mutex::new(Tokens::new(config.seed)),
            windows: Mutex::new(Windows::new(config.strava_quota, config.strava_windows)),
            seed: config.seed,
            short_page_every: config.short_page_every,
        }
    }

    pub(crate) fn add_athlete(&self, world: &World, ask: &Population) -> Result<u64, Error> {
        if u64::from(ask.activities) > IDS_PER_ATHLETE || !(1..=MOST_YEARS).contains(&ask.years) {
            return Err(Error::TooLarge {
                most_activities: IDS_PER_ATHLETE,
                most_years: MOST_YEARS,
            });
        }
        let today = world.clock.now().date_naive();
        let mut athletes = writing(&self.athletes);
        let turn = u64::try_from(athletes.len()).unwrap_or(u64::MAX);
        // One more number than there are athletes: one of them is free.
        let numbers = 40_000_001..=40_000_001 + turn;
        let free = || numbers.clone().find(|id| !athletes.contains_key(id)).unwrap_or(0);
        let spec = Spec {
            id: ask.id.unwrap_or_else(free),
            // Above 32 bits, as real ones are.
            first_activity: 9_000_000_001 + turn * IDS_PER_ATHLETE,
            seed: ask.seed.unwrap_or(mix(self.seed ^ mix(turn))),
            activities: ask.activities,
            years: ask.years,
            until: ask.until.unwrap_or(today - Days::new(1)),
        };
        if athletes.contains_key(&spec.id) {
            return Err(Error::AthleteExists(spec.id));
        }
        athletes.insert(spec.id, Arc::new(RwLock::new(Athlete::new(spec))));
        Ok(spec.id)
    }

    fn athlete(&self, id: u64) -> Option<Arc<RwLock<Athlete>>> {
        reading(&self.athletes).get(&id).cloned()
    }

    fn athletes(&self) -> Vec<Arc<RwLock<Athlete>>> {
        reading(&self.athletes).values().cloned().collect()
    }

    fn paging(&self, athlete: u64, per_page: usize) -> Paging {
        Paging { seed: mix(self.seed ^ mix(athlete)), short_every: self.short_page_every, per_page }
    }

    /// Counts a call to the API; `None` where Strava counts nothing.
    pub(crate) fn admit(&self, path: &str, reads: bool, now: DateTime<Utc>) -> Option<Standing> {
        path.starts_with(API).then(|| locked(&self.windows).take(now, reads))
    }

    /// Notes that a call is refused as if it had been one too many.
    pub(crate) fn note_scripted_refusal(&self) {
        locked(&self.windows).scripted_refusal();
    }
}

/// The athlete that a request is made for, from its token or, at the token endpoint, its body.
pub(crate) fn made_for(world: &World, path: &str, headers: &HeaderMap, body: &[u8]) -> Option<u64> {
    if !path.starts_with(TOKEN) {
        return oauth::bearer(world, headers).map(|bearer| bearer.athlete);
    }
    let fields = oauth::fields(headers, None, body);
    let secret = fields.one("refresh_token").or_else(|| fields.one("code"))?;
    locked(&world.strava.tokens).owner(secret)
}

/// Whether the body must be read to know whom a request is for.
pub(crate) fn speaks_in_body(path: &str) -> bool {
    path.starts_with(TOKEN)
}

/// Strava's routes.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/strava/oauth/authorize", get(consent::authorize))
        .route("/strava/oauth/token", post(oauth::token))
        .route("/strava/oauth/deauthorize", post(oauth::deauthorize))
        .route("/strava/oauth/revoke", post(oauth::revoke))
        .route("/strava/api/v3/athlete", get(api::athlete))
        .route("/strava/api/v3/athlete/activities", get(api::activities))
        .route("/strava/api/v3/activities/{id}", get(api::activity))
}
