//! A simulator on a free port and a client without opinions: no retries, no redirects.

use paceline_simulator::{Config, FULL_SCOPE, Population, Running, Simulator};
use reqwest::{Client, Response, redirect};
use serde_json::Value;

pub(crate) struct World {
    pub(crate) running: Running,
    pub(crate) http: Client,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let running = Simulator::start(config).await.expect("a free port");
        let http = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .expect("a client");
        Self { running, http }
    }

    pub(crate) fn sim(&self) -> &Simulator {
        self.running.simulator()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.base_url())
    }

    /// A new athlete and an access token for everything.
    pub(crate) fn athlete(&self, activities: u32) -> (u64, String) {
        let population = Population { activities, seed: Some(7), ..Population::default() };
        let id = self.sim().add_athlete(&population).expect("an athlete");
        let pair = self.sim().grant(id, FULL_SCOPE).expect("a grant");
        (id, pair.access_token)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.http.get(self.url(path)).send().await.expect("an answer")
    }

    pub(crate) async fn try_strava(&self, token: &str, path: &str) -> reqwest::Result<Response> {
        let url = self.url(&format!("/strava/api/v3/{path}"));
        self.http.get(url).bearer_auth(token).send().await
    }

    pub(crate) async fn strava(&self, token: &str, path: &str) -> Response {
        self.try_strava(token, path).await.expect("an answer")
    }

    pub(crate) async fn token(&self, form: &[(&str, &str)]) -> Response {
        let application = [("client_id", "5"), ("client_secret", "s")];
        let form: Vec<_> = application.iter().chain(form).collect();
        let request = self.http.post(self.url("/strava/oauth/token")).form(&form);
        request.send().await.expect("an answer")
    }

    pub(crate) async fn control(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let request = self.http.request(method, self.url(path)).json(&body);
        json(request.send().await.expect("an answer")).await
    }
}

pub(crate) async fn json(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}
