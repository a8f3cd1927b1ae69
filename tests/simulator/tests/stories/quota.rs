//! Strava's rate limits over HTTP, at their borders.

use paceline_simulator::{Allowance, ClockSetting, Config, FULL_SCOPE, StravaQuota};
use reqwest::{Method, Response};
use serde_json::json;

use crate::client::{World, json};

const SMALL: StravaQuota = StravaQuota {
    overall: Allowance { quarter_hour: 4, day: 100 },
    read: Allowance { quarter_hour: 2, day: 5 },
};

async fn at(time: &str, quota: StravaQuota) -> (World, u64, String) {
    let clock = ClockSetting::Fixed(time.parse().unwrap());
    let world = World::with(Config { clock, strava_quota: quota, ..Config::default() }).await;
    let (athlete, token) = world.athlete(10);
    (world, athlete, token)
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

#[tokio::test]
async fn every_answer_tells_limits_and_usage_and_a_refused_call_counts() {
    let (world, athlete, token) = at("2026-11-21T10:29:30Z", SMALL).await;
    for (nth, status) in [(1, 200), (2, 200), (3, 429), (4, 429)] {
        let answer = world.strava(&token, "athlete/activities").await;
        assert_eq!(answer.status(), status);
        assert_eq!(header(&answer, "X-RateLimit-Limit"), "4,100");
        assert_eq!(header(&answer, "X-ReadRateLimit-Limit"), "2,5");
        assert_eq!(header(&answer, "X-RateLimit-Usage"), format!("{nth},{nth}"));
        assert_eq!(header(&answer, "X-ReadRateLimit-Usage"), format!("{nth},{nth}"));
        assert!(!answer.headers().contains_key("retry-after"));
        if status == 429 {
            let error =
                json!({ "resource": "Application", "field": "rate limit", "code": "exceeded" });
            let body = json!({ "message": "Rate Limit Exceeded", "errors": [error] });
            assert_eq!(json(answer).await.1, body);
        }
    }

    world.sim().advance_clock(30);
    let answer = world.strava(&token, "athlete/activities").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "X-ReadRateLimit-Usage"), "1,5");
    // The day's five are used up: no quarter hour helps before midnight.
    world.sim().advance_clock(900);
    assert_eq!(world.strava(&token, "athlete").await.status(), 429);
    world.sim().advance_clock(86_400 - 37_800 - 900);
    let token = world.sim().grant(athlete, FULL_SCOPE).unwrap().access_token;
    let answer = world.strava(&token, "athlete").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "X-ReadRateLimit-Usage"), "1,1");
}

#[tokio::test]
async fn calls_without_a_valid_token_count_and_token_requests_do_not() {
    let (world, _, token) = at("2026-11-21T10:00:00Z", SMALL).await;
    assert_eq!(world.strava("nonsense", "athlete").await.status(), 401);
    let answer = world.token(&[("grant_type", "refresh_token"), ("refresh_token", "x")]).await;
    assert!(!answer.headers().contains_key("x-ratelimit-usage"));
    let answer = world.strava(&token, "athlete").await;
    assert_eq!(header(&answer, "X-RateLimit-Usage"), "2,2");
}

#[tokio::test]
async fn the_quota_can_be_changed_and_forgotten_while_it_runs() {
    let (world, _, token) = at("2026-11-21T10:00:00Z", StravaQuota::UNLIMITED).await;
    for _ in 0..3 {
        assert_eq!(world.strava(&token, "athlete").await.status(), 200);
    }
    let path = "/_sim/strava/quota";
    let (status, standing) = world.control(Method::PUT, path, json!(SMALL)).await;
    assert_eq!((status, &standing["usage"]["read"]["day"]), (200, &json!(3)));
    assert_eq!(world.strava(&token, "athlete").await.status(), 429);
    let calls = world.control(Method::GET, "/_sim/strava/calls", json!({})).await.1;
    assert_eq!(calls, json!({ "counted": 4, "over_limit": 1, "scripted": 0 }));
    assert_eq!(world.control(Method::DELETE, path, json!({})).await.0, 200);
    assert_eq!(world.strava(&token, "athlete").await.status(), 200);
}
