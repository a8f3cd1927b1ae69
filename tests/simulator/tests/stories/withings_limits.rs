//! Withings' rate limit, faults in its own form, and its requests in the log.

use paceline_simulator::{
    ClockSetting, Config, Fault, FaultRule, Provider, WithingsCalls, WithingsQuota,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::World;
use crate::withings_client::SMALL;

const FORM: [(&str, &str); 1] = [("action", "getmeas")];

async fn with(quota: WithingsQuota) -> (World, String) {
    let clock = ClockSetting::Fixed("2026-11-21T10:00:00Z".parse().unwrap());
    let world = World::with(Config { clock, withings_quota: quota, ..Config::default() }).await;
    let (_, token) = world.withings_user(&SMALL);
    (world, token)
}

async fn asks(world: &World, token: &str) -> (u16, Value) {
    let (http, answer) = world.withings(token, "measure", &FORM).await;
    (http, answer["status"].clone())
}

#[tokio::test]
async fn all_calls_of_the_application_share_a_sliding_minute_and_the_refusal_is_a_601() {
    let (world, token) = with(WithingsQuota { calls: 3, ..WithingsQuota::STANDARD }).await;
    let (_, other) = world.withings_user(&SMALL);
    assert_eq!(asks(&world, &token).await, (200, json!(0)));
    world.sim().advance_clock(30);
    assert_eq!(asks(&world, &other).await, (200, json!(0)));
    let (http, answer) = world.withings_oauth(&[("action", "requesttoken")]).await;
    assert_eq!((http, &answer["status"]), (200, &json!(503)));
    assert_eq!(asks(&world, &token).await, (200, json!(601)));
    world.sim().advance_clock(29);
    assert_eq!(asks(&world, &token).await, (200, json!(601)));
    world.sim().advance_clock(1);
    assert_eq!(asks(&world, &token).await, (200, json!(0)));
    assert_eq!(asks(&world, &token).await, (200, json!(601)));
    let calls = WithingsCalls { counted: 7, over_limit: 3, ..WithingsCalls::default() };
    assert_eq!(world.sim().withings_calls(), calls);
    // The page where people consent is none of the application's calls.
    world.get("/withings/oauth2_user/authorize2").await;
    assert_eq!(world.sim().withings_calls(), calls);
}

#[tokio::test]
async fn a_refusal_can_be_an_http_429_and_the_same_question_too_soon_a_601() {
    let (world, token) = with(WithingsQuota::UNLIMITED).await;
    let quota = json!({ "calls": 1, "http_429": true });
    let (status, usage) = world.control(Method::PUT, "/_sim/withings/quota", quota).await;
    assert_eq!((status, &usage["quota"]["window_s"]), (200, &json!(60)));
    assert_eq!(asks(&world, &token).await, (200, json!(0)));
    assert_eq!(asks(&world, &token).await, (429, json!(601)));
    let quota = json!({ "calls": 100, "same_arguments_s": 10 });
    world.control(Method::PUT, "/_sim/withings/quota", quota).await;
    assert_eq!(asks(&world, &token).await, (200, json!(0)));
    assert_eq!(asks(&world, &token).await, (200, json!(601)));
    let form = [FORM[0], ("category", "1")];
    assert_eq!(world.withings(&token, "measure", &form).await.1["status"], 0);
    world.sim().advance_clock(10);
    assert_eq!(asks(&world, &token).await, (200, json!(0)));
    let (_, calls) = world.control(Method::GET, "/_sim/withings/calls", json!({})).await;
    let expected = json!({ "counted": 6, "over_limit": 1, "same_arguments": 1, "scripted": 0 });
    assert_eq!(calls, expected);
    assert_eq!(world.control(Method::DELETE, "/_sim/withings/quota", json!({})).await.1["used"], 0);
}

#[tokio::test]
async fn faults_take_withings_own_form_and_may_name_one_of_its_actions() {
    let (world, token) = with(WithingsQuota::UNLIMITED).await;
    let rule = json!({ "provider": "withings", "path": "/withings/v2/measure/getworkouts",
        "count": 1, "fault": { "status": { "code": 601 } } });
    assert_eq!(world.control(Method::POST, "/_sim/faults", rule).await.0, 201);
    assert_eq!(asks(&world, &token).await, (200, json!(0)));
    let form = [("action", "getworkouts"), ("lastupdate", "0")];
    let (http, answer) = world.withings(&token, "v2/measure", &form).await;
    assert_eq!((http, &answer["status"]), (200, &json!(601)));
    assert_eq!(world.withings(&token, "v2/measure", &form).await.1["status"], 0);
    assert_eq!(world.sim().withings_calls().scripted, 1);

    let told = async |code: u16, html: bool| {
        world.sim().clear_faults();
        let fault = Fault::Status { code, html, day: false };
        let rule = FaultRule { provider: Some(Provider::Withings), ..FaultRule::new(fault) };
        world.sim().add_fault(rule).unwrap();
        world.try_withings(&token, "measure", &FORM).await.unwrap()
    };
    for (code, http, status) in
        [(522, 200, 522), (503, 200, 503), (429, 429, 601), (5006, 200, 5006)]
    {
        let answer = told(code, false).await;
        assert_eq!(answer.status(), http);
        assert_eq!(answer.json::<Value>().await.unwrap()["status"], status);
    }
    let answer = told(503, true).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.text().await.unwrap().contains("<html>"));
    // Whose provider is not named has no such status.
    let rule = json!({ "fault": { "status": { "code": 601 } } });
    assert_eq!(world.control(Method::POST, "/_sim/faults", rule).await.0, 400);
}

#[tokio::test]
async fn the_log_tells_the_action_the_page_and_the_user_and_never_a_secret() {
    let (world, token) = with(WithingsQuota::UNLIMITED).await;
    let user = world.sim().withings_users()[0];
    world.withings(&token, "measure", &[FORM[0], ("offset", "40"), ("category", "1")]).await;
    let pair = world.sim().grant_withings(user, "user.info").unwrap();
    let form = [
        ("action", "requesttoken"),
        ("grant_type", "refresh_token"),
        ("refresh_token", pair.refresh_token.as_str()),
    ];
    world.withings_oauth(&form).await;
    let log = world.sim().log(0, 10);
    assert_eq!(log[0].path, "/withings/measure/getmeas");
    assert_eq!((log[0].query.as_str(), log[0].page), ("offset=40&category=1", Some(40)));
    assert_eq!(log[1].path, "/withings/v2/oauth2/requesttoken");
    assert_eq!(log[1].query, "client_id=5&grant_type=refresh_token");
    for entry in &log {
        assert_eq!(entry.user.as_deref(), Some(user.to_string().as_str()));
    }
    let text = format!("{log:?}");
    for secret in world.sim().withings_secrets() {
        assert!(!text.contains(&secret));
    }
}
