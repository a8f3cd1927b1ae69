//! The controls of the simulated world, over HTTP: what a person does at the real providers, and what
//! only a simulator can tell.

use anyhow::{Context as _, bail};
use paceline_shared::Provider;
use reqwest::RequestBuilder;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use url::Url;

/// A person's account at a simulated provider.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Where.
    pub(crate) provider: Provider,
    /// The provider's id for them, as text.
    pub(crate) id: String,
}

/// A running simulator.
#[derive(Clone, Debug)]
pub(crate) struct Simulator {
    http: reqwest::Client,
    base: Url,
}

#[derive(Deserialize)]
struct Made {
    /// A number or a text, as the provider has it.
    id: Value,
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

    pub(crate) fn weather_archive(&self) -> String {
        self.at("/open-meteo/archive")
    }

    pub(crate) fn weather_forecast(&self) -> String {
        self.at("/open-meteo/forecast")
    }

    pub(super) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    /// A new person's account, with a history that follows from `activities`.
    pub(super) async fn add_account(
        &self,
        provider: Provider,
        activities: u32,
    ) -> anyhow::Result<Account> {
        let (path, population) = population(provider, activities)?;
        let made = self.http.post(self.at(path)).json(&population);
        let Made { id } = self.ask(made).await?;
        let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        Ok(Account { provider, id })
    }

    /// What is at `path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(self.http.get(self.at(path))).await
    }

    /// Requests that the providers have had.
    pub(crate) async fn requests(&self) -> anyhow::Result<u64> {
        self.get("/_sim/counts").await.map(|Counts { total }| total)
    }

    /// Makes so large a share of the providers' answers fail from now on, in every way.
    pub(crate) async fn make_flaky(&self, probability: f64) -> anyhow::Result<()> {
        let asked = json!({ "preset": "flaky", "probability": probability });
        let faults = self.http.post(self.at("/_sim/faults")).json(&asked);
        self.ask::<Value>(faults).await.map(|_ids| ())
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> anyhow::Result<T> {
        let answer = async { request.send().await?.error_for_status()?.json().await };
        answer.await.context("the simulated world did not answer as it should")
    }
}

/// Where accounts are made, and a history that a demo is done with soon: Strava's is the long one.
fn population(provider: Provider, activities: u32) -> anyhow::Result<(&'static str, Value)> {
    /// The most that the providers beside Strava hold of anything.
    const MOST: u32 = 20_000;
    let share = |percent: u32| (activities.min(MOST) * percent / 100).max(10);
    Ok(match provider {
        Provider::Strava => ("/_sim/strava/athletes", json!({ "activities": activities })),
        Provider::Withings => (
            "/_sim/withings/users",
            json!({
                "measures": share(40), "days": share(30).min(700), "workouts": share(10),
                "nights": share(30).min(700), "years": 2
            }),
        ),
        Provider::Fitbit => (
            "/_sim/fitbit/users",
            json!({
                "weights": share(30), "activities": share(20), "sleeps": share(30).min(700), "years": 2
            }),
        ),
        Provider::Garmin => {
            ("/_sim/garmin/users", json!({ "activities": share(15).min(3_000), "years": 1 }))
        }
        Provider::GoogleHealth => bail!("nobody simulates {}", provider.title()),
    })
}
