//! Against a server that answers each path as a test tells it, and keeps what it was asked.

mod plans;
mod reading;
mod records;

use super::*;
use crate::providers::{
    Access, Accounts as _, Answer, Code, Error, ExchangeError, RefreshError, Source as _,
    http::HttpOptions,
};
use axum::{
    Router,
    extract::{Request, State as Shared},
    http::StatusCode as Status,
};
use chrono::Utc;
use paceline_shared::{ConnectionId, db::connection_secrets::Tokens};
use serde_json::Value;
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug)]
struct Asked {
    method: String,
    path: String,
    query: String,
    body: String,
    bearer: String,
}

/// A path, or its beginning, and what is answered there.
type Said = (&'static str, u16, &'static str);

#[derive(Clone, Default)]
struct Script {
    said: Arc<Mutex<Vec<Said>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

struct Fake {
    garmin: Garmin,
    script: Script,
}

impl Fake {
    async fn new(said: &[Said]) -> Self {
        let script = Script { said: Arc::new(Mutex::new(said.to_vec())), ..Script::default() };
        let app = Router::new().fallback(answer).with_state(script.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let config = GarminConfig {
            api_base: format!("{base}/rest/"),
            connect_base: base.clone(),
            auth_base: base,
            ..GarminConfig::new("5", "hush".into())
        };
        let options =
            HttpOptions { first_pause: Duration::from_millis(1), ..HttpOptions::default() };
        Self { garmin: Garmin::new(config, Http::new("garmin", options).unwrap()), script }
    }

    /// What is answered from now on.
    fn say(&self, said: &[Said]) {
        *self.script.said.lock().unwrap() = said.to_vec();
    }

    async fn read(&self, step: &Value) -> Result<Answer, Error> {
        let access = Access {
            token: "token-1".into(),
            connection: ConnectionId(uuid::Uuid::nil()),
            account: "7".to_owned(),
            tier: Tier::Interactive,
        };
        self.garmin.read(&access, step).await
    }

    async fn exchange(&self) -> Result<crate::providers::Exchanged, ExchangeError> {
        let code = Code {
            code: "c-1".into(),
            verifier: Some("v-1".into()),
            redirect_uri: "https://app.example.org/back".to_owned(),
            accepted: None,
        };
        self.garmin.exchange(&code).await
    }

    fn asked(&self) -> Vec<Asked> {
        self.script.asked.lock().unwrap().clone()
    }
}

async fn answer(Shared(script): Shared<Script>, request: Request) -> (Status, &'static str) {
    let (head, sent) = request.into_parts();
    let sent = axum::body::to_bytes(sent, 10_000).await.unwrap();
    let path = head.uri.path().to_owned();
    let bearer = head.headers.get("authorization").map(|value| value.to_str().unwrap());
    script.asked.lock().unwrap().push(Asked {
        method: head.method.to_string(),
        path: path.clone(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        body: String::from_utf8(sent.to_vec()).unwrap(),
        bearer: bearer.unwrap_or_default().to_owned(),
    });
    let said = script.said.lock().unwrap();
    let (_, status, body) =
        said.iter().find(|(begin, ..)| path.starts_with(begin)).copied().unwrap_or(("", 404, ""));
    (Status::from_u16(status).unwrap(), body)
}

const TOKEN: &str = "/di-oauth2-service/oauth/token";
const PAIR: &str = r#"{"access_token":"a-2","expires_in":86400,"token_type":"bearer","refresh_token":"r-2","refresh_token_expires_in":7775998,"scope":"PARTNER_READ CONNECT_READ","jti":"f8c9"}"#;

#[tokio::test]
async fn a_code_buys_an_account_whose_name_and_permissions_are_asked_for() {
    for permissions in [
        r#"["ACTIVITY_EXPORT","WORKOUT_IMPORT","HEALTH_EXPORT"]"#,
        r#"{"permissions":["ACTIVITY_EXPORT","WORKOUT_IMPORT","HEALTH_EXPORT"]}"#,
    ] {
        let fake = Fake::new(&[
            (TOKEN, 200, PAIR),
            ("/rest/user/id", 200, r#"{"userId":"4aacafe82427c251df9c9592d0c06768"}"#),
            ("/rest/user/permissions", 200, permissions),
        ])
        .await;
        let bought = fake.exchange().await.unwrap();
        assert_eq!(bought.account_id, "4aacafe82427c251df9c9592d0c06768");
        assert_eq!(bought.scopes, ["ACTIVITY_EXPORT", "WORKOUT_IMPORT", "HEALTH_EXPORT"]);
        assert!(fake.garmin.authorize_page().missing(&bought.scopes).is_empty());
        assert_eq!(bought.tokens.refresh.expose_secret(), "r-2");
        let lives_s = (bought.tokens.expires_at - Utc::now()).num_seconds();
        assert!((86_300..=86_400).contains(&lives_s), "{lives_s}");
        let asked = fake.asked();
        assert_eq!(
            asked[0].body,
            "client_id=5&client_secret=hush&grant_type=authorization_code&code=c-1\
             &redirect_uri=https%3A%2F%2Fapp.example.org%2Fback&code_verifier=v-1"
        );
        assert!(asked[1..].iter().all(|asked| asked.bearer == "Bearer a-2"), "{asked:?}");
    }
}

#[tokio::test]
async fn a_code_that_bought_tokens_is_never_taken_for_one_that_did_not_arrive() {
    for (status, body) in [(503, ""), (429, "{}"), (401, "{}"), (200, "{}"), (404, "")] {
        let fake = Fake::new(&[(TOKEN, 200, PAIR), ("/rest/user/id", status, body)]).await;
        let Err(ExchangeError::Failed(Error::Network(detail))) = fake.exchange().await else {
            panic!("{status} is another error")
        };
        assert!(!detail.unsent && detail.endpoint == "user/id", "{detail:?}");
        assert_eq!(fake.asked().iter().filter(|asked| asked.path == TOKEN).count(), 1);
    }
}

#[tokio::test]
async fn only_an_invalid_grant_is_about_the_code_or_the_refresh_token() {
    let dead = r#"{"error":"invalid_grant","error_description":"Invalid refresh token"}"#;
    let fake = Fake::new(&[(TOKEN, 400, dead)]).await;
    assert!(matches!(fake.exchange().await, Err(ExchangeError::CodeInvalid(_))));
    let refreshed = fake.garmin.refresh(&"r-1".into()).await;
    assert!(matches!(refreshed, Err(RefreshError::Invalid(_))));
    assert_eq!(
        fake.asked()[1].body,
        "client_id=5&client_secret=hush&grant_type=refresh_token&refresh_token=r-1"
    );
    for (status, body) in
        [(401, r#"{"error":"invalid_client"}"#), (400, r#"{"error":"invalid_request"}"#)]
    {
        let fake = Fake::new(&[(TOKEN, status, body)]).await;
        let refreshed = fake.garmin.refresh(&"r-1".into()).await;
        assert!(matches!(refreshed, Err(RefreshError::Failed(Error::Refused(_)))), "{body}");
    }
    for (status, body) in [(500, ""), (503, "<html>"), (200, "<html>"), (200, "{}")] {
        let fake = Fake::new(&[(TOKEN, status, body)]).await;
        let refreshed = fake.garmin.refresh(&"r-1".into()).await;
        assert!(matches!(refreshed, Err(RefreshError::Failed(Error::Temporary(_)))), "{status}");
        assert_eq!(fake.asked().len(), 1, "the old token may be dead already");
    }
}

#[tokio::test]
async fn a_good_bye_ends_the_registration_and_an_old_token_is_no_proof_that_it_ended() {
    let good_bye = |said: Said| async move {
        let fake = Fake::new(&[said]).await;
        let tokens = Tokens { access: "a-1".into(), refresh: "r-1".into(), expires_at: Utc::now() };
        let told = fake.garmin.deauthorize(&tokens, "7").await;
        let asked = fake.asked().remove(0);
        assert_eq!(
            (asked.method.as_str(), asked.path.as_str()),
            ("DELETE", "/rest/user/registration")
        );
        assert_eq!(asked.bearer, "Bearer a-1");
        told
    };
    assert!(good_bye(("/rest", 204, "")).await.is_ok());
    assert!(good_bye(("/rest", 404, "{}")).await.is_ok());
    assert!(matches!(good_bye(("/rest", 401, "{}")).await, Err(Error::Unauthorized(_))));
    assert!(matches!(good_bye(("/rest", 503, "")).await, Err(Error::Temporary(_))));
}

#[test]
fn the_link_has_a_challenge_and_no_scope() {
    let page = GarminConfig::new("5", "hush".into()).authorize_page();
    let link = page.link("s-1", Some("c-1"), "https://app.example.org/back").unwrap();
    assert_eq!(
        link.as_str(),
        "https://connect.garmin.com/oauth2Confirm?client_id=5&redirect_uri=https%3A%2F%2Fapp.example.org%2Fback\
         &response_type=code&state=s-1&code_challenge=c-1&code_challenge_method=S256"
    );
    assert_eq!(page.missing(&["HEALTH_EXPORT".to_owned()]), ["ACTIVITY_EXPORT"]);
}

#[tokio::test]
async fn no_secret_shows_in_debug() {
    let fake = Fake::new(&[]).await;
    let shown = format!("{:?} {:?}", fake.garmin, fake.garmin.config);
    assert!(!shown.contains("hush"), "{shown}");
}
