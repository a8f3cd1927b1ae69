//! Against a server that answers with what a test tells it and keeps what it was asked.

use super::*;
use crate::providers::{
    Error,
    accounts::{Accounts as _, Code, ExchangeError, RefreshError},
    source::{Access, Answer as Step, Source as _},
};
use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
};
use chrono::Utc;
use paceline_shared::{ConnectionId, db::connection_secrets::Tokens};
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Clone)]
struct Asked {
    path: String,
    authorization: Option<String>,
    body: String,
}

impl Asked {
    fn field(&self, name: &str) -> Option<&str> {
        self.body.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

type Said = (u16, String);

#[derive(Default)]
struct Server {
    asked: Mutex<Vec<Asked>>,
    /// One after the other; the last one for ever.
    said: Mutex<Vec<Said>>,
}

struct Fake {
    withings: Withings,
    server: Arc<Server>,
}

impl Fake {
    async fn new(said: &[(u16, &str)]) -> Self {
        let said = said.iter().rev().map(|(status, body)| (*status, (*body).to_owned())).collect();
        let server = Arc::new(Server { said: Mutex::new(said), ..Server::default() });
        let app = Router::new().fallback(answer).with_state(server.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let config = WithingsConfig {
            api_base: format!("{base}/"),
            repeat_after: Duration::from_millis(1),
            ..WithingsConfig::new("5", "hush".into())
        };
        let usual = HttpOptions { first_pause: Duration::from_millis(1), ..HttpOptions::default() };
        let http = Http::new("withings", config.http(&usual)).unwrap();
        Self { withings: Withings::new(config, http), server }
    }

    async fn measures(&self) -> Result<Step, Error> {
        self.step(&json!({ "parts": [{ "stream": "measures", "what": { "since": 5 }, "mark": 77 }], "offset": 0 })).await
    }

    async fn step(&self, step: &Value) -> Result<Step, Error> {
        let access = Access {
            token: "token-1".into(),
            connection: ConnectionId(uuid::Uuid::nil()),
            account: "363".to_owned(),
            tier: Tier::Interactive,
        };
        self.withings.read(&access, step).await
    }

    async fn exchange(&self) -> Result<crate::providers::Exchanged, ExchangeError> {
        let code = Code {
            code: "c-1".into(),
            verifier: None,
            redirect_uri: "http://127.0.0.1:1/callback".to_owned(),
            accepted: None,
        };
        self.withings.exchange(&code).await
    }

    fn asked(&self) -> Vec<Asked> {
        self.server.asked.lock().unwrap().clone()
    }
}

async fn answer(State(server): State<Arc<Server>>, request: Request) -> (StatusCode, String) {
    let (head, sent) = request.into_parts();
    let sent = axum::body::to_bytes(sent, 10_000).await.unwrap();
    server.asked.lock().unwrap().push(Asked {
        path: head.uri.path().to_owned(),
        authorization: head.headers.get("authorization").map(|v| v.to_str().unwrap().to_owned()),
        body: String::from_utf8(sent.to_vec()).unwrap(),
    });
    let mut said = server.said.lock().unwrap();
    let (status, body) = if said.len() > 1 { said.pop() } else { said.last().cloned() }.unwrap();
    (StatusCode::from_u16(status).unwrap(), body)
}

const EMPTY: &str =
    r#"{"status":0,"body":{"updatetime":1604000000,"timezone":"Europe/Paris","measuregrps":[]}}"#;
const PAGE: &str = r#"{"status":0,"body":{"updatetime":1604000000,"timezone":"Europe/Paris","measuregrps":[
    {"grpid":12,"attrib":0,"date":1594245600,"category":1,"measures":[{"value":65750,"type":1,"unit":-3}]}],"more":1,"offset":300}}"#;
const PAIR: &str = r#"{"status":0,"body":{"userid":"363","access_token":"a-1","refresh_token":"r-1","expires_in":10800,
    "scope":"user.info,user.metrics","csrf_token":"x","token_type":"Bearer"}}"#;
