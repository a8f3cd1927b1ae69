//! Against a server that answers with what a test tells it and keeps what it was asked.

use super::*;
use crate::providers::{Accounts as _, ExchangeError, RefreshError, http::HttpOptions};
use axum::{
    Router,
    body::Bytes,
    extract::{Request, State as Shared},
    http::{HeaderMap, StatusCode},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

#[derive(Clone)]
struct Asked {
    path: String,
    query: String,
    headers: HeaderMap,
    body: String,
}

struct Fake {
    strava: Strava,
    asked: Arc<Mutex<Vec<Asked>>>,
}

type Said = (u16, &'static [(&'static str, &'static str)], &'static str);

impl Fake {
    async fn new(said: Said) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new().fallback(answer).with_state((asked.clone(), said));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let config = StravaConfig {
            api_base: format!("{base}/api/v3/"),
            oauth_base: format!("{base}/oauth"),
            ..StravaConfig::new("5", "hush".into())
        };
        let options =
            HttpOptions { first_pause: Duration::from_millis(1), ..HttpOptions::default() };
        Self { strava: Strava::new(config, Http::new("strava", options).unwrap()), asked }
    }

    async fn page(&self) -> Result<Page, Error> {
        let ever = PgRange { start: Bound::Unbounded, end: Bound::Unbounded };
        self.strava.page(&"token-1".into(), &ever, 1, Tier::Interactive).await
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    Shared((asked, (status, headers, body))): Shared<(Arc<Mutex<Vec<Asked>>>, Said)>,
    request: Request,
) -> (StatusCode, HeaderMap, &'static str) {
    let (head, sent) = request.into_parts();
    let sent: Bytes = axum::body::to_bytes(sent, 10_000).await.unwrap();
    asked.lock().unwrap().push(Asked {
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: String::from_utf8(sent.to_vec()).unwrap(),
    });
    let headers =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    (StatusCode::from_u16(status).unwrap(), headers.collect(), body)
}

const INVALID_TOKEN: &str = r#"{"message":"Authorization Error","errors":[{"resource":"Athlete","field":"access_token","code":"invalid"}]}"#;
const SCOPE_MISSING: &str = r#"{"message":"Authorization Error","errors":[{"resource":"AccessToken","field":"activity:read_permission","code":"missing"}]}"#;
const INACTIVE: &str = r#"{"message":"Forbidden","errors":[{"resource":"Application","field":"Status","code":"Inactive"}]}"#;
const TOO_MANY: &str = r#"{"message":"Rate Limit Exceeded","errors":[{"resource":"Application","field":"rate limit","code":"exceeded"}]}"#;
const DEAD_REFRESH: &str = r#"{"message":"Bad Request","errors":[{"resource":"RefreshToken","field":"refresh_token","code":"invalid"}]}"#;
const DEAD_CODE: &str = r#"{"message":"Bad Request","errors":[{"resource":"AuthorizationCode","field":"code","code":"invalid"}]}"#;
const WRONG_CLIENT: &str = r#"{"message":"Bad Request","errors":[{"resource":"Application","field":"client_id","code":"invalid"}]}"#;
const PAIR: &str = r#"{"token_type":"Bearer","access_token":"a-2","expires_at":1568775134,"expires_in":20566,"refresh_token":"r-2"}"#;
const FIRST_PAIR: &str = r#"{"token_type":"Bearer","expires_at":1568775134,"expires_in":21600,"refresh_token":"r-1","access_token":"a-1","athlete":{"id":98765432109876543210,"username":"marianne_t"}}"#;

#[tokio::test]
async fn a_page_is_asked_for_oldest_first_with_the_token_in_the_header() {
    let fake = Fake::new((200, &[], r#"[{"id":1}, {"id":2}]"#)).await;
    let page = fake.page().await.unwrap();
    assert_eq!((page.items, &page.body[..]), (2, &br#"[{"id":1}, {"id":2}]"#[..]));
    let asked = fake.asked().remove(0);
    assert_eq!(asked.path, "/api/v3/athlete/activities");
    assert_eq!(asked.query, "after=0&page=1&per_page=200");
    assert_eq!(asked.headers["authorization"], "Bearer token-1");
    assert!(asked.headers["user-agent"].to_str().unwrap().starts_with("paceline/"));
}

#[test]
fn the_range_becomes_exclusive_whole_seconds() {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let noon = at("2026-01-01T12:00:00Z");
    let past = at("2026-01-01T12:00:00.5Z");
    let s = noon.timestamp();
    for (start, end, expected) in [
        (Bound::Included(noon), Bound::Excluded(noon), (s - 1, Some(s))),
        (Bound::Included(past), Bound::Excluded(past), (s, Some(s + 1))),
        (Bound::Excluded(noon), Bound::Included(noon), (s, Some(s + 1))),
        (Bound::Excluded(past), Bound::Included(past), (s, Some(s + 1))),
        (Bound::Unbounded, Bound::Unbounded, (0, None)),
        (Bound::Included(at("1960-01-01T00:00:00Z")), Bound::Unbounded, (0, None)),
    ] {
        assert_eq!(borders(&PgRange { start, end }), expected);
    }
}

#[tokio::test]
async fn an_empty_page_is_an_empty_array_and_nothing_else() {
    assert_eq!(Fake::new((200, &[], " [ ] ")).await.page().await.unwrap().items, 0);
    for body in ["", "{}", TOO_MANY, "<html>maintenance</html>", r#"[{"id":1},{"id"#, "null"] {
        let fake = Fake::new((200, &[], body)).await;
        assert!(matches!(fake.page().await, Err(Error::Temporary(_))), "{body}");
        assert_eq!(fake.asked().len(), 5, "a broken answer is asked for again");
    }
}

#[tokio::test]
async fn each_refusal_has_its_meaning() {
    let refused = |said| async move {
        let fake = Fake::new(said).await;
        (fake.page().await.unwrap_err(), fake.asked().len())
    };
    let (error, tries) = refused((401, &[], INVALID_TOKEN)).await;
    assert!(matches!(error, Error::Unauthorized(_)) && tries == 1);
    let (error, tries) = refused((401, &[], SCOPE_MISSING)).await;
    let Error::Denied(detail) = error else { panic!("{error}") };
    assert_eq!((detail.status, tries), (Some(401), 1));
    assert!(detail.message.ends_with("AccessToken/activity:read_permission/missing"));
    let (error, _) = refused((403, &[], INACTIVE)).await;
    assert!(matches!(error, Error::Refused(_)), "our subscription: no user's consent would help");
    let (error, _) = refused((403, &[], "<html>blocked on the way</html>")).await;
    assert!(matches!(error, Error::Temporary(_)));
    let (error, _) = refused((410, &[], "")).await;
    assert!(matches!(error, Error::Gone(_)));
    for status in [301, 400, 404, 422] {
        let (error, tries) = refused((status, &[], "{}")).await;
        assert!(matches!(error, Error::Refused(_)) && tries == 1, "{status}");
    }
    for status in [500, 502, 503, 504] {
        let (error, tries) = refused((status, &[], "<html>")).await;
        assert!(matches!(error, Error::Temporary(_)) && tries == 5, "{status}");
    }
}

#[tokio::test]
async fn a_spent_quota_is_a_wait_and_never_a_repeat() {
    const QUARTER: &[(&str, &str)] =
        &[("X-RateLimit-Limit", "200,2000"), ("X-RateLimit-Usage", "201,300")];
    const DAY: &[(&str, &str)] =
        &[("X-ReadRateLimit-Limit", "100,1000"), ("X-ReadRateLimit-Usage", "5,1001")];
    for (headers, reason, longest_s) in [
        (QUARTER, "rate_limit", 15 * 60 + 5),
        (DAY, "quota_exceeded", 24 * 3600 + 5),
        (&[][..], "rate_limit", 15 * 60 + 5),
    ] {
        let fake = Fake::new((429, headers, TOO_MANY)).await;
        let Error::Wait { reason: said, after } = fake.page().await.unwrap_err() else { panic!() };
        assert_eq!((said, fake.asked().len()), (reason, 1));
        assert!((1..=longest_s).contains(&after.as_secs()), "{after:?}");
    }
    let fake = Fake::new((200, QUARTER, "[]")).await;
    assert_eq!(fake.page().await.unwrap().items, 0, "the last call that a quota allows counts");
}

#[tokio::test]
async fn a_refresh_buys_the_next_pair() {
    let fake = Fake::new((200, &[], PAIR)).await;
    let tokens = fake.strava.refresh(&"r-1".into()).await.unwrap();
    assert_eq!(tokens.access.expose_secret(), "a-2");
    assert_eq!(tokens.refresh.expose_secret(), "r-2");
    assert_eq!(tokens.expires_at.timestamp(), 1_568_775_134);
    let asked = fake.asked().remove(0);
    assert_eq!((asked.path.as_str(), asked.query.as_str()), ("/oauth/token", ""));
    assert_eq!(
        asked.body,
        "client_id=5&client_secret=hush&grant_type=refresh_token&refresh_token=r-1"
    );
}

#[tokio::test]
async fn only_a_dead_refresh_token_asks_the_user_to_connect_again() {
    let refresh = |said| async move {
        let fake = Fake::new(said).await;
        (fake.strava.refresh(&"r-1".into()).await.unwrap_err(), fake.asked().len())
    };
    assert!(matches!(refresh((400, &[], DEAD_REFRESH)).await, (RefreshError::Invalid(_), 1)));
    let (error, _) = refresh((400, &[], WRONG_CLIENT)).await;
    assert!(matches!(error, RefreshError::Failed(Error::Refused(_))));
    let (error, _) = refresh((401, &[], "{}")).await;
    assert!(matches!(error, RefreshError::Failed(Error::Refused(_))));
    let (error, _) = refresh((429, &[], TOO_MANY)).await;
    assert!(matches!(error, RefreshError::Failed(Error::Wait { .. })));
    for (status, body) in [(500, ""), (503, "<html>"), (200, "<html>"), (200, "{}")] {
        let (error, tries) = refresh((status, &[], body)).await;
        assert!(matches!(error, RefreshError::Failed(Error::Temporary(_))), "{status} {body}");
        assert_eq!(tries, 1, "the old token may be dead already");
    }
}

#[tokio::test]
async fn a_code_buys_an_account_with_the_scopes_that_were_accepted() {
    let fake = Fake::new((200, &[], FIRST_PAIR)).await;
    let all = fake.strava.exchange(&"c-1".into(), &SCOPES.join(",")).await.unwrap();
    assert_eq!(all.account_id, "98765432109876543210");
    let missing = |granted: &[String]| fake.strava.authorize_page().missing(granted);
    assert_eq!(all.scopes, SCOPES);
    assert!(missing(&all.scopes).is_empty());
    assert_eq!(all.tokens.access.expose_secret(), "a-1");
    assert!(fake.asked()[0].body.ends_with("&grant_type=authorization_code&code=c-1"));
    let some = fake.strava.exchange(&"c-1".into(), "read,activity:read").await.unwrap();
    assert_eq!(missing(&some.scopes), ["activity:read_all", "profile:read_all"]);
}

#[tokio::test]
async fn a_good_bye_to_an_account_that_is_gone_already_is_one() {
    let tokens = || Tokens {
        access: "token-1".into(),
        refresh: "r-1".into(),
        expires_at: DateTime::UNIX_EPOCH,
    };
    for (said, ends) in
        [((200, INVALID_TOKEN), true), ((401, INVALID_TOKEN), true), ((503, ""), false)]
    {
        let fake = Fake::new((said.0, &[], said.1)).await;
        assert_eq!(fake.strava.deauthorize(&tokens(), "7").await.is_ok(), ends, "{said:?}");
        let asked = fake.asked().remove(0);
        assert_eq!((asked.path.as_str(), asked.query.as_str()), ("/oauth/deauthorize", ""));
        assert_eq!(asked.headers["authorization"], "Bearer token-1");
    }
}

#[tokio::test]
async fn a_code_that_buys_nothing_says_why() {
    let exchange = |said| async move {
        Fake::new(said).await.strava.exchange(&"c-1".into(), "read").await.unwrap_err()
    };
    assert!(matches!(exchange((400, &[], DEAD_CODE)).await, ExchangeError::CodeInvalid(_)));
    let error = exchange((400, &[], WRONG_CLIENT)).await;
    assert!(matches!(error, ExchangeError::Failed(Error::Refused(_))));
    let error = exchange((200, &[], PAIR)).await;
    assert!(matches!(error, ExchangeError::Failed(Error::Temporary(_))), "no athlete");
}

#[tokio::test]
async fn no_secret_shows_in_debug() {
    let fake = Fake::new((401, &[], INVALID_TOKEN)).await;
    let error = fake.page().await.unwrap_err();
    let shown = format!("{error:?} {error} {:?} {:?}", fake.strava, fake.strava.config);
    assert!(!shown.contains("token-1") && !shown.contains("hush"), "{shown}");
}
