//! Each kind of fault as a client meets it.

use std::time::{Duration, Instant};

use paceline_simulator::{Config, FULL_SCOPE, Fault, FaultRule, StartRange, StravaQuota};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{World, json};

const LIST: &str = "/strava/api/v3/athlete/activities";

fn on_list(fault: Fault) -> FaultRule {
    FaultRule { path: Some(LIST.to_owned()), count: Some(1), ..FaultRule::new(fault) }
}

/// A world whose next list request meets `fault`.
async fn with(fault: Fault) -> (World, String) {
    let world =
        World::with(Config { strava_quota: StravaQuota::STANDARD, ..Config::default() }).await;
    let (_, token) = world.athlete(200);
    world.sim().add_fault(on_list(fault)).unwrap();
    (world, token)
}

async fn works_again(world: &World, token: &str) {
    let (status, page) = json(world.strava(token, "athlete/activities").await).await;
    assert_eq!((status, page.as_array().unwrap().is_empty()), (200, false));
}

fn last_log(world: &World) -> (Option<u16>, Option<&'static str>) {
    let log = world.sim().log(0, 1000);
    let last = log.last().expect("a request was logged");
    (last.status, last.fault)
}

#[tokio::test]
async fn a_status_comes_in_stravas_form_with_its_quota() {
    for (code, message) in
        [(500, "Internal Server Error"), (403, "Forbidden"), (429, "Rate Limit Exceeded")]
    {
        let (world, token) = with(Fault::Status { code, html: false, day: false }).await;
        let answer = world.strava(&token, "athlete/activities").await;
        let usage = answer.headers()["x-readratelimit-usage"].to_str().unwrap().to_owned();
        assert_eq!(usage, if code == 429 { "101,1" } else { "1,1" });
        let (status, body) = json(answer).await;
        assert_eq!((status, &body["message"]), (code, &json!(message)));
        assert_eq!(last_log(&world), (Some(code), Some("status")));
        works_again(&world, &token).await;
    }
    let (world, token) = with(Fault::Status { code: 429, html: false, day: true }).await;
    let answer = world.strava(&token, "athlete/activities").await;
    assert_eq!(answer.headers()["x-readratelimit-usage"], "101,1001");
}

#[tokio::test]
async fn a_proxy_answers_in_html() {
    let (world, token) = with(Fault::Status { code: 503, html: true, day: false }).await;
    let answer = world.strava(&token, "athlete/activities").await;
    assert_eq!(answer.status(), 503);
    assert!(answer.text().await.unwrap().contains("503 Service Temporarily Unavailable"));

    let (world, token) = with(Fault::Html).await;
    let answer = world.strava(&token, "athlete/activities").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    assert!(answer.json::<Value>().await.unwrap_err().is_decode());
    works_again(&world, &token).await;
}

#[tokio::test]
async fn a_truncated_body_is_whole_to_http_and_broken_as_json() {
    let (world, token) = with(Fault::Truncate).await;
    let text = world.strava(&token, "athlete/activities").await.text().await.unwrap();
    assert!(text.starts_with("[{\"resource_state\":2"), "{text}");
    assert!(serde_json::from_str::<Value>(&text).unwrap_err().is_eof());
    works_again(&world, &token).await;
}

#[tokio::test]
async fn a_closed_connection_breaks_off_the_body_it_promised() {
    let (world, token) = with(Fault::Close).await;
    let mut answer = world.strava(&token, "athlete/activities").await;
    assert_eq!(answer.status(), 200);
    let promised = answer.content_length().unwrap();
    let mut received = 0;
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => received += chunk.len() as u64,
            Ok(None) => break false,
            Err(error) => break error.is_body() || error.is_decode(),
        }
    };
    assert!(broken, "the body came whole");
    assert!(received > 0 && received < promised, "{received} of {promised}");
    works_again(&world, &token).await;
}

