//! Garmin's backfill: accepted at once, uploaded a little later, and once for each range.

use paceline_simulator::{GARMIN_PERMISSIONS, GarminSettings, GarminType};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{World, json};

const DAY_S: i64 = 86_400;

impl World {
    async fn backfill(&self, token: &str, of: &str, from: i64, to: i64) -> u16 {
        let query = format!("summaryStartTimeInSeconds={from}&summaryEndTimeInSeconds={to}");
        let answer = self.garmin(token, &format!("backfill/{of}?{query}")).await;
        let status = answer.status().as_u16();
        let body = answer.text().await.expect("a body");
        assert_eq!(status == 202, body.is_empty(), "{body}");
        status
    }
}

#[tokio::test]
async fn a_years_history_comes_by_backfill_and_a_pull_of_the_seconds_after_it() {
    let world = World::new().await;
    let clock = json!({ "fixed": world.sim().now() });
    world.control(Method::PUT, "/_sim/clock", clock).await;
    let (id, tokens) = world.garmin_user();
    let token = &tokens.access_token;
    let asked_at = world.now_s();
    for of in GarminType::HELD {
        let days = if of.name().contains("ctivities") { 30 } else { 90 };
        let mut to = asked_at;
        while to > asked_at - 380 * DAY_S {
            let from = to - days * DAY_S;
            assert_eq!(world.backfill(token, of.name(), from, to).await, 202);
            to = from;
        }
        world.sim().advance_clock(1);
        assert!(world.pull(token, of, world.now_s() - 1, world.now_s()).await.is_empty());
        world.sim().advance_clock(1);
        let pulled = world.pull(token, of, world.now_s(), world.now_s() + 9).await;
        let mut truth = world.truth(&id, of);
        assert_eq!(pulled.len(), truth.len(), "{of:?}: each once, in its newest version");
        for record in pulled {
            let at = truth.iter().position(|known| *known == record);
            truth.remove(at.expect("a record that Garmin holds"));
        }
        world.sim().advance_clock(-2);
    }
    let figures = world.sim().garmin_user(&id).unwrap();
    assert_eq!((figures.backfills, figures.duplicate_backfills), (3 * 13 + 5 * 5, 0));
}

#[tokio::test]
async fn a_range_that_was_asked_for_is_a_409_until_the_user_leaves_and_comes_back() {
    let world = World::new().await;
    let (id, tokens) = world.garmin_user();
    let token = &tokens.access_token;
    let now = world.now_s();
    let (from, to) = (now - 90 * DAY_S, now);
    assert_eq!(world.backfill(token, "sleeps", from, to).await, 202);
    assert_eq!(world.backfill(token, "sleeps", from, to).await, 409);
    assert_eq!(world.backfill(token, "sleeps", from + DAY_S, to - DAY_S).await, 409);
    assert_eq!(world.backfill(token, "sleeps", from - DAY_S, to - DAY_S).await, 202);
    assert_eq!(world.backfill(token, "dailies", from, to).await, 202);
    assert_eq!(world.sim().garmin_user(&id).unwrap().duplicate_backfills, 2);
    world.sim().revoke_garmin(&id).unwrap();
    let again = world.sim().grant_garmin(&id, &GARMIN_PERMISSIONS).unwrap();
    assert_eq!(world.backfill(&again.access_token, "sleeps", from, to).await, 202);
}

#[tokio::test]
async fn a_request_may_span_ninety_days_of_health_and_thirty_of_activities() {
    let world = World::new().await;
    let (_, tokens) = world.garmin_user();
    let token = &tokens.access_token;
    let now = world.now_s();
    for (of, days) in [("dailies", 90), ("activities", 30), ("moveIQActivities", 30)] {
        assert_eq!(world.backfill(token, of, now - days * DAY_S - 1, now).await, 400);
        assert_eq!(world.backfill(token, of, now - days * DAY_S, now).await, 202);
    }
    assert_eq!(world.backfill(token, "dailies", now, now - 1).await, 400);
    assert_eq!(world.backfill(token, "daylies", now - 1, now).await, 404);
}

