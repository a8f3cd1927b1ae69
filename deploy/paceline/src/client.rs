//! A client of our own HTTP API, as any app would be one: for `paceline sync` and the demo.

use crate::sync::SyncView;
use chrono::{DateTime, Utc};
use paceline_api::auth::{Role, local};
use paceline_shared::{JobId, JobType, Provider};
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

/// The longest that the API lets a caller wait.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(25);
/// For a request that does not wait.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the API may be away while somebody waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Before asking an API again that was away.
pub(crate) const ASK_AGAIN: Duration = Duration::from_millis(500);
/// A token of the local issuer is made for each request, and is not needed for long.
const TOKEN_LIFE: Duration = Duration::from_mins(5);

/// Why the API did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It cannot be reached, or broke off. Asking again later may help.
    #[error("the API at {0} cannot be reached")]
    Unreachable(Url, #[source] reqwest::Error),
    /// It is there and cannot answer for the moment.
    #[error("the API is not ready: {0}")]
    Unavailable(Problem),
    /// It said no.
    #[error("{0}")]
    Refused(Problem),
    /// It said something that this version does not understand.
    #[error("the answer of the API cannot be read")]
    Unreadable(#[source] reqwest::Error),
    /// The local issuer could not make a token.
    #[error(transparent)]
    Token(#[from] local::Error),
}

impl Error {
    /// Whether to ask again later may help.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(..) | Self::Unavailable(_))
    }
}

/// A failure as the API describes it (RFC 9457).
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Problem {
    title: String,
    detail: String,
    sync_id: Option<JobId>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.title)?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        self.sync_id.map_or(Ok(()), |id| write!(f, " (sync {id})"))
    }
}

/// On whose behalf.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    /// A token that somebody else made.
    Token(SecretString),
    /// A user of the local issuer.
    Local {
        /// What signs the tokens.
        secret: local::Secret,
        /// Who it is.
        user: String,
        /// What he may do in the administration.
        role: Option<Role>,
    },
}

/// A sync to start.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewSync {
    pub(crate) provider: Provider,
    pub(crate) job_type: JobType,
    pub(crate) time_range: TimeRange,
    pub(crate) options: Options,
}

/// Start times, at or after and before; open where nothing is said.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct TimeRange {
    #[serde(skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_seconds_option")]
    pub(crate) after: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none", with = "chrono::serde::ts_seconds_option")]
    pub(crate) before: Option<DateTime<Utc>>,
}

/// How; what is left out has the API's default.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch_size: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_retries: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skip_weather_enrichment: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) include_geocoding: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) activity_types: Vec<String>,
}

/// A caller of the API.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    credentials: Credentials,
}

impl Client {
    /// `base`: the API's address without a path.
    pub(crate) const fn new(http: reqwest::Client, base: Url, credentials: Credentials) -> Self {
        Self { http, base, credentials }
    }

    /// Starts a sync.
    pub(crate) async fn start(&self, sync: &NewSync) -> Result<SyncView, Error> {
        self.send(Method::POST, "/api/v1/syncs", sync).await
    }

    /// Reads a sync: at once, or with `wait` (at most [`LONGEST_WAIT`]) when it has ended.
    pub(crate) async fn sync(&self, id: JobId, wait: Option<Duration>) -> Result<SyncView, Error> {
        let path = format!("/api/v1/syncs/{id}");
        let limit = LIMIT + wait.unwrap_or_default();
        let request = self.request(Method::GET, &path, limit)?;
        let request = match wait {
            Some(wait) => request.query(&[("wait", wait.as_secs())]),
            None => request,
        };
        self.answer(request).await
    }

    /// Reads what is at `path`.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Error> {
        self.answer(self.request(Method::GET, path, LIMIT)?.query(query)).await
    }

    /// The same, asking again while the API is away, for a while.
    pub(crate) async fn patiently<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, Error> {
        let began = Instant::now();
        loop {
            match self.get(path, query).await {
                Err(error) if error.may_pass() && began.elapsed() < PATIENCE => {
                    tracing::debug!(%error, "asking again");
                    tokio::time::sleep(ASK_AGAIN).await;
                }
                answered => return answered,
            }
        }
    }

    /// Sends a body to `path`. Carried out once, also when an answer is lost and the request repeated.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Error> {
        let once = Uuid::new_v4().to_string();
        let ask = || -> Result<RequestBuilder, Error> {
            let request = self.request(method.clone(), path, LIMIT)?;
            Ok(request.header("idempotency-key", &once).json(body))
        };
        match self.answer(ask()?).await {
            Err(Error::Unreachable(_, error)) if !error.is_connect() => self.answer(ask()?).await,
            answered => answered,
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        limit: Duration,
    ) -> Result<RequestBuilder, Error> {
        let mut url = self.base.clone();
        url.set_path(path);
        let request = self.http.request(method, url).timeout(limit);
        Ok(match &self.credentials {
            Credentials::Token(token) => request.bearer_auth(token.expose_secret()),
            Credentials::Local { secret, user, role } => {
                let token = local::issue_for_staff(secret, user, None, *role, TOKEN_LIFE)?;
                request.bearer_auth(token)
            }
        })
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let unreachable =
            |error: reqwest::Error| Error::Unreachable(self.base.clone(), error.without_url());
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.map_err(|error| {
                if error.is_decode() {
                    Error::Unreadable(error.without_url())
                } else {
                    unreachable(error)
                }
            });
        }
        // Something in between may answer with no problem at all.
        let told: Option<Problem> = answer.json().await.ok();
        let problem =
            told.unwrap_or_else(|| Problem { title: status.to_string(), ..Problem::default() });
        Err(match status {
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Error::Unavailable(problem),
            _ => Error::Refused(problem),
        })
    }
}

/// A client for other processes of ours. A proxy on the way to them would be a mistake.
pub(crate) fn loopback(limit: Duration) -> anyhow::Result<reqwest::Client> {
    let builder = || {
        reqwest::Client::builder()
            .timeout(limit)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
    };
    // Where there are no certificate authorities plain HTTP still works.
    Ok(builder().build().or_else(|_no_authorities| builder().tls_certs_only([]).build())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_asked_for_is_not_sent() {
        let after = DateTime::from_timestamp(1_735_689_600, 0);
        let sync = NewSync {
            provider: Provider::Strava,
            job_type: JobType::Activities,
            time_range: TimeRange { after, before: None },
            options: Options { batch_size: Some(50), ..Options::default() },
        };
        assert_eq!(
            serde_json::to_value(&sync).unwrap(),
            serde_json::json!({
                "provider": "strava", "jobType": "activities", "timeRange": {"after": 1_735_689_600},
                "options": {"batchSize": 50}
            })
        );
    }

    #[test]
    fn a_problem_is_one_line() {
        let json = r#"{"type": "/problems/not-connected", "title": "Not connected", "status": 409,
                       "detail": "There is no Strava account."}"#;
        let problem: Problem = serde_json::from_str(json).unwrap();
        assert_eq!(
            Error::Refused(problem).to_string(),
            "Not connected: There is no Strava account."
        );
    }
}
