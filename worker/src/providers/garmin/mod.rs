//! Garmin's Health and Activity APIs: addresses, calls, quota.
//!
//! What is read and in which order is in `plan`, how a step is taken in `source`, what a refusal means in `refusal`,
//! what the summaries say in `activities`, `days` and `body`. It knows neither jobs nor the database.

mod accounts;
mod activities;
mod body;
mod days;
mod fields;
mod kind;
mod plan;
mod refusal;
mod source;
#[cfg(test)]
mod tests;

use super::{
    Access,
    http::{self, Failure, Http},
};
use crate::budget::{Call, Limit, Meter, Terms, Tier};
use paceline_shared::Provider;
use reqwest::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use std::{fmt, num::NonZeroU32, time::Duration};

/// The permissions that we want; the user may withhold any of them, on Garmin's page or later.
pub const SCOPES: [&str; 3] = [ACTIVITY_EXPORT, HEALTH_EXPORT, HISTORICAL_DATA_EXPORT];
/// Gives activities.
const ACTIVITY_EXPORT: &str = "ACTIVITY_EXPORT";
/// Gives days, nights and what was measured.
const HEALTH_EXPORT: &str = "HEALTH_EXPORT";
/// Gives what is older than the connection.
const HISTORICAL_DATA_EXPORT: &str = "HISTORICAL_DATA_EXPORT";

/// Calls of the whole application.
///
/// What Garmin allows is between it and each partner, so this is a cautious guess; the days of history that may be asked for in a minute are counted as `backfill`, where somebody sets it.
pub const LIMITS: &str = "all:100/1m";

/// Names of limits, each with its scope among all budgets.
const ALL: (&str, &str) = ("all", "garmin:all");
/// Requests for history, of up to 90 days each: an application under evaluation may ask for 100 days a minute.
const BACKFILL: (&str, &str) = ("backfill", "garmin:backfill");

/// So many calls of a process in a second are no burst that anybody minds.
const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(500).expect("not zero");

/// Garmin says nothing about when history that was asked for is there; most of it is by then, and what comes later is
/// found by the next sync.
const HISTORY_PAUSE: Duration = Duration::from_mins(1);

/// Where Garmin is, and which application we are there.
#[derive(Clone, Debug)]
pub struct GarminConfig {
    /// Of the API.
    pub api_base: String,
    /// Of the consent page.
    pub connect_base: String,
    /// Of the token endpoint.
    pub auth_base: String,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: SecretString,
    /// What Garmin allows it.
    pub limits: Vec<Limit>,
    /// Calls of this process in any second.
    pub calls_per_second: NonZeroU32,
    /// From the last request for history to the first look for it.
    pub history_pause: Duration,
}

impl GarminConfig {
    /// An application at Garmin's own addresses.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: SecretString) -> Self {
        Self {
            api_base: "https://apis.garmin.com/wellness-api/rest".to_owned(),
            connect_base: "https://connect.garmin.com".to_owned(),
            auth_base: "https://diauth.garmin.com".to_owned(),
            client_id: client_id.into(),
            client_secret,
            limits: LIMITS.split(',').filter_map(|limit| limit.parse().ok()).collect(),
            calls_per_second: CALLS_PER_SECOND,
            history_pause: HISTORY_PAUSE,
        }
    }

    /// The name of a limit that Garmin has not.
    #[must_use]
    pub fn unknown_limit(&self) -> Option<&Limit> {
        self.limits.iter().find(|limit| ![ALL.0, BACKFILL.0].contains(&limit.name.as_str()))
    }

    /// What a meter must know of Garmin. Its answers tell nothing of the quota.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            provider: Provider::Garmin,
            windows: self.limits.iter().map(|l| l.window(Provider::Garmin.as_str())).collect(),
            hear: |_status, _headers| Vec::new(),
            calls_per_second: self.calls_per_second,
        }
    }
}

/// A client of Garmin for one application.
#[derive(Clone)]
pub struct Garmin {
    config: GarminConfig,
    http: Http,
    meter: Option<Meter>,
}

impl fmt::Debug for Garmin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Garmin").field("api_base", &self.config.api_base).finish_non_exhaustive()
    }
}

impl Garmin {
    /// A client whose calls nobody counts.
    #[must_use]
    pub fn new(config: GarminConfig, http: Http) -> Self {
        Self { config, http, meter: None }
    }

    /// The same client, whose calls go through the fleet's budgets and breaker.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { meter: Some(meter), ..self }
    }

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

    /// The summaries of a type that were uploaded within a window of at most a day, both its seconds included, in the
    /// order of their upload: a bare array.
    async fn pull(
        &self,
        access: &Access,
        kind: kind::Kind,
        (from, to): (i64, i64),
    ) -> Result<http::Answer<()>, Failure> {
        let url = self.url(kind.name());
        let query = [("uploadStartTimeInSeconds", from), ("uploadEndTimeInSeconds", to)];
        self.http("pull", &[ALL.1], access.tier, false)
            .send(
                kind.name(),
                |http| http.get(&url).bearer_auth(access.token.expose_secret()).query(&query),
                |body| source::summaries(body).ok().map(|_summaries| ()),
            )
            .await
    }

    /// Asks Garmin to upload once more what began within a span. The answer says nothing but that it was asked.
    async fn backfill(
        &self,
        access: &Access,
        kind: kind::Kind,
        (from, to): (i64, i64),
    ) -> Result<(), Failure> {
        let url = self.url(&format!("backfill/{}", kind.name()));
        let query = [("summaryStartTimeInSeconds", from), ("summaryEndTimeInSeconds", to)];
        let asked = self
            .http("backfill", &[ALL.1, BACKFILL.1], access.tier, false)
            .send(
                "backfill/{type}",
                |http| http.get(&url).bearer_auth(access.token.expose_secret()).query(&query),
                |_body| Some(()),
            )
            .await;
        match asked {
            Ok(_) => Ok(()),
            // An earlier try arrived, and only its answer was lost.
            Err(Failure::Refused(refused))
                if refused.status == StatusCode::CONFLICT && refused.detail.tries > 1 =>
            {
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }
}
