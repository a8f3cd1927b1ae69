//! Fitbit's quota, its end, faults, and the controls over its users.

use paceline_simulator::{
    ClockSetting, Config, FITBIT_FULL_SCOPE, Fault, FaultRule, FitbitLog, FitbitQuota,
    FitbitSettings, Provider,
};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::client::{World, json};

const PROFILE: &str = "1/user/-/profile.json";

fn header(answer: &Response, name: &str) -> i64 {
    answer.headers()[name].to_str().unwrap().parse().unwrap()
}

async fn limited(hour: u32) -> World {
    let clock = ClockSetting::Fixed("2026-11-21T10:35:22Z".parse().unwrap());
    let fitbit = FitbitSettings { quota: FitbitQuota { hour }, ..FitbitSettings::default() };
    World::with(Config { clock, fitbit, ..Config::default() }).await
}

#[tokio::test]
async fn each_user_has_so_many_calls_until_the_full_hour() {
    let world = limited(2).await;
    let (id, tokens) = world.fitbit_user();
    for (nth, status) in [(1, 200), (2, 200), (3, 429)] {
        let answer = world.fitbit(&tokens.access_token, PROFILE).await;
        assert_eq!(answer.status(), status);
        assert_eq!(header(&answer, "Fitbit-Rate-Limit-Limit"), 2);
        assert_eq!(header(&answer, "Fitbit-Rate-Limit-Remaining"), (2 - nth).max(0));
        assert_eq!(header(&answer, "Fitbit-Rate-Limit-Reset"), 1478);
        assert_eq!(answer.headers().contains_key("retry-after"), status == 429);
        if status == 429 {
            assert_eq!(header(&answer, "Retry-After"), 1478);
            let error = json!({ "errorType": "system", "message": "Too Many Requests" });
            assert_eq!(json(answer).await.1, json!({ "errors": [error], "success": false }));
        }
    }
    // Another user is not touched, nor are the tokens.
    let (_, other) = world.fitbit_user();
    assert_eq!(world.fitbit(&other.access_token, PROFILE).await.status(), 200);
    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token.as_str())];
    assert_eq!(world.fitbit_form("oauth2/token", &form).await.status(), 200);
    let usage = format!("/_sim/fitbit/users/{id}/usage");
    let told = world.control(Method::GET, &usage, json!({})).await.1;
    assert_eq!((&told["remaining"], &told["reset_s"]), (&json!(0), &json!(1478)));
    world.sim().advance_clock(1478);
    assert_eq!(world.fitbit(&tokens.access_token, PROFILE).await.status(), 200);
    let calls = world.control(Method::GET, "/_sim/fitbit/calls", json!({})).await.1;
    assert_eq!(calls, json!({ "counted": 5, "over_limit": 1, "scripted": 0 }));
}

#[tokio::test]
async fn the_quota_can_be_changed_and_forgotten_and_scripted() {
    let world = limited(1_000).await;
    let (id, tokens) = world.fitbit_user();
    let quota = "/_sim/fitbit/quota";
    world.control(Method::PUT, quota, json!({ "hour": 1 })).await;
    assert_eq!(world.fitbit(&tokens.access_token, PROFILE).await.status(), 200);
    assert_eq!(world.fitbit(&tokens.access_token, PROFILE).await.status(), 429);
    assert_eq!(world.control(Method::DELETE, quota, json!({})).await, (200, json!({ "hour": 1 })));
    assert_eq!(world.fitbit(&tokens.access_token, PROFILE).await.status(), 200);

    world.sim().set_fitbit_quota(FitbitQuota::STANDARD);
    let limited = Fault::Status { code: 429, html: false, day: false };
    let rule = FaultRule {
        provider: Some(Provider::Fitbit),
        user: Some(id),
        count: Some(1),
        ..FaultRule::new(limited)
    };
    world.sim().add_fault(rule).unwrap();
    let answer = world.fitbit(&tokens.access_token, PROFILE).await;
    assert_eq!((answer.status().as_u16(), header(&answer, "retry-after")), (429, 1478));
    assert_eq!(header(&answer, "fitbit-rate-limit-remaining"), 0);
    assert_eq!(world.fitbit(&tokens.access_token, PROFILE).await.status(), 200);
    assert_eq!(world.sim().fitbit_calls().scripted, 1);
}

#[tokio::test]
async fn once_gone_every_call_is_410_the_tokens_included() {
    let world = World::new().await;
    let (id, tokens) = world.fitbit_user();
    let gone = "/_sim/fitbit/gone";
    world.control(Method::PUT, gone, json!({ "gone": true })).await;
    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token.as_str())];
    for answer in [
        world.fitbit(&tokens.access_token, PROFILE).await,
        world.fitbit(&tokens.access_token, "1/user/-/nothing.json").await,
        world.fitbit_form("oauth2/token", &form).await,
        world.fitbit_form("oauth2/revoke", &[("token", &tokens.refresh_token)]).await,
        world.get("/fitbit/oauth2/authorize").await,
    ] {
        assert_eq!(answer.status(), 410);
    }
    assert_eq!(world.control(Method::GET, gone, json!({})).await.1, json!({ "gone": true }));
    world.control(Method::PUT, gone, json!({ "gone": false })).await;
    assert_eq!(world.fitbit(&tokens.access_token, PROFILE).await.status(), 200);
    assert_eq!(world.sim().fitbit_user(&id).unwrap().tokens.refreshes, 0);
}

