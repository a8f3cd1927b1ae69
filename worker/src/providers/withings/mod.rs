//! Withings: its addresses, its calls, its quota. What the envelope of an answer says is in `answer`, what a status
//! means in `refusal`, what the lists hold in `measures`, `workouts` and `days`.
//!
//! It knows neither jobs nor the database.

mod accounts;
mod answer;
mod days;
use super::json;
mod measures;
mod refusal;
mod source;
#[cfg(test)]
mod tests;
mod workouts;

use super::{
    Detail,
    http::{Answer, Failure, Http, HttpOptions},
};
use crate::budget::{Call, Limit, Meter, Terms, Tier};
use answer::Status;
use json::Fields;
use paceline_shared::Provider;
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fmt,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The scopes that we ask for; the user may withhold any of them.
pub const SCOPES: [&str; 4] = [METRICS, ACTIVITY, "user.info", "user.sleepevents"];
/// Gives measures.
const METRICS: &str = "user.metrics";
/// Gives workouts, days and nights.
const ACTIVITY: &str = "user.activity";

/// What Withings allows an application: 120 calls in any minute, codes and tokens among them.
///
/// That minute slides, and ours stand still: of windows of 20 s a minute touches four, so 30 calls in each are never
/// more than 120. Shorter ones have another good side: a code lives for 30 s, and never waits that long for a window.
pub const LIMITS: &str = "all:30/20s";

/// The name of the only limit, and its scope among all budgets.
const ALL: (&str, &str) = ("all", "withings:all");

/// So many calls of a process in a second are no burst that anybody minds.
const CALLS_PER_SECOND: NonZeroU32 = NonZeroU32::new(500).expect("not zero");

/// Where Withings is, and which application we are there.
#[derive(Clone, Debug)]
pub struct WithingsConfig {
    /// Of the API.
    pub api_base: String,
    /// Of the consent page.
    pub account_base: String,
    /// The application's id.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: SecretString,
    /// What Withings allows it.
    pub limits: Vec<Limit>,
    /// Calls of this process in any second.
    pub calls_per_second: NonZeroU32,
    /// A failed call is not made again sooner: the same arguments within ten seconds are refused.
    pub repeat_after: Duration,
}

impl WithingsConfig {
    /// An application at Withings' own addresses.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: SecretString) -> Self {
        Self {
            api_base: "https://wbsapi.withings.net".to_owned(),
            account_base: "https://account.withings.com".to_owned(),
            client_id: client_id.into(),
            client_secret,
            limits: LIMITS.split(',').filter_map(|limit| limit.parse().ok()).collect(),
            calls_per_second: CALLS_PER_SECOND,
            repeat_after: refusal::SAME_CALL,
        }
    }

    /// The name of a limit that Withings has not.
    #[must_use]
    pub fn unknown_limit(&self) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.name != ALL.0)
    }

    /// What a meter must know of Withings. Its answers tell nothing of the quota.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            provider: Provider::Withings,
            windows: self.limits.iter().map(|l| l.window(Provider::Withings.as_str())).collect(),
            hear: |_status, _headers| Vec::new(),
            calls_per_second: self.calls_per_second,
        }
    }

    /// How calls are made: a repeat, whose pause is drawn from half to one and a half of the first one, comes no sooner
    /// than the same arguments may.
    #[must_use]
    pub fn http(&self, usual: &HttpOptions) -> HttpOptions {
        let first_pause = usual.first_pause.max(self.repeat_after * 2);
        let tries = usual.tries.min(3);
        HttpOptions {
            tries,
            first_pause,
            longest_pause: usual.longest_pause.max(first_pause),
            retry_for: usual.retry_for.max(first_pause * 2 * tries),
            ..usual.clone()
        }
    }
}

/// A client of Withings for one application.
#[derive(Clone)]
pub struct Withings {
    config: WithingsConfig,
    http: Http,
    meter: Option<Meter>,
}

impl fmt::Debug for Withings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Withings").field("api_base", &self.config.api_base).finish_non_exhaustive()
    }
}

/// A call, as it is counted and reported.
#[derive(Clone, Copy)]
struct Kind {
    /// For reports: the path and the action.
    endpoint: &'static str,
    /// The path.
    path: &'static str,
    tier: Tier,
    /// It may be made twice.
    repeat: bool,
    /// It is made though the breaker is open.
    past_breaker: bool,
}

/// Why a call gave nothing.
enum Failed {
    /// HTTP, or what came was no answer of Withings.
    Http(Failure),
    /// Withings said why.
    Said { status: Status, detail: Detail },
}

impl Withings {
    /// A client whose calls nobody counts. `http`: made with [`WithingsConfig::http`].
    #[must_use]
    pub fn new(config: WithingsConfig, http: Http) -> Self {
        Self { config, http, meter: None }
    }

    /// The same client, whose calls go through the fleet's budgets and breaker.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { meter: Some(meter), ..self }
    }

    fn http(&self, kind: Kind) -> Http {
        let name = if kind.repeat { "read" } else { "token" };
        let call = Call {
            kind: name,
            scopes: &[ALL.1],
            user: Vec::new(),
            tier: kind.tier,
            past_breaker: kind.past_breaker,
        };
        self.meter.as_ref().map_or_else(|| self.http.clone(), |m| self.http.behind(m.gate(&call)))
    }

    /// Makes a call. `read` makes data of a body whose status is 0; `None` is no data, and as bad as no answer.
    async fn call<T>(
        &self,
        kind: Kind,
        form: &[(&str, String)],
        access: Option<&SecretString>,
        read: impl Fn(&Fields<'_>) -> Option<T>,
    ) -> Result<Answer<T>, Failed> {
        let url = format!("{}/{}", self.config.api_base.trim_end_matches('/'), kind.path);
        let build = |client: &reqwest::Client| {
            let request = client.post(&url).form(form);
            match access {
                Some(token) => request.bearer_auth(token.expose_secret()),
                None => request,
            }
        };
        // Trouble told by a status is repeated as if HTTP had told it.
        let trouble: Mutex<Option<Status>> = Mutex::new(None);
        let keep = |status| *trouble.lock().unwrap_or_else(PoisonError::into_inner) = status;
        let open = |body: &[u8]| {
            keep(None);
            match answer::open(body).ok()? {
                Ok(body) => read(&body).map(Ok),
                Err(status) if refusal::family(status.code) == refusal::Family::Trouble => {
                    keep(Some(status));
                    None
                }
                Err(status) => Some(Err(status)),
            }
        };
        let http = self.http(kind);
        let answer = if kind.repeat {
            http.send(kind.endpoint, build, open).await
        } else {
            http.send_once(kind.endpoint, build, open).await
        };
        match answer {
            Ok(Answer { headers, body, data: Ok(data) }) => Ok(Answer { headers, body, data }),
            Ok(Answer { data: Err(status), .. }) => {
                let endpoint = kind.endpoint.to_owned();
                let detail = Detail { endpoint, status: Some(200), tries: 1, ..Detail::default() };
                Err(Failed::Said { status, detail })
            }
            Err(Failure::Temporary(detail)) => {
                match trouble.into_inner().unwrap_or_else(PoisonError::into_inner) {
                    Some(status) => Err(Failed::Said { status, detail }),
                    None => Err(Failed::Http(Failure::Temporary(detail))),
                }
            }
            Err(failure) => Err(Failed::Http(failure)),
        }
    }
}
