//! Strava's tokens over HTTP: exchange, rotation, refusal, revocation.

use paceline_simulator::{Application, Config, FULL_SCOPE, StartRange, Tally};
use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{World, json};

fn refusal(resource: &str, field: &str) -> Value {
    let error = json!({ "resource": resource, "field": field, "code": "invalid" });
    json!({ "message": "Bad Request", "errors": [error] })
}

#[tokio::test]
async fn a_code_becomes_a_pair_with_its_athlete_and_works_once() {
    let world = World::new().await;
    let (athlete, _) = world.athlete(3);
    let code = world.sim().authorization_code(athlete, "read,activity:read_all").unwrap();
    let form = [("grant_type", "authorization_code"), ("code", code.as_str())];
    let (status, pair) = json(world.token(&form).await).await;
    assert_eq!(status, 200);
    assert_eq!(pair["token_type"], "Bearer");
    assert_eq!(pair["athlete"]["id"], athlete);
    assert_eq!(pair["expires_in"], 21_600);
    let lives = pair["expires_at"].as_i64().unwrap() - world.sim().now().timestamp();
    assert!((21_595..=21_600).contains(&lives), "{lives}");
    let token = pair["access_token"].as_str().unwrap();
    assert_eq!(world.strava(token, "athlete/activities").await.status(), 200);

    let again = json(world.token(&form).await).await;
    assert_eq!(again, (400, refusal("AuthorizationCode", "code")));
}

#[tokio::test]
async fn a_refresh_gives_the_same_pair_until_an_hour_is_left_and_then_kills_the_old_one() {
    let world = World::new().await;
    let (athlete, _) = world.athlete(3);
    let first = world.sim().grant(athlete, FULL_SCOPE).unwrap();
    let refresh = |token: &str| {
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        let form = form.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let world = &world;
        async move {
            let form: Vec<_> =
                form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            json(world.token(&form).await).await
        }
    };

    let (status, same) = refresh(&first.refresh_token).await;
    assert_eq!(status, 200);
    assert_eq!(same["access_token"], first.access_token);
    assert_eq!(same["refresh_token"], first.refresh_token);
    assert!(same.get("athlete").is_none());

    world.sim().expire_access_tokens(athlete, 3600).unwrap();
    let (status, second) = refresh(&first.refresh_token).await;
    assert_eq!(status, 200);
    assert_ne!(second["access_token"], first.access_token);
    assert_ne!(second["refresh_token"], first.refresh_token);
    assert_eq!(
        refresh(&first.refresh_token).await,
        (400, refusal("RefreshToken", "refresh_token"))
    );
    let new = second["access_token"].as_str().unwrap();
    for token in [new, &first.access_token] {
        assert_eq!(world.strava(token, "athlete").await.status(), 200);
    }

    let tokens = world.sim().athlete(athlete, StartRange::default()).unwrap().tokens;
    assert_eq!(tokens, Tally { exchanges: 0, refreshes: 2, rotations: 1, refused_refreshes: 1 });
}

#[tokio::test]
async fn an_expired_or_unknown_token_is_refused_in_stravas_words() {
    let world = World::new().await;
    let (athlete, token) = world.athlete(3);
    let path = format!("/_sim/strava/athletes/{athlete}/expire");
    let (status, expired) = world.control(Method::POST, &path, json!({})).await;
    assert_eq!((status, expired), (200, json!({ "tokens": 1 })));
    let error = json!({ "resource": "Athlete", "field": "access_token", "code": "invalid" });
    let refused = (401, json!({ "message": "Authorization Error", "errors": [error] }));
    assert_eq!(json(world.strava(&token, "athlete/activities").await).await, refused);
    assert_eq!(json(world.strava("nonsense", "athlete").await).await, refused);
    // A token in the query is not looked at.
    let path = format!("/strava/api/v3/athlete?access_token={token}");
    assert_eq!(json(world.get(&path).await).await, refused);
}

#[tokio::test]
async fn a_missing_scope_is_a_401_of_its_own() {
    let world = World::new().await;
    let (athlete, _) = world.athlete(3);
    let token = world.sim().grant(athlete, "read").unwrap().access_token;
    assert_eq!(world.strava(&token, "athlete").await.status(), 200);
    let error = json!({ "resource": "AccessToken", "field": "activity:read_permission", "code": "missing" });
    let refused = (401, json!({ "message": "Authorization Error", "errors": [error] }));
    assert_eq!(json(world.strava(&token, "athlete/activities").await).await, refused);
}

#[tokio::test]
async fn only_the_registered_application_gets_tokens_when_there_is_one() {
    let known = Application { client_id: "5".to_owned(), client_secret: "right".to_owned() };
    let config = Config { strava_application: Some(known), ..Config::default() };
    let world = World::with(config).await;
    let (athlete, _) = world.athlete(1);
    let pair = world.sim().grant(athlete, FULL_SCOPE).unwrap();
    let ask = |secret: &'static str| {
        let body = json!({ "client_id": 5, "client_secret": secret,
            "grant_type": "refresh_token", "refresh_token": pair.refresh_token });
        world.http.post(world.url("/strava/oauth/token")).json(&body).send()
    };
    let refused = json(ask("wrong").await.unwrap()).await;
    assert_eq!(refused, (400, refusal("Application", "client_id")));
    assert_eq!(ask("right").await.unwrap().status(), 200);
}

#[tokio::test]
async fn deauthorizing_ends_access_and_refresh() {
    let world = World::new().await;
    let (athlete, _) = world.athlete(1);
    let pair = world.sim().grant(athlete, FULL_SCOPE).unwrap();
    let request = world.http.post(world.url("/strava/oauth/deauthorize"));
    let answer = json(request.bearer_auth(&pair.access_token).send().await.unwrap()).await;
    assert_eq!(answer, (200, json!({ "access_token": pair.access_token })));
    assert_eq!(world.strava(&pair.access_token, "athlete").await.status(), 401);
    let form = [("grant_type", "refresh_token"), ("refresh_token", pair.refresh_token.as_str())];
    assert_eq!(world.token(&form).await.status(), 400);
}

#[tokio::test]
async fn revoking_takes_basic_credentials_and_either_token_and_does_not_mind_a_dead_one() {
    let world = World::new().await;
    let (athlete, _) = world.athlete(1);
    let ask = |token: &str| {
        let request = world.http.post(world.url("/strava/oauth/revoke"));
        request.form(&[("token", token), ("token_type_hint", "refresh_token")])
    };
    let pair = world.sim().grant(athlete, FULL_SCOPE).unwrap();
    let unproven = json(ask(&pair.refresh_token).send().await.unwrap()).await;
    assert_eq!(unproven, (400, refusal("Application", "client_id")));
    let proven = |token: &str| ask(token).basic_auth("5", Some("s")).send();
    assert_eq!(proven(&pair.refresh_token).await.unwrap().status(), 200);
    assert_eq!(world.strava(&pair.access_token, "athlete").await.status(), 401);
    assert_eq!(proven(&pair.refresh_token).await.unwrap().status(), 200);
    let pair = world.sim().grant(athlete, FULL_SCOPE).unwrap();
    assert_eq!(proven(&pair.access_token).await.unwrap().status(), 200);
    assert_eq!(world.strava(&pair.access_token, "athlete").await.status(), 401);
}
