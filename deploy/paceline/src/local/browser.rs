//! A browser in which somebody consents: opens the consent page, agrees, and follows the way back until the page there
//! says how it ended. It does what an app and its user do, and nothing else.

use crate::client::{self, Client};
use paceline_shared::Provider;
use reqwest::{
    Method, Response,
    header::{COOKIE, HeaderName, LOCATION, SET_COOKIE},
};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use url::Url;

/// Between two looks at the page that says how it ended.
const LOOK: Duration = Duration::from_millis(100);
/// Before somebody starts again.
const AGAIN: Duration = Duration::from_millis(500);
/// How long somebody goes on trying: providers are flaky, and processes and Postgres may be killed meanwhile.
const PATIENCE: Duration = Duration::from_secs(90);

/// Why an account is not connected.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Our API.
    #[error(transparent)]
    Api(#[from] client::Error),
    /// A page did not come.
    #[error("a page did not open")]
    Page(#[source] reqwest::Error),
    /// A page came that leads nowhere.
    #[error("a page answered {0} and leads nowhere")]
    Nowhere(reqwest::StatusCode),
    /// The API sent us nowhere.
    #[error("the consent page has no usable address")]
    Address(#[from] url::ParseError),
    /// It ended otherwise than wished.
    #[error("connecting ended as {0}")]
    Ended(String),
    /// It does not end.
    #[error("the page still says {0:?}")]
    Late(String),
}

impl Error {
    /// Whether to begin anew may help.
    fn may_pass(&self) -> bool {
        match self {
            Self::Api(client::Error::Refused(_) | client::Error::Token(_)) | Self::Address(_) => {
                false
            }
            Self::Ended(stage) => matches!(stage.as_str(), "failed" | "code_expired" | "replaced"),
            Self::Api(_) | Self::Page(_) | Self::Nowhere(_) | Self::Late(_) => true,
        }
    }
}

#[derive(Deserialize)]
struct Authorization {
    url: String,
}

#[derive(Deserialize)]
struct Status {
    stage: String,
}

/// Follows no redirect by itself.
#[derive(Clone, Debug)]
pub(super) struct Browser(reqwest::Client);

impl Browser {
    /// `http` must not follow redirects.
    pub(super) const fn new(http: reqwest::Client) -> Self {
        Self(http)
    }

    /// Connects an account, on behalf of whom `app` speaks for; begins anew for a while, as a person would, when it does
    /// not work out.
    pub(super) async fn connect(
        &self,
        app: &Client,
        provider: Provider,
        account: &str,
    ) -> Result<(), Error> {
        let began = Instant::now();
        loop {
            match self.go_there_and_back(app, provider, account, began + PATIENCE).await {
                Err(error) if error.may_pass() && began.elapsed() < PATIENCE => {
                    tracing::debug!(%error, %provider, "connecting again");
                    sleep(AGAIN).await;
                }
                ended => return ended,
            }
        }
    }

    async fn go_there_and_back(
        &self,
        app: &Client,
        provider: Provider,
        account: &str,
        until: Instant,
    ) -> Result<(), Error> {
        let path = format!("/api/v1/connections/{provider}/authorize");
        let Authorization { url } = app.send(Method::POST, &path, &json!({})).await?;
        let mut consent = Url::parse(&url)?;
        // The simulated pages' way of a click on "Allow".
        consent.query_pairs_mut().append_pair("auto", account);
        let callback = leads_to(&self.open(&consent, None).await?, &consent)?;
        let back = self.open(&callback, None).await?;
        let mut page = leads_to(&back, &callback)?;
        let cookie = header(&back, &SET_COOKIE).and_then(|cookie| cookie.split(';').next());
        let cookie = cookie.map(str::to_owned);
        page.set_path(&format!("{}/now", page.path()));
        let mut last = String::new();
        while Instant::now() < until {
            let now = self.open(&page, cookie.as_deref()).await?;
            // While the database is away the page stays as it is.
            if now.status().is_success() {
                last = now.json::<Status>().await.map_err(unopened)?.stage;
            }
            match last.as_str() {
                "connected" => return Ok(()),
                "" | "working" | "nobody_there" => sleep(LOOK).await,
                _ => return Err(Error::Ended(last)),
            }
        }
        Err(Error::Late(last))
    }

    async fn open(&self, url: &Url, cookie: Option<&str>) -> Result<Response, Error> {
        let request = self.0.get(url.clone());
        let request =
            cookie.into_iter().fold(request, |request, text| request.header(COOKIE, text));
        request.send().await.map_err(unopened)
    }
}

/// Addresses hold codes.
fn unopened(error: reqwest::Error) -> Error {
    Error::Page(error.without_url())
}

fn header<'a>(answer: &'a Response, name: &HeaderName) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

fn leads_to(answer: &Response, from: &Url) -> Result<Url, Error> {
    let target = header(answer, &LOCATION).and_then(|target| from.join(target).ok());
    target.ok_or_else(|| Error::Nowhere(answer.status()))
}