const INVALID_TOKEN: &str = r#"{"status":401,"body":{},"error":"XRequestID: Not provided invalid_token: The access token provided is invalid"}"#;
const DEAD_REFRESH: &str =
    r#"{"status":503,"body":{},"error":"Invalid Params: invalid refresh_token"}"#;
const TROUBLE: &str = r#"{"status":2556,"body":{},"error":"An error occurred"}"#;
const SAME_ARGUMENTS: &str =
    r#"{"status":601,"body":{},"error":"Same arguments in less than 10 seconds"}"#;

#[tokio::test]
async fn a_list_is_asked_for_by_form_with_the_token_in_the_header() {
    let fake = Fake::new(&[(200, PAGE)]).await;
    let answer = fake.measures().await.unwrap();
    let asked = fake.asked().remove(0);
    assert_eq!(asked.path, "/measure");
    assert_eq!(asked.authorization.as_deref(), Some("Bearer token-1"));
    assert_eq!((asked.field("action"), asked.field("category")), (Some("getmeas"), Some("1")));
    assert_eq!((asked.field("lastupdate"), asked.field("offset")), (Some("5"), None));
    assert_eq!(asked.field("meastypes").unwrap(), measures::types().replace(',', "%2C"));
    assert_eq!(answer.context, Some(json!({ "timezone": "Europe/Paris" })));
    assert_eq!(answer.mark, Some(("measures", json!(1_604_000_000))), "Withings' clock, not ours");

    let second = fake.step(&answer.next.unwrap()).await.unwrap_err();
    assert!(matches!(second, Error::Temporary(_)), "more follows from 300 again: that is no end");
    assert_eq!(fake.asked()[1].field("offset"), Some("300"));
}

#[tokio::test]
async fn only_the_first_page_of_a_chain_says_where_changes_go_on() {
    let fake = Fake::new(&[(200, PAGE), (200, EMPTY)]).await;
    let first = fake.measures().await.unwrap();
    let last = fake.step(&first.next.unwrap()).await.unwrap();
    assert_eq!((last.mark, last.next), (None, None));
}

#[tokio::test]
async fn an_error_in_a_200_is_never_an_empty_answer() {
    for body in [
        INVALID_TOKEN,
        DEAD_REFRESH,
        TROUBLE,
        SAME_ARGUMENTS,
        "",
        "[]",
        "<html>",
        r#"{"status":0,"body":{}}"#,
        r#"{"status":0,"body":[]}"#,
        r#"{"status":0,"body":{"measuregrps":[{"grp"#,
        r#"{"body":{"measuregrps":[]}}"#,
    ] {
        let fake = Fake::new(&[(200, body)]).await;
        assert!(fake.measures().await.is_err(), "{body}");
    }
    assert_eq!(Fake::new(&[(200, EMPTY)]).await.measures().await.unwrap().next, None);
}

#[tokio::test]
async fn each_refusal_has_its_meaning() {
    let refused = |status, body: &'static str| async move {
        let fake = Fake::new(&[(status, body)]).await;
        (fake.measures().await.unwrap_err(), fake.asked().len())
    };
    assert!(matches!(refused(200, INVALID_TOKEN).await, (Error::Unauthorized(_), 1)));
    assert!(matches!(refused(200, DEAD_REFRESH).await, (Error::Refused(_), 1)));
    assert!(matches!(
        refused(200, SAME_ARGUMENTS).await,
        (Error::Wait { reason: "rate_limit", .. }, 1)
    ));
    let denied = r#"{"status":277,"body":{},"error":"Insufficient scope"}"#;
    assert!(matches!(refused(200, denied).await, (Error::Denied(_), 1)));
    let (error, tries) = refused(200, TROUBLE).await;
    let Error::Temporary(detail) = error else { panic!("{error}") };
    assert_eq!((detail.message.as_str(), tries), ("status 2556: An error occurred", 3));
    assert!(matches!(refused(429, "slow down").await, (Error::Wait { .. }, 1)));
    assert!(matches!(refused(503, "<html>").await, (Error::Temporary(_), 3)));
    assert!(matches!(refused(403, "<html>").await, (Error::Temporary(_), 1)));
    assert!(matches!(refused(410, "").await, (Error::Gone(_), 1)));
}

