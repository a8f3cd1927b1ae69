//! A client of the simulated Withings without opinions: asks, and gives back what it was told.

use paceline_simulator::{WITHINGS_SCOPE, WithingsPopulation};
use reqwest::Response;
use serde_json::Value;

use crate::client::{World, json};

/// A user with little of everything.
pub(crate) const SMALL: WithingsPopulation = WithingsPopulation {
    measures: 60,
    days: 30,
    workouts: 20,
    nights: 30,
    years: 2,
    seed: Some(7),
    until: None,
    id: None,
};

impl World {
    /// A new user and an access token for everything.
    pub(crate) fn withings_user(&self, population: &WithingsPopulation) -> (u64, String) {
        let id = self.sim().add_withings_user(population).expect("a user");
        let pair = self.sim().grant_withings(id, WITHINGS_SCOPE).expect("a grant");
        (id, pair.access_token)
    }

    /// `service` as in `v2/measure`.
    pub(crate) async fn try_withings(
        &self,
        token: &str,
        service: &str,
        form: &[(&str, &str)],
    ) -> reqwest::Result<Response> {
        let request = self.http.post(self.url(&format!("/withings/{service}"))).form(form);
        request.bearer_auth(token).send().await
    }

    /// HTTP status, and the answer.
    pub(crate) async fn withings(
        &self,
        token: &str,
        service: &str,
        form: &[(&str, &str)],
    ) -> (u16, Value) {
        json(self.try_withings(token, service, form).await.expect("an answer")).await
    }

    /// The body of an answer that must be a good one.
    pub(crate) async fn told(&self, token: &str, service: &str, form: &[(&str, &str)]) -> Value {
        let (http, answer) = self.withings(token, service, form).await;
        assert_eq!((http, &answer["status"]), (200, &Value::from(0)), "{answer}");
        answer["body"].clone()
    }

    /// The token service, as application 5.
    pub(crate) async fn withings_oauth(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let application = [("client_id", "5"), ("client_secret", "s")];
        let form: Vec<_> = application.iter().chain(form).collect();
        let request = self.http.post(self.url("/withings/v2/oauth2")).form(&form);
        json(request.send().await.expect("an answer")).await
    }

    /// Everything a list holds for `form`, page by page.
    pub(crate) async fn whole(
        &self,
        token: &str,
        service: &str,
        list: &str,
        form: &[(&str, &str)],
    ) -> (Vec<Value>, usize) {
        let (mut records, mut pages, mut offset) = (Vec::new(), 0, String::new());
        loop {
            let mut form = form.to_vec();
            if !offset.is_empty() {
                form.push(("offset", &offset));
            }
            let body = self.told(token, service, &form).await;
            records.extend(body[list].as_array().expect("a list").iter().cloned());
            pages += 1;
            match &body["more"] {
                Value::Null | Value::Bool(false) => return (records, pages),
                _ => offset = body["offset"].to_string(),
            }
        }
    }
}
