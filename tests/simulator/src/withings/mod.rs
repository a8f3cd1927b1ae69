//! Withings: OAuth and data services, written from its documentation.
//!
//! Owns users, tokens and the application's quota. Must not know faults, the request log or the
//! control API.

mod ask;
mod consent;
mod devices;
mod errors;
mod generate;
mod getmeas;
mod handle;
mod oauth;
mod population;
mod quota;
mod record;
mod series;
mod shelf;
mod tokens;
mod user;
mod values;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, RwLock};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use chrono::{DateTime, Days, Utc};
use url::form_urlencoded;

use crate::config::Config;
use crate::credentials;
use crate::dice::mix;
use crate::error::Error;
use crate::fronts::Described;
use crate::locks::{locked, reading, writing};
use crate::person::Person;
use crate::world::World;
use generate::{Amounts, Subject};
use quota::Minute;
use shelf::Cut;
use tokens::Tokens;
use user::User;

pub(crate) use errors::Refusal;
pub use handle::{WITHINGS_SCOPE, WithingsPage, WithingsRecord};
pub use population::{WithingsList, WithingsPopulation, WithingsSummary};
pub(crate) use quota::Admission;
pub use quota::{WithingsCalls, WithingsQuota, WithingsUsage};
pub use record::WithingsKind;
pub use tokens::WithingsPair;
pub use values::WithingsValue;

/// Paths that belong to Withings begin with this.
pub(crate) const PREFIX: &str = "/withings";
/// Where a person consents: no service, and so not counted.
const CONSENT: &str = "/withings/oauth2_user/authorize2";
const TOKEN: &str = "/withings/v2/oauth2";
/// Parameters that must not be written down anywhere.
const SECRET: [&str; 6] =
    ["client_secret", "code", "refresh_token", "access_token", "signature", "nonce"];
const MOST_YEARS: u32 = 50;
const MOST_RECORDS: u32 = 400_000;
/// Each list of a user has a million identifiers.
const IDS_PER_USER: u64 = 10_000_000;

#[derive(Debug)]
pub(crate) struct Withings {
    users: RwLock<BTreeMap<u64, Arc<RwLock<User>>>>,
    tokens: Mutex<Tokens>,
    minute: Mutex<Minute>,
    seed: u64,
    page_size: usize,
    short_page_every: u32,
}

impl Withings {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            users: RwLock::default(),
            tokens: Mutex::new(Tokens::new(config.seed)),
            minute: Mutex::new(Minute::new(config.withings_quota)),
            seed: config.seed,
            page_size: config.withings_page_size,
            short_page_every: config.short_page_every,
        }
    }

    pub(crate) fn add_user(&self, world: &World, ask: &WithingsPopulation) -> Result<u64, Error> {
        let most = [ask.measures, ask.days, ask.workouts, ask.nights].into_iter().max();
        if most > Some(MOST_RECORDS) || !(1..=MOST_YEARS).contains(&ask.years) {
            return Err(Error::TooLarge {
                most_activities: MOST_RECORDS.into(),
                most_years: MOST_YEARS,
            });
        }
        let yesterday = world.clock.now().date_naive() - Days::new(1);
        let mut users = writing(&self.users);
        let turn = u64::try_from(users.len()).unwrap_or(u64::MAX);
        // One more number than there are users: one of them is free.
        let numbers = 30_000_001..=30_000_001 + turn;
        let id = ask.id.or_else(|| numbers.clone().find(|id| !users.contains_key(id)));
        let id = id.unwrap_or_default();
        if users.contains_key(&id) {
            return Err(Error::UserExists(id.to_string()));
        }
        let subject = Subject {
            person: Person::new(ask.seed.unwrap_or(mix(self.seed ^ mix(turn)))),
            // Above 32 bits, as real ones are.
            first_id: 5_000_000_001 + turn * IDS_PER_USER,
            years: ask.years,
            until: ask.until.unwrap_or(yesterday),
        };
        let amounts = Amounts {
            measures: ask.measures,
            days: ask.days,
            workouts: ask.workouts,
            nights: ask.nights,
        };
        users.insert(id, Arc::new(RwLock::new(User::new(id, subject, amounts)?)));
        Ok(id)
    }

    fn user(&self, id: u64) -> Option<Arc<RwLock<User>>> {
        reading(&self.users).get(&id).cloned()
    }

    fn users(&self) -> Vec<Arc<RwLock<User>>> {
        reading(&self.users).values().cloned().collect()
    }

    fn cut(&self, user: u64) -> Cut {
        let seed = mix(self.seed ^ mix(user));
        Cut { seed, page: self.page_size, short_every: self.short_page_every }
    }

    /// Counts a call to a service, as [`described`]; a refusal when it is one too many.
    pub(crate) fn admit(
        &self,
        path: &str,
        query: &str,
        user: Option<&str>,
        now: DateTime<Utc>,
    ) -> Option<Refusal> {
        if path.starts_with(CONSENT) {
            return None;
        }
        let question = (!path.starts_with(TOKEN)).then(|| {
            let mut hasher = DefaultHasher::new();
            (path, query, user).hash(&mut hasher);
            hasher.finish()
        });
        let mut minute = locked(&self.minute);
        match minute.take(now, question) {
            Admission::In => None,
            Admission::TooMany => Some(Refusal::TooMany { http: minute.quota().http_429 }),
            Admission::SameArguments => Some(Refusal::SameArguments),
        }
    }

    /// Notes that a call is refused as if it had been one too many.
    pub(crate) fn note_scripted_refusal(&self) {
        locked(&self.minute).scripted_refusal();
    }
}