#[tokio::test]
async fn trouble_that_passes_costs_nothing() {
    let fake = Fake::new(&[(200, TROUBLE), (502, "<html>"), (200, EMPTY)]).await;
    assert!(fake.measures().await.is_ok());
    assert_eq!(fake.asked().len(), 3);
}

#[test]
fn the_same_call_is_never_made_again_within_ten_seconds() {
    let http = WithingsConfig::new("5", "hush".into()).http(&HttpOptions::default());
    // Pauses are drawn from half to one and a half of the usual one.
    assert!(http.first_pause / 2 >= Duration::from_secs(10));
    assert!(http.longest_pause >= http.first_pause && http.retry_for > http.first_pause * 3 / 2);
}

#[test]
fn a_sliding_minute_never_sees_more_than_120_calls() {
    let terms = WithingsConfig::new("5", "hush".into()).terms();
    let [window] = &terms.windows[..] else { panic!("{terms:?}") };
    let touched = 60 / window.window_s + 1;
    assert!(touched * window.limit <= 120, "{window:?}");
}

#[tokio::test]
async fn a_code_buys_an_account_whatever_type_its_id_has() {
    for (userid, scopes) in
        [("\"363\"", "user.info,user.metrics"), ("363", "user.metrics user.info")]
    {
        let pair = PAIR.replace("\"363\"", userid).replace("user.info,user.metrics", scopes);
        let fake = Fake::new(&[(200, &pair)]).await;
        let bought = fake.exchange().await.unwrap();
        assert_eq!((bought.account_id.as_str(), bought.scopes.len()), ("363", 2));
        assert_eq!(bought.tokens.access.expose_secret(), "a-1");
        let lives = (bought.tokens.expires_at - Utc::now()).num_seconds();
        assert!((10_700..=10_800).contains(&lives), "{lives}");
        let asked = fake.asked().remove(0);
        assert_eq!((asked.path.as_str(), asked.authorization.as_deref()), ("/v2/oauth2", None));
        assert_eq!(
            asked.body,
            "action=requesttoken&client_id=5&client_secret=hush&grant_type=authorization_code&code=c-1\
             &redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcallback"
        );
    }
    let page = WithingsConfig::new("5", "hush".into()).authorize_page();
    assert_eq!(page.missing(&["user.metrics".to_owned()]), ["user.activity"]);
    assert_eq!(page.code_lives, Duration::from_secs(30));
}

#[tokio::test]
async fn a_code_that_buys_nothing_says_why() {
    let exchange = |status, body: &'static str| async move {
        let fake = Fake::new(&[(status, body)]).await;
        (fake.exchange().await.unwrap_err(), fake.asked().len())
    };
    let dead = r#"{"status":503,"body":{},"error":"Invalid Params: invalid code"}"#;
    assert!(matches!(exchange(200, dead).await, (ExchangeError::CodeInvalid(_), 1)));
    let ours = r#"{"status":503,"body":{},"error":"Invalid Params: invalid client_secret"}"#;
    assert!(matches!(exchange(200, ours).await, (ExchangeError::Failed(Error::Refused(_)), 1)));
    let nobody = r#"{"status":0,"body":{"access_token":"a","refresh_token":"r","expires_in":1}}"#;
    assert!(matches!(exchange(200, nobody).await, (ExchangeError::Failed(Error::Temporary(_)), 1)));
}

