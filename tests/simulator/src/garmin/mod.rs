//! Garmin: OAuth with PKCE and the Health and Activity APIs, as far as they are publicly known.
//!
//! Garmin would push its data to the application; here the application pulls, which Garmin has as
//! the way to recover, in windows of upload time. Owns users, tokens and the application's quota.
//! Must not know faults, the request log or the control API.

mod api;
mod backfill;
mod consent;
mod draw;
mod errors;
mod handle;
mod history;
mod oauth;
mod population;
mod quota;
mod settings;
mod store;
mod summary_type;
mod tokens;
mod user;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{delete, get, post};
use chrono::{DateTime, Days, Utc};

use crate::config::Config;
use crate::credentials;
use crate::dice::mix;
use crate::error::Error;
use crate::http::Fields;
use crate::locks::{locked, reading, writing};
use crate::world::World;
use history::Extent;
use quota::Meter;
use tokens::Tokens;
use user::{IDS_PER_USER, Spec, User};

pub(crate) use errors::Refusal;
pub use handle::{GARMIN_PERMISSIONS, GarminPage};
pub use population::{GarminPopulation, GarminUserSummary};
pub use quota::GarminCalls;
pub use settings::GarminSettings;
pub use summary_type::GarminType;
pub use tokens::GarminTokens;

/// Paths that belong to Garmin begin with this.
pub(crate) const PREFIX: &str = "/garmin/";
/// Where the quota counts.
const API: &str = "/garmin/wellness-api/";
/// Its body tells whom it is for.
const TOKEN: &str = "/garmin/di-oauth2-service/oauth/token";
const MOST_YEARS: u32 = 50;

type SharedUser = Arc<RwLock<User>>;

#[derive(Debug)]
pub(crate) struct Garmin {
    users: RwLock<BTreeMap<String, SharedUser>>,
    tokens: Mutex<Tokens>,
    meter: Mutex<Meter>,
    settings: RwLock<GarminSettings>,
    seed: u64,
}

impl Garmin {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            users: RwLock::default(),
            tokens: Mutex::new(Tokens::new(config.seed)),
            meter: Mutex::new(Meter::new(config.garmin.window_s)),
            settings: RwLock::new(config.garmin.clone()),
            seed: config.seed,
        }
    }

    fn add_user(&self, world: &World, ask: &GarminPopulation) -> Result<String, Error> {
        let too_many = u64::from(ask.activities) > IDS_PER_USER;
        if too_many || !(1..=MOST_YEARS).contains(&ask.years) {
            return Err(Error::TooLarge { most_activities: IDS_PER_USER, most_years: MOST_YEARS });
        }
        let yesterday = world.clock.now().date_naive() - Days::new(1);
        let mut users = writing(&self.users);
        let turn = u64::try_from(users.len()).unwrap_or(u64::MAX);
        let seed = ask.seed.unwrap_or(mix(self.seed ^ mix(turn)));
        let free = || format!("{:016x}{:016x}", mix(self.seed ^ mix(!turn)), mix(turn));
        let spec = Spec {
            id: ask.id.clone().unwrap_or_else(free),
            seed,
            // The first 28 bits, of a pair of turns.
            prefix: u32::try_from(mix(self.seed ^ (turn / 2)) >> 36).unwrap_or(0),
            first_activity: 17_000_000_001 + turn * 4 * IDS_PER_USER,
            extent: Extent {
                activities: ask.activities,
                years: ask.years,
                until: ask.until.unwrap_or(yesterday).min(yesterday),
            },
        };
        let id = spec.id.clone();
        if users.contains_key(&id) {
            return Err(Error::UserExists(id));
        }
        users.insert(id.clone(), Arc::new(RwLock::new(User::new(spec))));
        Ok(id)
    }

    fn user(&self, id: &str) -> Option<SharedUser> {
        reading(&self.users).get(id).cloned()
    }

    fn settings(&self) -> GarminSettings {
        reading(&self.settings).clone()
    }

    /// Counts a call to the API; false when it is one too many.
    pub(crate) fn admit(&self, path: &str, now: DateTime<Utc>) -> bool {
        !path.starts_with(API) || locked(&self.meter).admit(&reading(&self.settings), now)
    }

    /// Notes that a call is refused as if it had been one too many.
    pub(crate) fn note_scripted_refusal(&self) {
        locked(&self.meter).scripted_refusal();
    }
}

/// The user that a request is made for, from its token or, at the token endpoint, its body.
pub(crate) fn made_for(
    world: &World,
    path: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<String> {
    let tokens = locked(&world.garmin.tokens);
    if !path.starts_with(TOKEN) {
        return tokens.bearer(credentials::bearer(headers)?, world.clock.now());
    }
    let fields = Fields::parse(body);
    tokens.owner(fields.one("refresh_token").or_else(|| fields.one("code"))?)
}

/// Whether the body must be read to know whom a request is for.
pub(crate) fn speaks_in_body(path: &str) -> bool {
    path.starts_with(TOKEN)
}

/// Garmin's routes.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/garmin/oauth2Confirm", get(consent::authorize))
        .route(TOKEN, post(oauth::token))
        .route("/garmin/wellness-api/rest/user/id", get(api::user_id))
        .route("/garmin/wellness-api/rest/user/permissions", get(api::permissions))
        .route("/garmin/wellness-api/rest/user/registration", delete(api::deregister))
        .route("/garmin/wellness-api/rest/backfill/{type}", get(backfill::backfill))
        .route("/garmin/wellness-api/rest/{type}", get(api::pull))
}