#[tokio::test]
async fn a_user_is_made_counted_and_read_over_http() {
    let world = World::new().await;
    let ask = json!({ "weights": 120, "activities": 30, "sleeps": 40, "years": 1, "seed": 4, "id": "26FWFL" });
    let users = "/_sim/fitbit/users";
    let (status, user) = world.control(Method::POST, users, ask.clone()).await;
    assert_eq!(
        (status, &user["id"], &user["weight"]["entries"]),
        (201, &json!("26FWFL"), &json!(120))
    );
    assert_eq!(world.control(Method::POST, users, ask).await.0, 409);
    for wrong in [json!({ "wieghts": 5 }), json!({ "years": 0 }), json!({ "sleeps": 200_000 })] {
        assert_eq!(world.control(Method::POST, users, wrong).await.0, 400);
    }
    assert_eq!(world.control(Method::GET, "/_sim/fitbit/users/2ZZZZZ", json!({})).await.0, 404);
    let (mut read, mut cursor) = (0, json!(0));
    while !cursor.is_null() {
        let path = format!("{users}/26FWFL/logs/weight?limit=50&cursor={cursor}");
        let (_, page) = world.control(Method::GET, &path, json!({})).await;
        read += page["records"].as_array().unwrap().len();
        cursor = page["next"].clone();
    }
    assert_eq!(read, 120);
    let (status, code) =
        world.control(Method::POST, &format!("{users}/26FWFL/code"), json!({})).await;
    assert_eq!((status, &code["scope"]), (201, &json!(FITBIT_FULL_SCOPE)));
    let form = [("grant_type", "authorization_code"), ("code", code["code"].as_str().unwrap())];
    let (status, pair) = json(world.fitbit_form("oauth2/token", &form).await).await;
    assert_eq!((status, &pair["user_id"]), (200, &json!("26FWFL")));
    let revoke = format!("{users}/26FWFL/revoke");
    let revoked = world.control(Method::POST, &revoke, json!({})).await;
    assert_eq!(revoked, (200, json!({ "authorizations": 1 })));
    let token = pair["access_token"].as_str().unwrap();
    assert_eq!(world.fitbit(token, PROFILE).await.status(), 401);
    let log = world.control(Method::GET, "/_sim/log?user=26FWFL", json!({})).await.1;
    let entries = log["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &entries[0]["provider"]), (1, &json!("fitbit")), "{log}");
}

async fn weights_of(world: &World, token: &str, day: &str) -> Vec<Value> {
    let path = format!("1/user/-/body/log/weight/date/{day}/{day}.json");
    let body = json(world.fitbit(token, &path).await).await.1;
    body["weight"].as_array().unwrap().clone()
}

#[tokio::test]
async fn entries_can_come_late_change_and_go() {
    let world = World::new().await;
    let (id, tokens) = world.fitbit_user();
    let token = &tokens.access_token;
    let logs = format!("/_sim/fitbit/users/{id}/logs");
    let upload = json!({ "began": "2026-11-20T23:59:59", "fields": { "weight": 81.4 } });
    let (status, added) = world.control(Method::POST, &format!("{logs}/weight"), upload).await;
    assert_eq!(status, 201, "{added}");
    let seen = weights_of(&world, token, "2026-11-20").await;
    assert_eq!((seen.len(), &seen[0]), (1, &added["fields"]));
    assert_eq!((&seen[0]["weight"], &seen[0]["time"]), (&json!(81.4), &json!("23:59:59")));

    let one = format!("{logs}/weight/{}", added["record"]);
    let patch = json!({ "date": "2026-11-19", "time": "06:00:00", "weight": "heavy" });
    assert_eq!(world.control(Method::PATCH, &one, patch).await.0, 200);
    assert!(weights_of(&world, token, "2026-11-20").await.is_empty());
    let moved = weights_of(&world, token, "2026-11-19").await;
    assert!(moved.iter().any(|weight| weight["weight"] == "heavy"), "{moved:?}");
    assert_eq!(world.control(Method::PATCH, &one, json!({ "logId": 5 })).await.0, 400);

    assert_eq!(world.control(Method::DELETE, &one, json!({})).await.0, 200);
    assert_eq!(world.control(Method::GET, &one, json!({})).await.0, 404);
    let figures = world.sim().fitbit_user(&id).unwrap().weight;
    assert_eq!((figures.entries, figures.edited, figures.deleted, figures.late), (400, 2, 1, 0));
}

#[tokio::test]
async fn an_edited_activity_says_when_and_a_late_sleep_counts_for_its_last_day() {
    let world = limited(1_000).await;
    let (id, tokens) = world.fitbit_user();
    let sim = world.sim();
    let edited = sim.edit_fitbit_record(&id, FitbitLog::Activities, 3, r#"{"steps":17}"#).unwrap();
    let edited: Value = serde_json::from_str(&edited).unwrap();
    assert_eq!(
        (&edited["steps"], &edited["lastModified"]),
        (&json!(17), &json!("2026-11-21T10:35:22.000Z"))
    );
    let began = "2026-11-20T23:30:00".parse().unwrap();
    let record = sim.add_fitbit_record(&id, FitbitLog::Sleep, began, None).unwrap();
    let path = "1.2/user/-/sleep/date/2026-11-21/2026-11-21.json";
    let body = json(world.fitbit(&tokens.access_token, path).await).await.1;
    let kept: Value =
        serde_json::from_str(&sim.fitbit_record(&id, FitbitLog::Sleep, record).unwrap()).unwrap();
    assert_eq!(body, json!({ "sleep": [kept] }));
    assert_eq!(body["sleep"][0]["startTime"], "2026-11-20T23:30:00.000");
}
