//! Withings' consent page and token service over HTTP.

use paceline_simulator::{Application, ClockSetting, Config, Tally, WITHINGS_SCOPE};
use reqwest::Method;
use reqwest::header::LOCATION;
use serde_json::{Value, json};
use url::Url;

use crate::client::World;
use crate::withings_client::SMALL;

const BACK: &str = "http://localhost:9/back?keep=1";
const ASK: &str = "/withings/oauth2_user/authorize2?response_type=code&client_id=5&state=x%20y\
    &redirect_uri=http%3A%2F%2Flocalhost%3A9%2Fback%3Fkeep%3D1&scope=user.metrics,user.activity";

fn refused(status: u16, what: &str) -> (u16, Value) {
    let error = format!("Invalid Params: invalid {what}");
    (200, json!({ "status": status, "body": {}, "error": error }))
}

async fn standing() -> World {
    let clock = ClockSetting::Fixed("2026-11-21T10:00:00Z".parse().unwrap());
    World::with(Config { clock, ..Config::default() }).await
}

async fn sent_back(world: &World, choice: &str) -> Vec<(String, String)> {
    let answer = world.get(&format!("{ASK}{choice}")).await;
    assert_eq!(answer.status(), 302);
    let location = Url::parse(answer.headers()[LOCATION].to_str().unwrap()).unwrap();
    assert_eq!(location.path(), "/back");
    location.query_pairs().into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

async fn exchanged(world: &World, code: &str, redirect: &str) -> (u16, Value) {
    let grant = [("action", "requesttoken"), ("grant_type", "authorization_code")];
    let form = [grant[0], grant[1], ("code", code), ("redirect_uri", redirect)];
    world.withings_oauth(&form).await
}

async fn refreshed(world: &World, token: &str) -> (u16, Value) {
    let grant = [("action", "requesttoken"), ("grant_type", "refresh_token")];
    world.withings_oauth(&[grant[0], grant[1], ("refresh_token", token)]).await
}

#[tokio::test]
async fn consent_sends_back_a_code_and_only_the_token_tells_what_was_granted() {
    let world = standing().await;
    let (user, _) = world.withings_user(&SMALL);
    let pairs = sent_back(&world, &format!("&auto={user}&granted=user.activity")).await;
    assert_eq!((value(&pairs, "state"), value(&pairs, "keep")), (Some("x y"), Some("1")));
    assert_eq!(value(&pairs, "scope"), None);
    let code = value(&pairs, "code").unwrap();
    let (http, answer) = exchanged(&world, code, BACK).await;
    assert_eq!((http, &answer["status"]), (200, &json!(0)));
    let body = &answer["body"];
    assert_eq!(body["scope"], "user.activity");
    assert_eq!((&body["expires_in"], &body["token_type"]), (&json!(10_800), &json!("Bearer")));
    assert_eq!(body["userid"].to_string().trim_matches('"'), user.to_string());
    assert!(body["csrf_token"].is_string());
    let token = body["access_token"].as_str().unwrap();
    let form = [("action", "getmeas")];
    assert_eq!(world.withings(token, "measure", &form).await.1["status"], 214);
    let form = [("action", "getworkouts"), ("lastupdate", "0")];
    assert_eq!(world.withings(token, "v2/measure", &form).await.1["status"], 0);

    assert_eq!(exchanged(&world, code, BACK).await, refused(503, "code"));
}

#[tokio::test]
async fn a_code_ends_after_thirty_seconds_and_works_only_where_it_was_sent() {
    let world = standing().await;
    let (user, _) = world.withings_user(&SMALL);
    let consent = async || {
        let pairs = sent_back(&world, &format!("&auto={user}")).await;
        value(&pairs, "code").unwrap().to_owned()
    };
    let (late, elsewhere) = (consent().await, consent().await);
    assert_eq!(exchanged(&world, &elsewhere, "http://other/").await, refused(503, "code"));
    world.sim().advance_clock(30);
    assert_eq!(exchanged(&world, &late, BACK).await, refused(503, "code"));
    let in_time = consent().await;
    world.sim().advance_clock(29);
    assert_eq!(exchanged(&world, &in_time, BACK).await.1["status"], 0);
}

#[tokio::test]
async fn the_page_offers_every_user_and_refuses_what_was_not_asked_for_rightly() {
    let world = standing().await;
    let (user, _) = world.withings_user(&SMALL);
    let page = world.get(ASK).await.text().await.unwrap();
    assert!(page.contains(&format!("<button name=\"auto\" value=\"{user}\">")), "{page}");
    assert!(page.contains("simulated Withings") && page.contains("value=\"deny\""), "{page}");
    assert_eq!(value(&sent_back(&world, "&auto=deny").await, "error"), Some("access_denied"));
    assert!(value(&sent_back(&world, "&auto=new").await, "code").is_some());
    assert_eq!(world.sim().withings_users().len(), 2);
    for wrong in [
        ASK.replace("response_type=code", "response_type=token"),
        ASK.replace("http%3A%2F%2Flocalhost%3A9%2F", "nowhere"),
        ASK.replace("client_id=5&", ""),
        ASK.replace("&state=x%20y", ""),
        ASK.replace("scope=user.metrics", "scope=everything"),
    ] {
        assert_eq!(world.get(&wrong).await.status(), 400, "{wrong}");
    }
    assert_eq!(world.get(&format!("{ASK}&auto=12345")).await.status(), 404);
}

#[tokio::test]
async fn a_refresh_rotates_and_the_old_pair_works_until_the_new_token_is_used() {
    let world = standing().await;
    let (user, _) = world.withings_user(&SMALL);
    let first = world.sim().grant_withings(user, WITHINGS_SCOPE).unwrap();
    let (_, answer) = refreshed(&world, &first.refresh_token).await;
    let second = &answer["body"];
    assert_ne!(second["refresh_token"], first.refresh_token);
    let asks = async |token: &str| {
        let form = [("action", "getdevice")];
        world.withings(token, "v2/user", &form).await.1["status"].clone()
    };
    assert_eq!(asks(&first.access_token).await, 0);
    assert_eq!(asks(second["access_token"].as_str().unwrap()).await, 0);
    assert_eq!(asks(&first.access_token).await, 401);
    assert_eq!(refreshed(&world, &first.refresh_token).await, refused(503, "refresh_token"));
    let tokens = world.sim().withings_user(user).unwrap().tokens;
    let tally = Tally { exchanges: 0, refreshes: 1, rotations: 1, refused_refreshes: 1 };
    assert_eq!(tokens, tally);
}

#[tokio::test]
async fn a_wrong_or_ended_token_is_a_401_inside_a_200() {
    let world = standing().await;
    let (user, token) = world.withings_user(&SMALL);
    let error = "XRequestID: Not provided invalid_token: The access token provided is invalid";
    let refused = (200, json!({ "status": 401, "body": {}, "error": error }));
    let form = [("action", "getmeas")];
    assert_eq!(world.withings("nonsense", "measure", &form).await, refused);
    world.sim().advance_clock(10_800);
    assert_eq!(world.withings(&token, "measure", &form).await, refused);
    let token = world.sim().grant_withings(user, WITHINGS_SCOPE).unwrap().access_token;
    let path = format!("/_sim/withings/users/{user}/expire");
    let (status, expired) = world.control(Method::POST, &path, json!({})).await;
    assert_eq!((status, expired), (200, json!({ "tokens": 2 })));
    assert_eq!(world.withings(&token, "measure", &form).await, refused);
}

#[tokio::test]
async fn revoking_ends_access_and_refresh() {
    let world = standing().await;
    let (user, token) = world.withings_user(&SMALL);
    let pair = world.sim().grant_withings(user, WITHINGS_SCOPE).unwrap();
    let id = user.to_string();
    let form = [("action", "revoke"), ("userid", id.as_str())];
    assert_eq!(world.withings_oauth(&form).await, (200, json!({ "status": 0, "body": {} })));
    let form = [("action", "getmeas")];
    for token in [&token, &pair.access_token] {
        assert_eq!(world.withings(token, "measure", &form).await.1["status"], 401);
    }
    assert_eq!(refreshed(&world, &pair.refresh_token).await, refused(503, "refresh_token"));
}

#[tokio::test]
async fn only_the_registered_application_gets_tokens_when_there_is_one() {
    let known = Application { client_id: "5".to_owned(), client_secret: "right".to_owned() };
    let config = Config { withings_application: Some(known), ..Config::default() };
    let world = World::with(config).await;
    let (user, _) = world.withings_user(&SMALL);
    let pair = world.sim().grant_withings(user, WITHINGS_SCOPE).unwrap();
    let wrong = refreshed(&world, &pair.refresh_token).await;
    assert_eq!(wrong, refused(503, "client_secret"));
    let missing = [("action", "steal")];
    assert_eq!(world.withings_oauth(&missing).await, refused(503, "client_secret"));
}
