//! Garmin's consent, tokens, and what a user granted.

use paceline_simulator::{
    Application, Config, GARMIN_PERMISSIONS, GarminPopulation, GarminTokens, Tally,
};
use reqwest::header::LOCATION;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use url::Url;

use crate::client::{World, json};

/// The example of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const ASK: &str = "/garmin/oauth2Confirm?client_id=5&response_type=code&state=x%20y\
    &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256\
    &redirect_uri=http%3A%2F%2Flocalhost%3A9%2Fback%3Fkeep%3D1";
const REDIRECT: &str = "http://localhost:9/back?keep=1";

impl World {
    /// A new user with a small history, and tokens for everything.
    pub(crate) fn garmin_user(&self) -> (String, GarminTokens) {
        let population = GarminPopulation { activities: 150, ..GarminPopulation::default() };
        let id = self.sim().add_garmin_user(&population).expect("a user");
        let tokens = self.sim().grant_garmin(&id, &GARMIN_PERMISSIONS).expect("a grant");
        (id, tokens)
    }

    pub(crate) async fn garmin(&self, token: &str, path: &str) -> Response {
        let url = self.url(&format!("/garmin/wellness-api/rest/{path}"));
        self.http.get(url).bearer_auth(token).send().await.expect("an answer")
    }

    async fn garmin_token(&self, form: &[(&str, &str)]) -> (u16, Value) {
        let form: Vec<_> =
            [("client_id", "5"), ("client_secret", "s")].iter().chain(form).collect();
        let request = self.http.post(self.url("/garmin/di-oauth2-service/oauth/token")).form(&form);
        json(request.send().await.expect("an answer")).await
    }

    async fn exchange(&self, code: &str, verifier: &str, redirect_uri: &str) -> (u16, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("code_verifier", verifier),
            ("redirect_uri", redirect_uri),
        ];
        self.garmin_token(&form).await
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        self.garmin_token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }
}

async fn sent_back(world: &World, choice: &str) -> Url {
    let answer = world.get(&format!("{ASK}{choice}")).await;
    assert_eq!(answer.status(), 302);
    Url::parse(answer.headers()[LOCATION].to_str().unwrap()).unwrap()
}

fn value(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn consent_becomes_tokens_with_the_right_verifier_and_the_same_return_address() {
    let world = World::new().await;
    let (id, _) = world.garmin_user();
    let back = sent_back(&world, &format!("&auto={id}")).await;
    assert_eq!(value(&back, "state").as_deref(), Some("x y"));
    assert_eq!(value(&back, "keep").as_deref(), Some("1"));
    let code = value(&back, "code").unwrap();
    let (status, told) = world.exchange(&code, VERIFIER, REDIRECT).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["expires_in"], 86_400);
    assert_eq!(told["refresh_token_expires_in"], 7_775_998);
    assert_eq!(told["token_type"], "bearer");
    assert_eq!(told["scope"], "PARTNER_READ CONNECT_READ");
    assert_eq!(told["jti"].as_str().unwrap().len(), 36);
    let token = told["access_token"].as_str().unwrap();
    assert_eq!(json(world.garmin(token, "user/id").await).await, (200, json!({ "userId": id })));

    let (status, refused) = world.exchange(&code, VERIFIER, REDIRECT).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    for (verifier, redirect) in
        [("another-verifier", REDIRECT), (VERIFIER, "http://localhost:9/other")]
    {
        let back = sent_back(&world, &format!("&auto={id}")).await;
        let code = value(&back, "code").unwrap();
        let (status, refused) = world.exchange(&code, verifier, redirect).await;
        assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    }
}

#[tokio::test]
async fn the_page_can_be_clicked_and_wrong_questions_are_refused() {
    let world = World::new().await;
    let (id, _) = world.garmin_user();
    let page = world.get(ASK).await.text().await.unwrap();
    assert!(page.contains(&format!("<button name=\"auto\" value=\"{id}\">")), "{page}");
    for carried in ["code_challenge", "code_challenge_method", "state", "client_id"] {
        assert!(page.contains(&format!("type=\"hidden\" name=\"{carried}\"")), "{carried}");
    }
    assert!(page.contains("value=\"HISTORICAL_DATA_EXPORT\" checked"), "{page}");
    for (wrong, status) in [
        (ASK.replace("S256", "plain"), 400),
        (ASK.replace("code_challenge=", "challenge="), 400),
        (ASK.replace("response_type=code", "response_type=token"), 400),
        (ASK.replace("http%3A%2F%2Flocalhost%3A9%2F", "nowhere"), 400),
        (ASK.replace("client_id=5&", ""), 401),
        (format!("{ASK}&auto=nobody"), 400),
    ] {
        assert_eq!(world.get(&wrong).await.status(), status, "{wrong}");
    }
    let denied = sent_back(&world, "&auto=deny").await;
    assert_eq!(value(&denied, "error").as_deref(), Some("access_denied"));
    assert_eq!(value(&denied, "code"), None);
    let new = sent_back(&world, "&auto=new").await;
    assert!(value(&new, "code").is_some());
    assert_eq!(world.sim().garmin_users().len(), 2);
}