/// A request as the log and the fault rules are to know it, though Withings has one path for many
/// services and takes its parameters in the body: the action at the end of the path, as in
/// `/withings/v2/measure/getworkouts`, the other parameters as a query without secrets, and for a
/// page the `offset` of a list, 0 for its first.
pub(crate) fn described(path: &str, query: &str, body: &[u8]) -> Described {
    let fields = ask::fields(Some(query), body);
    let action = fields.one("action").filter(|_| !path.starts_with(CONSENT));
    let named = |action: &str| format!("{path}/{}", action.replace('/', " "));
    let mut told = form_urlencoded::Serializer::new(String::new());
    let kept = |name: &str| name != "action" && !SECRET.contains(&name);
    told.extend_pairs(fields.pairs().filter(|(name, _)| kept(name)));
    let lists = action.is_some() && !path.starts_with(TOKEN);
    let offset = fields.one("offset").map_or(Some(0), |offset| offset.parse().ok());
    Described {
        path: action.map_or_else(|| path.to_owned(), named),
        query: told.finish(),
        page: offset.filter(|_| lists),
    }
}

/// The user that a request is made for, from its token or, at the token service, its body.
pub(crate) fn made_for(world: &World, path: &str, headers: &HeaderMap, body: &[u8]) -> Option<u64> {
    let fields = ask::fields(None, body);
    let secret = if path.starts_with(TOKEN) {
        fields.one("refresh_token").or_else(|| fields.one("code"))
    } else {
        credentials::bearer(headers)
    };
    locked(&world.withings.tokens).owner(secret?)
}

/// Withings' routes.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route(CONSENT, get(consent::authorize))
        .route(TOKEN, post(oauth::token))
        .route("/withings/measure", post(getmeas::measure))
        .route("/withings/v2/measure", post(series::measure))
        .route("/withings/v2/sleep", post(series::sleep))
        .route("/withings/v2/user", post(devices::user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_described_by_its_action_and_without_its_secrets() {
        let body = b"action=getworkouts&offset=40&lastupdate=7";
        let told = described("/withings/v2/measure", "", body);
        assert_eq!(told.path, "/withings/v2/measure/getworkouts");
        assert_eq!((told.query.as_str(), told.page), ("offset=40&lastupdate=7", Some(40)));
        let body = b"action=requesttoken&grant_type=refresh_token&client_id=5&client_secret=s\
            &refresh_token=r";
        let told = described(TOKEN, "", body);
        assert_eq!(told.path, "/withings/v2/oauth2/requesttoken");
        assert_eq!(told.query, "grant_type=refresh_token&client_id=5");
        assert_eq!(told.page, None);
    }
}