#[tokio::test]
async fn a_reset_connection_answers_nothing() {
    let (world, token) = with(Fault::Reset).await;
    let error = world.try_strava(&token, "athlete/activities").await.unwrap_err();
    assert!(error.is_request(), "{error:?}");
    let mut source: &dyn std::error::Error = &error;
    while let Some(next) = source.source() {
        source = next;
    }
    let io = source.downcast_ref::<std::io::Error>().expect("an error of the connection");
    assert_eq!(io.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(last_log(&world), (None, Some("reset")));
    works_again(&world, &token).await;
}

#[tokio::test]
async fn a_stall_outlasts_the_clients_patience_or_ends_in_a_reset() {
    let (world, token) = with(Fault::Stall { seconds: 60.0 }).await;
    let url = world.url(LIST);
    let impatient = world.http.get(url).bearer_auth(&token).timeout(Duration::from_millis(150));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    works_again(&world, &token).await;

    let (world, token) = with(Fault::Stall { seconds: 0.1 }).await;
    let began = Instant::now();
    assert!(world.try_strava(&token, "athlete/activities").await.unwrap_err().is_request());
    assert!(began.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn the_simulator_ends_while_a_request_stalls() {
    let (world, token) = with(Fault::Stall { seconds: 3600.0 }).await;
    let request = world.http.get(world.url(LIST)).bearer_auth(&token);
    let stalled = tokio::spawn(request.send());
    while world.sim().faults()[0].fired == 0 {
        tokio::task::yield_now().await;
    }
    world.running.shutdown().await;
    assert!(stalled.await.unwrap().is_err());
}

#[tokio::test]
async fn a_lost_answer_is_carried_out_all_the_same() {
    let world = World::new().await;
    let (athlete, _) = world.athlete(1);
    let first = world.sim().grant(athlete, FULL_SCOPE).unwrap();
    world.sim().expire_access_tokens(athlete, 0).unwrap();
    let rule =
        FaultRule { athlete: Some(athlete), count: Some(1), ..FaultRule::new(Fault::LoseAnswer) };
    world.sim().add_fault(rule).unwrap();
    let form = [
        ("client_id", "5"),
        ("client_secret", "s"),
        ("grant_type", "refresh_token"),
        ("refresh_token", first.refresh_token.as_str()),
    ];
    let request = world.http.post(world.url("/strava/oauth/token")).form(&form);
    assert!(request.send().await.is_err());
    // The pair was rotated: the token that the client still has is dead.
    assert_eq!(world.token(&form[2..]).await.status(), 400);
    let tokens = world.sim().athlete(athlete, StartRange::default()).unwrap().tokens;
    assert_eq!((tokens.rotations, tokens.refused_refreshes), (1, 1));
}

#[tokio::test]
async fn a_rule_can_wait_for_one_page_of_one_athlete() {
    let world = World::new().await;
    let ((one, first), (_, second)) = (world.athlete(100), world.athlete(100));
    let rule = json!({ "athlete": one, "page": 2, "count": 1,
        "fault": { "status": { "code": 502, "html": true } } });
    let (status, added) = world.control(Method::POST, "/_sim/faults", rule).await;
    assert_eq!((status, added["ids"].as_array().unwrap().len()), (201, 1));
    for (token, page, status) in
        [(&second, 2, 200), (&first, 1, 200), (&first, 2, 502), (&first, 2, 200)]
    {
        let answer = world.strava(token, &format!("athlete/activities?page={page}")).await;
        assert_eq!(answer.status(), status);
    }
    let (_, listed) = world.control(Method::GET, "/_sim/faults", json!({})).await;
    assert_eq!(
        (&listed["faults"][0]["matched"], &listed["faults"][0]["fired"]),
        (&json!(2), &json!(1))
    );
    for wrong in [
        json!({ "fault": { "status": { "code": 200 } } }),
        json!({ "fault": "reset", "probability": 1.5 }),
        json!({ "fault": "reset", "nth": 0 }),
        json!({ "fault": "explode" }),
        json!({ "preset": "doom" }),
    ] {
        assert_eq!(world.control(Method::POST, "/_sim/faults", wrong).await.0, 400);
    }
}

#[tokio::test]
async fn a_flaky_world_fails_one_answer_in_ten_and_a_repeated_request_gets_through() {
    let world = World::new().await;
    let (_, token) = world.athlete(100);
    let preset = json!({ "preset": "flaky", "probability": 0.1 });
    assert_eq!(world.control(Method::POST, "/_sim/faults", preset).await.0, 201);
    let mut failed = 0;
    for _ in 0..300 {
        let answer = world.try_strava(&token, "athlete/activities?per_page=2").await;
        let read = match answer.and_then(reqwest::Response::error_for_status) {
            Ok(answer) => answer.json::<Value>().await.is_ok(),
            Err(_) => false,
        };
        failed += u32::from(!read);
    }
    assert!((12..55).contains(&failed), "{failed}");
    let by_fault = world.sim().counts().by_fault;
    assert_eq!(by_fault.values().sum::<u64>(), u64::from(failed));
    assert!(by_fault.len() >= 5, "{by_fault:?}");
}
