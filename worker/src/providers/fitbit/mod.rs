//! The Fitbit Web API: its addresses, its quota, its calls. What is read in which order is in `source`, what records say
//! in `record`, what a refusal means in `refusal`, accounts in `accounts`.
//!
//! Fitbit's own service ended on 2 November 2026 and answers 410 since; this client is for deployments behind a
//! compatible proxy. It knows neither jobs nor the database.

mod accounts;
mod record;
mod refusal;
mod source;
#[cfg(test)]
mod tests;

use super::{Error, http::Http, source::Access};
use crate::budget::{Call, Limit, Meter, Terms, Tier};
use bytes::Bytes;
use paceline_shared::{Provider, db::budgets::Window};
use secrecy::{ExposeSecret as _, SecretString};
use std::{fmt, num::NonZeroU32};

/// The scopes that we ask for; the user may withhold any of them.
pub const SCOPES: [&str; 4] = ["activity", "weight", "sleep", "profile"];

/// What Fitbit allows an application for each of its users, from one full hour to the next.
pub const LIMITS: &str = "user:150/1h";

/// The only limit's name.
const USER: &str = "user";

/// So many calls of a process in a second are no burst that anybody minds.
const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

/// Where Fitbit is, and which application we are there.
#[derive(Clone, Debug)]
pub struct FitbitConfig {
    /// Of the API; the token endpoint is below it too.
    pub api_base: String,
    /// Of the consent page.
    pub web_base: String,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: SecretString,
    /// What each user's account allows.
    pub limits: Vec<Limit>,
    /// Calls of this process in any second.
    pub calls_per_second: NonZeroU32,
}

impl FitbitConfig {
    /// An application at Fitbit's own addresses.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: SecretString) -> Self {
        Self {
            api_base: "https://api.fitbit.com".to_owned(),
            web_base: "https://www.fitbit.com".to_owned(),
            client_id: client_id.into(),
            client_secret,
            limits: LIMITS.split(',').filter_map(|limit| limit.parse().ok()).collect(),
            calls_per_second: CALLS_PER_SECOND,
        }
    }

    /// The name of a limit that Fitbit has not.
    #[must_use]
    pub fn unknown_limit(&self) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.name != USER)
    }

    /// What a meter must know of Fitbit: nothing is shared by an application's users.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            provider: Provider::Fitbit,
            windows: vec![],
            hear: |_status, _headers| vec![],
            calls_per_second: self.calls_per_second,
        }
    }
}

/// A client of Fitbit for one application.
#[derive(Clone)]
pub struct Fitbit {
    config: FitbitConfig,
    http: Http,
    meter: Option<Meter>,
}

impl fmt::Debug for Fitbit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fitbit").field("api_base", &self.config.api_base).finish_non_exhaustive()
    }
}

impl Fitbit {
    /// A client whose calls nobody counts.
    #[must_use]
    pub const fn new(config: FitbitConfig, http: Http) -> Self {
        Self { config, http, meter: None }
    }

    /// The same client, whose calls go through the fleet's budgets and breaker.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { meter: Some(meter), ..self }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.config.api_base.trim_end_matches('/'))
    }

    /// The client for calls about a user's data.
    fn reading(&self, access: &Access) -> Http {
        let user = self.config.limits.iter().map(|limit| Window {
            scope: format!("fitbit:user:{}", access.connection),
            ..limit.window(Provider::Fitbit.as_str())
        });
        self.behind(&Call {
            kind: "read",
            scopes: &[],
            user: user.collect(),
            tier: access.tier,
            past_breaker: false,
        })
    }

    /// The client for calls about an account, which are not counted.
    fn about_account(&self, past_breaker: bool) -> Http {
        let tier = Tier::Urgent;
        self.behind(&Call { kind: "token", scopes: &[], user: vec![], tier, past_breaker })
    }

    fn behind(&self, call: &Call) -> Http {
        self.meter.as_ref().map_or_else(|| self.http.clone(), |m| self.http.behind(m.gate(call)))
    }

    /// A JSON object of a user's. Without `Accept-Language` all of it is metric: that header alone decides the unit.
    async fn get(
        &self,
        access: &Access,
        endpoint: &str,
        path: &str,
        query: &[(&str, String)],
        is_whole: fn(&[u8]) -> bool,
    ) -> Result<Bytes, Error> {
        let url = self.url(path);
        let answer = self
            .reading(access)
            .send(
                endpoint,
                |http| http.get(&url).bearer_auth(access.token.expose_secret()).query(query),
                |body| is_whole(body).then_some(()),
            )
            .await
            .map_err(refusal::error)?;
        Ok(answer.body)
    }
}
