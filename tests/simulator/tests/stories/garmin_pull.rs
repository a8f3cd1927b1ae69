//! Garmin's pulls: windows of upload time, replacement, lateness, edits, deletions, the quota.

use std::collections::BTreeMap;

use paceline_simulator::{
    Fault, FaultRule, GARMIN_PERMISSIONS, GarminSettings, GarminType, Provider, StartRange,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{World, json};

const DAY_S: i64 = 86_400;

fn window(of: GarminType, from: i64, to: i64) -> String {
    format!("{}?uploadStartTimeInSeconds={from}&uploadEndTimeInSeconds={to}", of.name())
}

impl World {
    pub(crate) fn now_s(&self) -> i64 {
        self.sim().now().timestamp()
    }

    pub(crate) async fn pull(&self, token: &str, of: GarminType, from: i64, to: i64) -> Vec<Value> {
        let (status, told) = json(self.garmin(token, &window(of, from, to)).await).await;
        assert_eq!(status, 200, "{told}");
        told.as_array().expect("a bare array").clone()
    }

    /// All that was uploaded in the last `days`, by windows of a day.
    pub(crate) async fn pull_days(&self, token: &str, of: GarminType, days: i64) -> Vec<Value> {
        let mut all = Vec::new();
        let now = self.now_s();
        for day in (0..days).rev() {
            let to = now - day * DAY_S;
            all.extend(self.pull(token, of, to - DAY_S + 1, to).await);
        }
        all
    }

    pub(crate) fn truth(&self, id: &str, of: GarminType) -> Vec<Value> {
        let page = self.sim().garmin_records(id, of, StartRange::default(), 0, usize::MAX);
        let texts = page.expect("records").records;
        texts.iter().map(|text| serde_json::from_str(text.get()).expect("JSON")).collect()
    }

    fn keep_everything(&self) {
        let uploads_kept_days = 5_000;
        let settings = GarminSettings { uploads_kept_days, ..self.sim().garmin_settings() };
        self.sim().set_garmin_settings(settings);
    }
}

pub(crate) fn by_id(records: impl IntoIterator<Item = Value>) -> BTreeMap<String, Value> {
    let id = |record: &Value| record["summaryId"].as_str().expect("an id").to_owned();
    records.into_iter().map(|record| (id(&record), record)).collect()
}

#[tokio::test]
async fn all_windows_together_hold_the_whole_truth_once_the_later_upload_replaces_the_earlier() {
    let world = World::new().await;
    world.keep_everything();
    let (id, tokens) = world.garmin_user();
    // The other types' uploads are read whole by the stories of backfill.
    for of in [
        GarminType::ManuallyUpdatedActivities,
        GarminType::Dailies,
        GarminType::Sleeps,
        GarminType::BodyComps,
    ] {
        let pulled = world.pull_days(&tokens.access_token, of, 380).await;
        let truth = world.truth(&id, of);
        let distinct = by_id(truth.clone());
        assert_eq!(distinct.len(), truth.len(), "{of:?}: ids are unique within a type");
        if matches!(of, GarminType::Dailies | GarminType::Sleeps) {
            assert!(pulled.len() > truth.len() * 11 / 10, "some come twice");
        } else {
            assert_eq!(pulled.len(), truth.len(), "{of:?}");
        }
        assert!(truth.len() > 2, "{of:?}");
        assert_eq!(by_id(pulled), distinct, "{of:?}");
    }
}

#[tokio::test]
async fn a_tentative_upload_is_shorter_and_has_the_id_of_the_one_that_replaces_it() {
    let world = World::new().await;
    world.keep_everything();
    let (_, tokens) = world.garmin_user();
    for of in [GarminType::Dailies, GarminType::Sleeps] {
        let mut first = BTreeMap::<String, Value>::new();
        let mut replaced = 0;
        for record in world.pull_days(&tokens.access_token, of, 380).await {
            let id = record["summaryId"].as_str().unwrap().to_owned();
            let Some(before) = first.insert(id, record.clone()) else { continue };
            replaced += 1;
            let length = |record: &Value| record["durationInSeconds"].as_i64().unwrap();
            assert!(length(&before) < length(&record), "{before} {record}");
            assert_eq!(before["startTimeInSeconds"], record["startTimeInSeconds"]);
            if of == GarminType::Sleeps {
                assert_eq!(before["validation"], "ENHANCED_TENTATIVE");
                assert_ne!(record["validation"], "ENHANCED_TENTATIVE");
            }
        }
        assert!(replaced > 20, "{of:?}: {replaced}");
    }
}

#[tokio::test]
async fn windows_of_more_than_a_day_and_senseless_ones_are_refused() {
    let world = World::new().await;
    let (_, tokens) = world.garmin_user();
    let token = &tokens.access_token;
    let now = world.now_s();
    for (from, to, status) in
        [(now - DAY_S, now, 200), (now - DAY_S - 1, now, 400), (now, now - 1, 400)]
    {
        let answer = world.garmin(token, &window(GarminType::Dailies, from, to)).await;
        assert_eq!(answer.status(), status);
    }
    let (status, told) = json(world.garmin(token, "dailies").await).await;
    assert_eq!((status, told), (400, json!({ "errorMessage": "Missing time range parameters" })));
    assert_eq!(world.garmin(token, "daylies?uploadStartTimeInSeconds=0").await.status(), 404);
    let hrv =
        json(world.garmin(token, &window(GarminType::HeartRateVariability, 0, 5)).await).await;
    assert_eq!(hrv, (200, json!([])));
}

#[tokio::test]
async fn uploads_older_than_a_week_are_not_pulled_any_more() {
    let world = World::new().await;
    let (_, tokens) = world.garmin_user();
    let token = &tokens.access_token;
    let near = world.pull_days(token, GarminType::Dailies, 9).await.len();
    let far = world.pull_days(token, GarminType::Dailies, 380).await.len();
    assert!(near > 2, "{near}");
    assert_eq!(near, far);
}

#[tokio::test]
async fn pulls_can_be_closed_to_an_application_that_gets_its_data_pushed() {
    let world = World::new().await;
    let (_, tokens) = world.garmin_user();
    let closed = json!({ "direct_pulls": false });
    let (status, now) = world.control(Method::PUT, "/_sim/garmin/settings", closed).await;
    assert_eq!((status, &now["uploads_kept_days"]), (200, &json!(7)), "{now}");
    let answer = world.garmin(&tokens.access_token, &window(GarminType::Sleeps, 0, 1)).await;
    let refused = json!({ "errorMessage": "InvalidPullTokenException failure" });
    assert_eq!(json(answer).await, (400, refused));
    let wrong =
        world.control(Method::PUT, "/_sim/garmin/settings", json!({ "pulls": false })).await;
    assert_eq!(wrong.0, 400);
}

#[tokio::test]
async fn a_late_upload_an_edit_and_a_deletion_show_by_upload_time() {
    let world = World::new().await;
    let (id, tokens) = world.garmin_user();
    let (token, of) = (&tokens.access_token, GarminType::BodyComps);
    world.sim().advance_clock(3600);
    let since = world.now_s();
    assert!(world.pull(token, of, since, since + 60).await.is_empty());

    let path = format!("/_sim/garmin/users/{id}/bodyComps");
    let late = json!({ "start": "2020-02-29T06:30:00Z", "fields": { "weightInGrams": 71_500 } });
    let (status, added) = world.control(Method::POST, &path, late).await;
    assert_eq!((status, &added["measurementTimeInSeconds"]), (201, &json!(1_582_957_800)));
    assert_eq!(world.pull(token, of, since, since + 60).await, std::slice::from_ref(&added));

    world.sim().advance_clock(10);
    let one = format!("{path}/{}", added["summaryId"].as_str().unwrap());
    let (status, edited) =
        world.control(Method::PATCH, &one, json!({ "weightInGrams": "heavy" })).await;
    assert_eq!((status, &edited["weightInGrams"]), (200, &json!("heavy")));
    assert_eq!(edited["summaryId"], added["summaryId"]);
    assert_eq!(world.pull(token, of, since, since + 60).await, [added, edited.clone()]);
    assert_eq!(world.control(Method::GET, &one, json!({})).await, (200, edited));
    let fixed = world.control(Method::PATCH, &one, json!({ "summaryId": "other" })).await;
    assert_eq!(fixed.0, 400);

    assert_eq!(world.control(Method::DELETE, &one, json!({})).await.0, 200);
    assert!(world.pull(token, of, since, since + 60).await.is_empty());
    assert_eq!(world.control(Method::DELETE, &one, json!({})).await.0, 404);
    let figures = world.sim().garmin_user(&id).unwrap();
    assert_eq!((figures.edited, figures.deleted, figures.late), (1, 1, 0));
}

#[tokio::test]
async fn calls_are_counted_by_the_minute_for_the_whole_application() {
    let world = World::new().await;
    let (_, first) = world.garmin_user();
    let (_, second) = world.garmin_user();
    // Stands at the beginning of a minute.
    let clock = json!({ "fixed": "2026-11-21T10:00:00Z" });
    world.control(Method::PUT, "/_sim/clock", clock).await;
    let grant = |id: &str| world.sim().grant_garmin(id, &GARMIN_PERMISSIONS).unwrap().access_token;
    let tokens = [grant(&first.user), grant(&second.user)];
    let few = json!({ "requests_per_minute": 3 });
    world.control(Method::PUT, "/_sim/garmin/settings", few).await;
    let mut statuses = Vec::new();
    for token in tokens.iter().cycle().take(5) {
        statuses.push(world.garmin(token, "user/id").await.status().as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    world.sim().advance_clock(60);
    assert_eq!(world.garmin(&tokens[0], "user/id").await.status(), 200);
    let (_, calls) = world.control(Method::GET, "/_sim/garmin/calls", json!({})).await;
    assert_eq!((&calls["counted"], &calls["over_limit"]), (&json!(6), &json!(2)));
}

#[tokio::test]
async fn faults_befall_garmin_by_user_and_speak_its_language() {
    let world = World::new().await;
    let (_, first) = world.garmin_user();
    let (_, second) = world.garmin_user();
    let rule = FaultRule {
        provider: Some(Provider::Garmin),
        user: Some(first.user.clone()),
        ..FaultRule::new(Fault::Status { code: 429, html: false, day: false })
    };
    world.sim().add_fault(rule).unwrap();
    let (status, told) = json(world.garmin(&first.access_token, "user/id").await).await;
    assert_eq!((status, told), (429, json!({ "errorMessage": "Too many requests" })));
    assert_eq!(world.garmin(&second.access_token, "user/id").await.status(), 200);
    assert_eq!(world.sim().garmin_calls().scripted, 1);
}
