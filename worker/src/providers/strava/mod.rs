//! Strava v3: its addresses, its paging, its tokens and its quotas. What an activity says is in `record`, what a
//! refusal or a quota header says in `refusal`.
//!
//! It knows neither jobs nor the database.

mod accounts;
mod record;
mod refusal;
mod source;
#[cfg(test)]
mod tests;

pub use record::{items, read};

use super::{
    Error,
    http::{Failure, Http},
};
use crate::budget::{Call, Limit, Meter, Terms, Tier};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use paceline_shared::{Provider, db::connection_secrets::Tokens};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::postgres::types::PgRange;
use std::{fmt, num::NonZeroU32, ops::Bound};

/// Activities a page, the most that Strava allows.
pub const PAGE_SIZE: i32 = 200;

/// The scopes that we ask for; the user may withhold any of them.
pub const SCOPES: [&str; 3] = ["read", "activity:read_all", "profile:read_all"];

/// What Strava allows an application that nobody asked more for: every call, and of these those that upload
/// nothing. Its answers tell what it really is.
pub const LIMITS: &str = "all:200/15m,all:2000/24h,read:100/15m,read:1000/24h";

/// Names of limits, each with its scope among all budgets.
const ALL: (&str, &str) = ("all", "strava:all");
const READ: (&str, &str) = ("read", "strava:read");

/// So many calls of a process in a second are no burst that anybody minds.
const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(500).expect("not zero");

const ACTIVITIES: &str = "athlete/activities";
const TOKEN: &str = "oauth/token";
const ATHLETE: &str = "athlete";
const DEAUTHORIZE: &str = "oauth/deauthorize";

/// Where Strava is, and which application we are there.
#[derive(Clone, Debug)]
pub struct StravaConfig {
    /// Of the API. The host changes in 2027.
    pub api_base: String,
    /// Of the authorization server.
    pub oauth_base: String,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: SecretString,
    /// What Strava allows it, as far as is known before Strava says so.
    pub limits: Vec<Limit>,
    /// Calls of this process in any second.
    pub calls_per_second: NonZeroU32,
}

impl StravaConfig {
    /// An application at Strava's own addresses.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: SecretString) -> Self {
        Self {
            api_base: "https://www.strava.com/api/v3".to_owned(),
            oauth_base: "https://www.strava.com/oauth".to_owned(),
            client_id: client_id.into(),
            client_secret,
            limits: LIMITS.split(',').filter_map(|limit| limit.parse().ok()).collect(),
            calls_per_second: CALLS_PER_SECOND,
        }
    }

    /// The name of a limit that Strava has not.
    #[must_use]
    pub fn unknown_limit(&self) -> Option<&Limit> {
        self.limits.iter().find(|limit| ![ALL.0, READ.0].contains(&limit.name.as_str()))
    }

    /// What a meter must know of Strava.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            provider: Provider::Strava,
            windows: self.limits.iter().map(|l| l.window(Provider::Strava.as_str())).collect(),
            hear: refusal::readings,
            calls_per_second: self.calls_per_second,
        }
    }
}

/// A client of Strava for one application.
#[derive(Clone)]
pub struct Strava {
    config: StravaConfig,
    http: Http,
    meter: Option<Meter>,
}

impl fmt::Debug for Strava {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strava").field("api_base", &self.config.api_base).finish_non_exhaustive()
    }
}

impl Strava {
    /// A client whose calls nobody counts.
    #[must_use]
    pub fn new(config: StravaConfig, http: Http) -> Self {
        Self { config, http, meter: None }
    }