#[tokio::test]
async fn health_goes_back_two_years_and_activities_five() {
    let world = World::new().await;
    let (_, tokens) = world.garmin_user();
    let token = &tokens.access_token;
    let now = world.now_s();
    for (of, years) in [("bodyComps", 2), ("activities", 5)] {
        let from = now - years * 365 * DAY_S;
        assert_eq!(world.backfill(token, of, from - 10, from + DAY_S).await, 400);
        assert_eq!(world.backfill(token, of, from + 10, from + DAY_S).await, 202);
    }
}

#[tokio::test]
async fn missing_permissions_are_told_apart() {
    let world = World::new().await;
    let (id, tokens) = world.garmin_user();
    let token = &tokens.access_token;
    let now = world.now_s();
    let ask = || world.backfill(token, "dailies", now - DAY_S, now);
    world.sim().set_garmin_permissions(&id, &["HEALTH_EXPORT", "ACTIVITY_EXPORT"]).unwrap();
    assert_eq!(ask().await, 403);
    world.sim().set_garmin_permissions(&id, &["HISTORICAL_DATA_EXPORT"]).unwrap();
    assert_eq!(ask().await, 412);
    world.sim().set_garmin_permissions(&id, &GARMIN_PERMISSIONS).unwrap();
    world.sim().expire_garmin_tokens(&id, 0, false).unwrap();
    assert_eq!(ask().await, 401);
}

#[tokio::test]
async fn a_type_that_is_not_enabled_is_refused_by_its_other_name() {
    let world = World::new().await;
    let (_, tokens) = world.garmin_user();
    let off = json!({ "not_enabled": ["activities"] });
    assert_eq!(world.control(Method::PUT, "/_sim/garmin/settings", off).await.0, 200);
    let path = "backfill/activities?summaryStartTimeInSeconds=0&summaryEndTimeInSeconds=1";
    let (status, told) = json(world.garmin(&tokens.access_token, path).await).await;
    let message = told["errorMessage"].as_str().unwrap();
    assert_eq!(status, 400);
    assert!(message.ends_with("Endpoint not enabled for summary type: CONNECT_ACTIVITY"), "{told}");
}

#[tokio::test]
async fn an_application_under_evaluation_gets_a_hundred_days_a_minute() {
    let world = World::new().await;
    let (_, tokens) = world.garmin_user();
    let token = &tokens.access_token;
    let clock = json!({ "fixed": world.sim().now() });
    world.control(Method::PUT, "/_sim/clock", clock).await;
    let backfill_days_per_minute = GarminSettings::EVALUATION_DAYS;
    let settings = GarminSettings { backfill_days_per_minute, ..GarminSettings::default() };
    world.sim().set_garmin_settings(settings);
    let now = world.now_s();
    assert_eq!(world.backfill(token, "dailies", now - 90 * DAY_S, now).await, 202);
    assert_eq!(world.backfill(token, "sleeps", now - 90 * DAY_S, now).await, 429);
    world.sim().advance_clock(60);
    assert_eq!(world.backfill(token, "sleeps", now - 90 * DAY_S, now).await, 202);
    assert_eq!(world.sim().garmin_calls().backfill_over_limit, 1);
}

#[tokio::test]
async fn what_was_edited_before_a_backfill_comes_as_edited_and_what_was_deleted_does_not_come() {
    let world = World::new().await;
    let (id, tokens) = world.garmin_user();
    let of = GarminType::Activities;
    let truth = world.truth(&id, of);
    let [edited, deleted] = [&truth[0], &truth[1]];
    let name = |record: &Value| record["summaryId"].as_str().unwrap().to_owned();
    world.sim().edit_garmin_record(&id, of, &name(edited), r#"{"steps":"Zürich 🏃"}"#).unwrap();
    world.sim().delete_garmin_record(&id, of, &name(deleted)).unwrap();
    let now = world.now_s();
    for record in [edited, deleted] {
        let start = record["startTimeInSeconds"].as_i64().unwrap();
        let status =
            world.backfill(&tokens.access_token, of.name(), start - 1, start + DAY_S).await;
        assert_eq!(status, 202);
    }
    world.sim().advance_clock(100);
    let pulled = world.pull(&tokens.access_token, of, now + 1, now + 100).await;
    let found = |id: &str| pulled.iter().find(|record| record["summaryId"] == id);
    assert_eq!(found(&name(edited)).unwrap()["steps"], "Zürich 🏃");
    assert!(found(&name(deleted)).is_none());
}
