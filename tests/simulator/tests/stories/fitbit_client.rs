//! What the stories of Fitbit share: a user with a grant, and reading by date and by page.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use paceline_simulator::{
    FITBIT_FULL_SCOPE, FitbitLog, FitbitPopulation, FitbitRange, FitbitTokens,
};
use reqwest::Response;
use serde_json::Value;

use crate::client::{World, json};

impl World {
    /// A user with a small life of two years, and a grant for everything.
    pub(crate) fn fitbit_user(&self) -> (String, FitbitTokens) {
        let population = FitbitPopulation {
            weights: 400,
            activities: 230,
            sleeps: 300,
            years: 2,
            seed: Some(7),
            until: Some(day("2026-11-20")),
            ..FitbitPopulation::default()
        };
        let id = self.sim().add_fitbit_user(&population).expect("a user");
        let tokens = self.sim().grant_fitbit(&id, FITBIT_FULL_SCOPE).expect("a grant");
        (id, tokens)
    }

    pub(crate) async fn fitbit(&self, token: &str, path: &str) -> Response {
        let url = self.url(&format!("/fitbit/{path}"));
        self.http.get(url).bearer_auth(token).send().await.expect("an answer")
    }

    /// With an application's Basic credentials.
    pub(crate) async fn fitbit_form(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let request = self.http.post(self.url(&format!("/fitbit/{path}")));
        request.basic_auth("23ABCD", Some("s")).form(form).send().await.expect("an answer")
    }

    /// Everything of a log by date, in chunks of `days`.
    pub(crate) async fn fitbit_by_date(
        &self,
        token: &str,
        log: FitbitLog,
        days: u64,
    ) -> Vec<Value> {
        let path = match log {
            FitbitLog::Sleep => "1.2/user/-/sleep/date".to_owned(),
            other => format!("1/user/-/body/log/{other}/date"),
        };
        let mut found = Vec::new();
        let mut from = day("2024-10-01");
        while from < day("2026-12-01") {
            let to = from + Days::new(days - 1);
            let answer = self.fitbit(token, &format!("{path}/{from}/{to}.json")).await;
            let (status, mut body) = json(answer).await;
            assert_eq!(status, 200, "{body}");
            let Value::Array(entries) = body[log.to_string()].take() else { panic!("{body}") };
            found.extend(entries);
            from = to + Days::new(1);
        }
        found
    }

    /// The list of activities to its end, following the addresses it gives.
    pub(crate) async fn fitbit_by_page(&self, token: &str, query: &str) -> (Vec<Value>, usize) {
        let mut url = self.url(&format!("/fitbit/1/user/-/activities/list.json?{query}"));
        let (mut found, mut pages) = (Vec::new(), 0);
        while !url.is_empty() {
            let answer = self.http.get(&url).bearer_auth(token).send().await.expect("an answer");
            let (status, mut body) = json(answer).await;
            assert_eq!(status, 200, "{body}");
            let Value::Array(entries) = body["activities"].take() else { panic!("{body}") };
            found.extend(entries);
            pages += 1;
            body["pagination"]["next"]
                .as_str()
                .expect("an address or nothing")
                .clone_into(&mut url);
        }
        (found, pages)
    }

    /// What a log truly holds.
    pub(crate) fn fitbit_truth(&self, id: &str, log: FitbitLog) -> Vec<Value> {
        let page = self.sim().fitbit_records(id, log, FitbitRange::default(), 0, usize::MAX);
        let records = page.expect("a page").records;
        let texts = records.iter().map(|record| record.fields.get());
        texts.map(|text| serde_json::from_str(text).expect("JSON")).collect()
    }
}

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

/// How often each text occurs, so that lists can be compared whatever their order.
pub(crate) fn bag(entries: &[Value]) -> BTreeMap<String, usize> {
    let mut bag = BTreeMap::new();
    for entry in entries {
        *bag.entry(entry.to_string()).or_default() += 1;
    }
    bag
}