#[tokio::test]
async fn only_a_dead_refresh_token_asks_the_user_to_connect_again() {
    let refresh = |status, body: &'static str| async move {
        let fake = Fake::new(&[(status, body)]).await;
        let error = fake.withings.refresh(&"r-1".into()).await.unwrap_err();
        assert_eq!(fake.asked().len(), 1, "the old token may be dead already");
        error
    };
    assert!(matches!(refresh(200, DEAD_REFRESH).await, RefreshError::Invalid(_)));
    assert!(matches!(refresh(200, INVALID_TOKEN).await, RefreshError::Invalid(_)));
    for ours in [
        r#"{"status":503,"body":{},"error":"Invalid Params: invalid client_id"}"#,
        r#"{"status":401,"body":{},"error":"invalid_client"}"#,
        r#"{"status":293,"body":{},"error":"Invalid Params"}"#,
    ] {
        assert!(
            matches!(refresh(200, ours).await, RefreshError::Failed(Error::Refused(_))),
            "{ours}"
        );
    }
    assert!(matches!(refresh(401, "{}").await, RefreshError::Failed(Error::Refused(_))));
    assert!(matches!(refresh(200, SAME_ARGUMENTS).await, RefreshError::Failed(Error::Wait { .. })));
    for (status, body) in
        [(503, "<html>"), (200, "<html>"), (200, TROUBLE), (200, r#"{"status":0,"body":{}}"#)]
    {
        let error = refresh(status, body).await;
        assert!(matches!(error, RefreshError::Failed(Error::Temporary(_))), "{status} {body}");
    }
    let fake = Fake::new(&[(200, PAIR)]).await;
    let next = fake.withings.refresh(&"r-0".into()).await.unwrap();
    assert_eq!(next.refresh.expose_secret(), "r-1");
}

fn tokens() -> Tokens {
    Tokens { access: "a-1".into(), refresh: "r-1".into(), expires_at: Utc::now() }
}

#[tokio::test]
async fn a_good_bye_is_signed_with_a_nonce() {
    let fake = Fake::new(&[
        (200, r#"{"status":0,"body":{"nonce":"n-1"}}"#),
        (200, r#"{"status":0,"body":{}}"#),
    ])
    .await;
    fake.withings.deauthorize(&tokens(), "363").await.unwrap();
    let [nonce, revoke] = &fake.asked()[..] else { panic!() };
    assert_eq!((nonce.path.as_str(), nonce.field("action")), ("/v2/signature", Some("getnonce")));
    assert_eq!((revoke.path.as_str(), revoke.field("action")), ("/v2/oauth2", Some("revoke")));
    assert_eq!((revoke.field("userid"), revoke.field("nonce")), (Some("363"), Some("n-1")));
    // HMAC-SHA256 of "revoke,5,n-1" under "hush", as OpenSSL makes it.
    assert_eq!(revoke.field("signature"), Some(SIGNATURE));
}

const SIGNATURE: &str = "ffec14cd1c0eb4a5b6700390c06ef4e5aa03ad6335705f9a405c673d939dda96";

#[tokio::test]
async fn an_account_that_is_gone_already_is_no_failure() {
    let nonce = r#"{"status":0,"body":{"nonce":"n-1"}}"#;
    let say = |body: &'static str| async move {
        Fake::new(&[(200, nonce), (200, body)]).await.withings.deauthorize(&tokens(), "363").await
    };
    assert!(say(INVALID_TOKEN).await.is_ok());
    assert!(say(r#"{"status":401,"body":{},"error":"invalid signature"}"#).await.is_err());
    assert!(say(TROUBLE).await.is_err());
}

#[tokio::test]
async fn no_secret_shows_in_debug() {
    let fake = Fake::new(&[(200, INVALID_TOKEN)]).await;
    let error = fake.measures().await.unwrap_err();
    let shown = format!("{error:?} {error} {:?} {:?}", fake.withings, fake.withings.config);
    assert!(!shown.contains("token-1") && !shown.contains("hush"), "{shown}");
}