#[tokio::test]
async fn every_refresh_rotates_and_a_token_used_twice_is_refused() {
    let world = World::new().await;
    let (id, first) = world.garmin_user();
    let (status, second) = world.refresh(&first.refresh_token).await;
    assert_eq!(status, 200);
    assert_ne!(second["refresh_token"], first.refresh_token);
    assert_ne!(second["access_token"], first.access_token);
    let (status, refused) = world.refresh(&first.refresh_token).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    // The old access token lives out its day.
    assert_eq!(world.garmin(&first.access_token, "user/id").await.status(), 200);
    assert_eq!(world.sim().expire_garmin_tokens(&id, 0, false).unwrap(), 2);
    assert_eq!(world.garmin(&first.access_token, "user/id").await.status(), 401);
    let newest = second["refresh_token"].as_str().unwrap();
    assert_eq!(world.refresh(newest).await.0, 200);
    let tally = Tally { exchanges: 0, refreshes: 2, rotations: 2, refused_refreshes: 1 };
    assert_eq!(world.sim().garmin_user(&id).unwrap().tokens, tally);
    assert_eq!(world.sim().log(0, 1)[0].user.as_deref(), Some(id.as_str()));
}

#[tokio::test]
async fn a_refresh_token_ends_after_ninety_days() {
    let world = World::new().await;
    let (_, first) = world.garmin_user();
    world.sim().advance_clock(7_775_990);
    let (status, second) = world.refresh(&first.refresh_token).await;
    assert_eq!(status, 200);
    world.sim().advance_clock(7_776_000);
    assert_eq!(world.refresh(second["refresh_token"].as_str().unwrap()).await.0, 400);
}

#[tokio::test]
async fn unticked_permissions_are_told_and_their_data_are_refused_with_412() {
    let world = World::new().await;
    let (id, _) = world.garmin_user();
    let choice = format!("&auto={id}&granted=none&granted=HEALTH_EXPORT");
    let code = value(&sent_back(&world, &choice).await, "code").unwrap();
    let (_, told) = world.exchange(&code, VERIFIER, REDIRECT).await;
    let token = told["access_token"].as_str().unwrap();
    let permissions = json(world.garmin(token, "user/permissions").await).await;
    assert_eq!(permissions, (200, json!(["HEALTH_EXPORT"])));
    let window = "?uploadStartTimeInSeconds=0&uploadEndTimeInSeconds=10";
    assert_eq!(world.garmin(token, &format!("dailies{window}")).await.status(), 200);
    let (status, refused) = json(world.garmin(token, &format!("activities{window}")).await).await;
    assert_eq!(status, 412);
    assert!(refused["errorMessage"].as_str().unwrap().contains("ACTIVITY_EXPORT"), "{refused}");
    let backfill = "backfill/dailies?summaryStartTimeInSeconds=0&summaryEndTimeInSeconds=10";
    assert_eq!(world.garmin(token, backfill).await.status(), 403);
}

#[tokio::test]
async fn deregistering_ends_access_and_refresh_with_204() {
    let world = World::new().await;
    let (_, tokens) = world.garmin_user();
    let url = world.url("/garmin/wellness-api/rest/user/registration");
    let end = || world.http.delete(&url).bearer_auth(&tokens.access_token).send();
    assert_eq!(end().await.unwrap().status(), 204);
    assert_eq!(end().await.unwrap().status(), 401);
    assert_eq!(world.refresh(&tokens.refresh_token).await.0, 400);
    assert_eq!(world.get("/garmin/wellness-api/rest/user/id").await.status(), 403);
}

#[tokio::test]
async fn only_the_registered_application_gets_tokens_when_there_is_one() {
    let known = Application { client_id: "5".to_owned(), client_secret: "right".to_owned() };
    let world = World::with(Config { garmin_application: Some(known), ..Config::default() }).await;
    let (_, tokens) = world.garmin_user();
    let (status, refused) = world.refresh(&tokens.refresh_token).await;
    assert_eq!((status, &refused["error"]), (401, &json!("invalid_client")));
}

#[tokio::test]
async fn consent_and_permissions_can_be_had_and_changed_by_the_controls() {
    let world = World::new().await;
    let (status, user) =
        world.control(Method::POST, "/_sim/garmin/users", json!({ "activities": 20 })).await;
    assert_eq!(status, 201, "{user}");
    let id = user["id"].as_str().unwrap();
    assert_eq!(id.len(), 32);
    let path = |of: &str| format!("/_sim/garmin/users/{id}/{of}");
    let (status, code) = world.control(Method::POST, &path("code"), json!({})).await;
    assert_eq!(status, 201);
    let (status, told) = world.exchange(code["code"].as_str().unwrap(), "any", "any").await;
    assert_eq!(status, 200);
    let token = told["access_token"].as_str().unwrap();
    let only = json!({ "permissions": ["ACTIVITY_EXPORT"] });
    assert_eq!(world.control(Method::POST, &path("permissions"), only).await.0, 200);
    let permissions = json(world.garmin(token, "user/permissions").await).await;
    assert_eq!(permissions.1, json!(["ACTIVITY_EXPORT"]));
    let expired = world.control(Method::POST, &path("expire"), json!({ "in_s": 0 })).await;
    assert_eq!(expired, (200, json!({ "tokens": 1 })));
    assert_eq!(world.garmin(token, "user/id").await.status(), 401);
    let revoked = world.control(Method::POST, &path("revoke"), json!({})).await;
    assert_eq!(revoked, (200, json!({ "authorizations": 1 })));
    let again = world.control(Method::POST, "/_sim/garmin/users", json!({ "id": id })).await;
    assert_eq!(again.0, 409);
    for token in world.sim().garmin_secrets() {
        assert!(token.len() >= 32);
    }
}
