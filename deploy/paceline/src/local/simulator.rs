//! The controls of the simulated world, over HTTP: what a person does at the real providers, and what
//! only a simulator can tell.

use anyhow::{Context as _, bail};
use reqwest::{RequestBuilder, StatusCode, header::LOCATION};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use url::Url;

/// Truth that is asked for at a time.
const TRUTH_LIMIT: usize = 500;
/// All that a log can hold.
const LOG_LIMIT: usize = 1_000_000;
/// Of Strava's list of activities.
const LIST: &str = "/strava/api/v3/athlete/activities";

/// A simulated athlete, in figures.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Athlete {
    /// Strava's number for them.
    pub(crate) id: u64,
    /// First and last name.
    pub(crate) name: String,
    /// Activities there are.
    pub(crate) activities: u64,
    /// Of these, with coordinates.
    pub(crate) locatable: u64,
}

/// What a person who consents is sent back with.
pub(crate) struct Consent {
    /// Buys the first tokens.
    pub(crate) code: SecretString,
    /// What was granted, separated by commas.
    pub(crate) scope: String,
}

/// A running simulator.
#[derive(Clone, Debug)]
pub(crate) struct Simulator {
    http: reqwest::Client,
    base: Url,
}

#[derive(Deserialize)]
struct Truth {
    activities: Vec<Activity>,
    next: Option<usize>,
}

#[derive(Deserialize)]
struct Activity {
    id: u64,
}

#[derive(Deserialize)]
struct Log {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    athlete: Option<u64>,
    page: Option<u32>,
    status: Option<u16>,
}

#[derive(Deserialize)]
struct Counts {
    total: u64,
}

impl Simulator {
    pub(super) const fn new(http: reqwest::Client, base: Url) -> Self {
        Self { http, base }
    }

    /// Its address, without a slash at the end.
    pub(crate) fn base(&self) -> String {
        self.at("")
    }

    pub(crate) fn strava_api(&self) -> String {
        self.at("/strava/api/v3")
    }

    pub(crate) fn strava_oauth(&self) -> String {
        self.at("/strava/oauth")
    }

    pub(crate) fn weather_archive(&self) -> String {
        self.at("/open-meteo/archive")
    }

    pub(crate) fn weather_forecast(&self) -> String {
        self.at("/open-meteo/forecast")
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// A new athlete with a history of ten years.
    pub(crate) async fn add_athlete(&self, activities: u32) -> anyhow::Result<Athlete> {
        let asked = json!({ "activities": activities });
        self.ask(self.http.post(self.at("/_sim/strava/athletes")).json(&asked)).await
    }

    /// An athlete as they are now.
    pub(crate) async fn athlete(&self, id: u64) -> anyhow::Result<Athlete> {
        self.ask(self.http.get(self.at(&format!("/_sim/strava/athletes/{id}")))).await
    }

    /// Consents on behalf of an athlete to what `client` asks for, as a browser would.
    pub(crate) async fn consent(
        &self,
        athlete: u64,
        client: &str,
        scopes: &[&str],
    ) -> anyhow::Result<Consent> {
        let query = [
            ("client_id", client),
            ("redirect_uri", "http://localhost/oauth/strava/callback"),
            ("response_type", "code"),
            ("scope", &scopes.join(",")),
            ("auto", &athlete.to_string()),
        ];
        let url = format!("{}/authorize", self.strava_oauth());
        let answer = self.http.get(url).query(&query).send().await?;
        if answer.status() != StatusCode::FOUND {
            bail!("the simulated Strava answered {} to a consent", answer.status());
        }
        let target = answer.headers().get(LOCATION).and_then(|target| target.to_str().ok());
        let target =
            target.and_then(|target| Url::parse(target).ok()).context("a consent leads nowhere")?;
        let field = |name| {
            target
                .query_pairs()
                .find(|(found, _)| found == name)
                .map(|(_, value)| value.into_owned())
        };
        let code = field("code").context("a consent brought no code")?;
        Ok(Consent { code: code.into(), scope: field("scope").unwrap_or_default() })
    }

    /// The ids of an athlete's activities from `cursor` on, and where to go on.
    pub(crate) async fn activity_ids(
        &self,
        athlete: u64,
        cursor: usize,
    ) -> anyhow::Result<(Vec<String>, Option<usize>)> {
        let url = self.at(&format!("/_sim/strava/athletes/{athlete}/activities"));
        let query = [("cursor", cursor), ("limit", TRUTH_LIMIT)];
        let truth: Truth = self.ask(self.http.get(url).query(&query)).await?;
        Ok((
            truth.activities.into_iter().map(|activity| activity.id.to_string()).collect(),
            truth.next,
        ))
    }

    /// Pages of each athlete's list that were read well, the empty one at the end included.
    pub(crate) async fn pages_read(&self) -> anyhow::Result<BTreeMap<u64, usize>> {
        let query = [("path", LIST), ("limit", &LOG_LIMIT.to_string())];
        let log: Log = self.ask(self.http.get(self.at("/_sim/log")).query(&query)).await?;
        let mut pages = BTreeMap::<u64, BTreeSet<u32>>::new();
        for entry in log.entries.into_iter().filter(|entry| entry.status == Some(200)) {
            if let (Some(athlete), Some(page)) = (entry.athlete, entry.page) {
                pages.entry(athlete).or_default().insert(page);
            }
        }
        Ok(pages.into_iter().map(|(athlete, pages)| (athlete, pages.len())).collect())
    }

    /// Requests that the providers have had.
    pub(crate) async fn requests(&self) -> anyhow::Result<u64> {
        let counts: Counts = self.ask(self.http.get(self.at("/_sim/counts"))).await?;
        Ok(counts.total)
    }

    /// Makes so large a share of the providers' answers fail from now on, in every way.
    pub(crate) async fn make_flaky(&self, probability: f64) -> anyhow::Result<()> {
        let asked = json!({ "preset": "flaky", "probability": probability });
        let faults = self.http.post(self.at("/_sim/faults")).json(&asked);
        self.ask::<serde_json::Value>(faults).await.map(|_ids| ())
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let answer = async { request.send().await?.error_for_status()?.json().await };
        answer.await.context("the simulated world did not answer as it should")
    }
}