    /// The same client, whose calls go through the fleet's budgets and breaker.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { meter: Some(meter), ..self }
    }

    /// The client for a kind of call.
    fn http(
        &self,
        kind: &'static str,
        scopes: &'static [&'static str],
        tier: Tier,
        past_breaker: bool,
    ) -> Http {
        let call = Call { kind, scopes, user: Vec::new(), tier, past_breaker };
        self.meter.as_ref().map_or_else(|| self.http.clone(), |m| self.http.behind(m.gate(&call)))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.config.api_base.trim_end_matches('/'))
    }

    /// A page of the athlete's activities that began within `range`, oldest first; the first page
    /// is number 1.
    ///
    /// Only an empty page is the end: one may hold fewer than [`PAGE_SIZE`] and others follow. Costs
    /// one read, out of the share of `tier`.
    pub async fn page(
        &self,
        access: &SecretString,
        range: &PgRange<DateTime<Utc>>,
        page: i32,
        tier: Tier,
    ) -> Result<Page, Error> {
        let url = self.url(ACTIVITIES);
        let (after, before) = borders(range);
        let mut query =
            vec![("after", after), ("page", page.into()), ("per_page", PAGE_SIZE.into())];
        query.extend(before.map(|before| ("before", before)));
        let answer = self
            .http("read", &[ALL.1, READ.1], tier, false)
            .send(
                ACTIVITIES,
                |http| http.get(&url).bearer_auth(access.expose_secret()).query(&query),
                count,
            )
            .await
            .map_err(refusal::error)?;
        Ok(Page { items: answer.data, body: answer.body })
    }

    async fn token(&self, form: &[(&str, &str)], past_breaker: bool) -> Result<Grant, Failure> {
        let url = format!("{}/token", self.config.oauth_base.trim_end_matches('/'));
        let application = [
            ("client_id", self.config.client_id.as_str()),
            ("client_secret", self.config.client_secret.expose_secret()),
        ];
        let form = [&application, form].concat();
        // A code is good once, and a repeat after a lost answer may meet a rotated token.
        let answer = self
            .http("token", &[], Tier::Urgent, past_breaker)
            .send_once(TOKEN, |http| http.post(&url).form(&form), Grant::read)
            .await?;
        Ok(answer.data)
    }
}

/// A page of activities as Strava sent it.
#[derive(Clone, Debug)]
pub struct Page {
    /// The body, a complete and readable answer.
    pub body: Bytes,
    /// Items in it; 0 is the end.
    pub items: i32,
}

/// An answer of the token endpoint.
#[derive(Deserialize)]
struct Grant {
    access_token: String,
    refresh_token: String,
    expires_at: i64,
    athlete: Option<Athlete>,
}

#[derive(Deserialize)]
struct Athlete {
    id: Box<RawValue>,
}

impl Grant {
    fn read(body: &[u8]) -> Option<Self> {
        let grant: Self = serde_json::from_slice(body).ok()?;
        DateTime::from_timestamp(grant.expires_at, 0)?;
        Some(grant)
    }

    fn tokens(self) -> Tokens {
        Tokens {
            access: self.access_token.into(),
            refresh: self.refresh_token.into(),
            expires_at: DateTime::from_timestamp(self.expires_at, 0).unwrap_or_default(),
        }
    }
}

/// Items of a page, or `None` if it is no page: an error's body never counts as an empty one.
fn count(body: &[u8]) -> Option<i32> {
    let items: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
    i32::try_from(items.len()).ok()
}

/// Strava's `after` and `before`, both exclusive, in whole seconds as all its start times are.
///
/// `after` is always given: with it the order is ascending, so that an activity recorded while we
/// read lands on a page still to come and moves none that was read.
fn borders(range: &PgRange<DateTime<Utc>>) -> (i64, Option<i64>) {
    let floor = DateTime::<Utc>::timestamp;
    let ceil = |at: &DateTime<Utc>| at.timestamp() + i64::from(at.timestamp_subsec_nanos() > 0);
    let after = match &range.start {
        Bound::Included(start) => ceil(start) - 1,
        Bound::Excluded(start) => floor(start),
        Bound::Unbounded => 0,
    };
    let before = match &range.end {
        Bound::Included(end) => Some(floor(end) + 1),
        Bound::Excluded(end) => Some(ceil(end)),
        Bound::Unbounded => None,
    };
    (after.max(0), before)
}
