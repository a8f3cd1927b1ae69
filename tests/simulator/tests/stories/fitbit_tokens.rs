//! Fitbit's consent and tokens over HTTP.

use paceline_simulator::{Application, ClockSetting, Config, FITBIT_FULL_SCOPE, Tally};
use reqwest::header::LOCATION;
use serde_json::{Value, json};
use url::Url;

use crate::client::{World, json};

const ASK: &str = "/fitbit/oauth2/authorize?client_id=23ABCD&response_type=code&state=x%20y\
    &redirect_uri=http%3A%2F%2Flocalhost%3A9%2Fback&scope=weight%20activity+profile\
    &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
/// What the challenge was made of (RFC 7636, appendix B).
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

async fn standing() -> World {
    let clock = ClockSetting::Fixed("2026-11-21T10:35:22Z".parse().unwrap());
    World::with(Config { clock, ..Config::default() }).await
}

async fn sent_back(world: &World, choice: &str) -> Url {
    let answer = world.get(&format!("{ASK}{choice}")).await;
    assert_eq!(answer.status(), 302);
    Url::parse(answer.headers()[LOCATION].to_str().unwrap()).unwrap()
}

fn value(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn exchange(world: &World, code: &str, more: &[(&str, &str)]) -> (u16, Value) {
    let mut form = vec![("grant_type", "authorization_code"), ("code", code)];
    form.extend(more);
    json(world.fitbit_form("oauth2/token", &form).await).await
}

fn kind(body: &Value) -> &str {
    assert_eq!(body["success"], false);
    body["errors"][0]["errorType"].as_str().unwrap()
}

#[tokio::test]
async fn consent_sends_back_a_code_that_needs_verifier_and_address() {
    let world = standing().await;
    let (id, _) = world.fitbit_user();
    let back = sent_back(&world, &format!("&auto={id}&granted=none&granted=weight")).await;
    assert_eq!((back.path(), back.fragment()), ("/back", Some("_=_")));
    assert_eq!(value(&back, "state").as_deref(), Some("x y"));
    // What was granted, only the tokens tell.
    assert_eq!(value(&back, "scope"), None);
    let code = value(&back, "code").unwrap();
    let there = ("redirect_uri", "http://localhost:9/back");
    let (status, body) = exchange(&world, &code, &[there, ("code_verifier", VERIFIER)]).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(
        (&body["scope"], &body["user_id"], &body["expires_in"], &body["token_type"]),
        (&json!("weight"), &json!(id), &json!(28_800), &json!("Bearer"))
    );
    for wrong in
        [vec![there], vec![there, ("code_verifier", "guess")], vec![("code_verifier", VERIFIER)]]
    {
        let back = sent_back(&world, &format!("&auto={id}")).await;
        let (status, body) = exchange(&world, &value(&back, "code").unwrap(), &wrong).await;
        assert_eq!((status, kind(&body)), (400, "invalid_grant"), "{wrong:?}");
    }
    let denied = sent_back(&world, "&auto=deny").await;
    assert_eq!(value(&denied, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn the_page_can_be_clicked_and_every_wrong_request_is_refused() {
    let world = World::new().await;
    let (id, _) = world.fitbit_user();
    let page = world.get(ASK).await.text().await.unwrap();
    assert!(page.contains(&format!("<button name=\"auto\" value=\"{id}\">")), "{page}");
    assert!(page.contains("name=\"code_challenge\" value=\"E9Melhoa"), "{page}");
    assert!(page.contains("value=\"profile\" checked"), "{page}");
    for (wrong, expected) in [
        (ASK.replace("response_type=code", "response_type=token"), "invalid_request"),
        (ASK.replace("client_id=23ABCD&", ""), "invalid_request"),
        (ASK.replace("http%3A%2F%2Flocalhost%3A9%2F", "nowhere"), "invalid_request"),
        (ASK.replace("=S256", "=plain"), "invalid_request"),
        (ASK.replace("scope=weight", "scope=everything"), "invalid_scope"),
    ] {
        let (status, body) = json(world.get(&wrong).await).await;
        assert_eq!((status, kind(&body)), (400, expected), "{wrong}");
    }
    assert_eq!(world.get(&format!("{ASK}&auto=2ZZZZZ")).await.status(), 404);
    assert!(value(&sent_back(&world, "&auto=new").await, "code").is_some());
    assert_eq!(world.sim().fitbit_users().len(), 2);
}

#[tokio::test]
async fn a_code_is_good_once_and_for_ten_minutes() {
    let world = standing().await;
    let (id, _) = world.fitbit_user();
    let code = world.sim().fitbit_code(&id, "weight").unwrap();
    world.sim().advance_clock(600);
    assert_eq!(exchange(&world, &code, &[]).await.0, 200);
    let (status, body) = exchange(&world, &code, &[]).await;
    assert_eq!((status, kind(&body)), (400, "invalid_grant"));
    let code = world.sim().fitbit_code(&id, "weight").unwrap();
    world.sim().advance_clock(601);
    assert_eq!(exchange(&world, &code, &[]).await.0, 400);
}

#[tokio::test]
async fn a_refresh_token_is_good_once_with_two_minutes_for_a_lost_answer() {
    let world = standing().await;
    let (id, first) = world.fitbit_user();
    let refresh = |token: String| {
        let world = &world;
        async move {
            let form = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
            json(world.fitbit_form("oauth2/token", &form).await).await
        }
    };
    let (status, second) = refresh(first.refresh_token.clone()).await;
    assert_eq!(status, 200);
    assert_ne!(second["access_token"], first.access_token);
    assert_eq!(second["scope"], FITBIT_FULL_SCOPE);
    world.sim().advance_clock(120);
    assert_eq!(refresh(first.refresh_token.clone()).await, (200, second.clone()));
    world.sim().advance_clock(1);
    let (status, body) = refresh(first.refresh_token.clone()).await;
    assert_eq!((status, kind(&body)), (400, "invalid_grant"));
    let next = second["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(refresh(next).await.0, 200);
    let tokens = world.sim().fitbit_user(&id).unwrap().tokens;
    assert_eq!(tokens, Tally { exchanges: 0, refreshes: 3, rotations: 2, refused_refreshes: 1 });
}

#[tokio::test]
async fn every_way_to_lack_access_has_its_own_error() {
    let world = standing().await;
    let (id, tokens) = world.fitbit_user();
    let path = "1/user/-/profile.json";
    let answer = async |token: &str, path: &str| {
        let (status, body) = json(world.fitbit(token, path).await).await;
        (status, body["errors"][0]["errorType"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(answer("nonsense", path).await, (401, "invalid_token".to_owned()));
    let narrow = world.sim().grant_fitbit(&id, "weight").unwrap().access_token;
    for path in
        [path, "1/user/-/activities/list.json", "1.2/user/-/sleep/date/2026-01-01/2026-01-02.json"]
    {
        assert_eq!(answer(&narrow, path).await, (403, "insufficient_scope".to_owned()), "{path}");
    }
    let stranger = answer(&tokens.access_token, "1/user/2ZZZZZ/profile.json").await;
    assert_eq!(stranger, (403, "insufficient_permissions".to_owned()));
    let own = format!("1/user/{id}/profile.json");
    assert_eq!(world.fitbit(&tokens.access_token, &own).await.status(), 200);
    world.sim().advance_clock(28_800);
    assert_eq!(answer(&tokens.access_token, path).await, (401, "expired_token".to_owned()));
}

#[tokio::test]
async fn a_token_can_be_looked_into_and_either_ends_the_consent() {
    let world = standing().await;
    let (id, tokens) = world.fitbit_user();
    let other = world.sim().grant_fitbit(&id, "profile").unwrap();
    let look = async |token: &str| {
        let request = world.http.post(world.url("/fitbit/1.1/oauth2/introspect"));
        let request = request.bearer_auth(&other.access_token).form(&[("token", token)]);
        json(request.send().await.unwrap()).await
    };
    let (status, state) = look(&tokens.access_token).await;
    assert_eq!((status, &state["active"], &state["user_id"]), (200, &json!(true), &json!(id)));
    assert_eq!(state["exp"].as_i64(), Some(tokens.expires_at * 1000));
    for _again in 0..2 {
        let form = [("token", tokens.refresh_token.as_str())];
        assert_eq!(world.fitbit_form("oauth2/revoke", &form).await.status(), 200);
    }
    assert_eq!(look(&tokens.access_token).await, (200, json!({ "active": false })));
    assert_eq!(world.fitbit(&tokens.access_token, "1/user/-/profile.json").await.status(), 401);
    assert_eq!(world.fitbit(&other.access_token, "1/user/-/profile.json").await.status(), 200);
}

#[tokio::test]
async fn an_application_must_prove_itself() {
    let known = Application { client_id: "23ABCD".to_owned(), client_secret: "other".to_owned() };
    let world = World::with(Config { fitbit_application: Some(known), ..Config::default() }).await;
    let (_, tokens) = world.fitbit_user();
    let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token.as_str())];
    let (status, body) = json(world.fitbit_form("oauth2/token", &form).await).await;
    assert_eq!((status, kind(&body)), (401, "invalid_client"));
    let bare = world.http.post(world.url("/fitbit/oauth2/token")).form(&form);
    assert_eq!(bare.send().await.unwrap().status(), 401);
    let right = world.http.post(world.url("/fitbit/oauth2/token"));
    let right = right.basic_auth("23ABCD", Some("other")).form(&form).send().await.unwrap();
    assert_eq!(right.status(), 200);
}
