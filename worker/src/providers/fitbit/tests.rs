//! Against a server that answers with what a test tells it and keeps what it was asked.

use super::*;
use crate::providers::{
    accounts::{Accounts as _, Code, ExchangeError, RefreshError},
    http::HttpOptions,
    source::{Answer, Ask, Source as _},
};
use axum::{
    Router,
    body::Bytes as Body,
    extract::{Request, State as Shared},
    http::{HeaderMap, StatusCode},
};
use chrono::{DateTime, NaiveDate, Utc};
use paceline_shared::{
    ConnectionId, JobType,
    db::{
        connection_coverage::{Coverage, Span},
        connection_secrets::Tokens,
    },
};
use serde_json::{Value, json};
use sqlx::postgres::types::PgRange;
use std::{
    ops::Bound,
    sync::{Arc, Mutex},
    time::Duration,
};

#[derive(Clone, Debug)]
struct Asked {
    url: String,
    headers: HeaderMap,
    body: String,
}

struct Fake {
    fitbit: Fitbit,
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
        let config = FitbitConfig {
            api_base: format!("{base}/fitbit/"),
            web_base: format!("{base}/fitbit"),
            ..FitbitConfig::new("id5", "hush".into())
        };
        let options =
            HttpOptions { first_pause: Duration::from_millis(1), ..HttpOptions::default() };
        Self { fitbit: Fitbit::new(config, Http::new("fitbit", options).unwrap()), asked }
    }

    async fn read(&self, step: &Value) -> Result<Answer, Error> {
        let access = Access {
            token: "token-1".into(),
            connection: ConnectionId::fresh(),
            account: "26FWFL".to_owned(),
            tier: Tier::Interactive,
        };
        self.fitbit.read(&access, step).await
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
    let sent: Body = axum::body::to_bytes(sent, 10_000).await.unwrap();
    asked.lock().unwrap().push(Asked {
        url: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8(sent.to_vec()).unwrap(),
    });
    let headers =
        headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    (StatusCode::from_u16(status).unwrap(), headers.collect(), body)
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn plan(
    job_type: JobType,
    coverage: &[Coverage],
    only_new: bool,
    scopes: &[&str],
) -> crate::providers::Plan {
    let scopes: Vec<String> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let (config, http) = (
        FitbitConfig::new("id5", "hush".into()),
        Http::new("fitbit", HttpOptions::default()).unwrap(),
    );
    Fitbit::new(config, http).plan(&Ask {
        job_type,
        range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
        only_new,
        coverage,
        scopes: &scopes,
        profile: Some(&json!({ "zone": "Europe/Berlin", "offset_s": 3600, "since": "2026-01-01" })),
        now: at("2026-11-01T12:00:00Z"),
    })
}

fn days(step: &Value) -> Vec<(String, NaiveDate, NaiveDate)> {
    let part = |part: &Value| {
        let day = |name: &str| part[name].as_str().unwrap().parse().unwrap();
        (part["list"].as_str().unwrap().to_owned(), day("from"), day("to"))
    };
    step["parts"].as_array().unwrap().iter().map(part).collect()
}

#[test]
fn a_first_sync_reads_from_the_accounts_first_day_and_knows_its_steps() {
    let plan = plan(JobType::All, &[], true, &SCOPES);
    let lists = days(plan.first.as_ref().unwrap());
    let (from, to) = ("2026-01-01".parse().unwrap(), "2026-11-02".parse().unwrap());
    assert_eq!(lists.len(), 4);
    assert!(lists.iter().all(|list| (list.1, list.2) == (from, to)));
    // 306 days: 10 chunks of 31, 11 of 30, 4 of 100, the pages as one, and the profile.
    assert_eq!(plan.steps, Some(10 + 11 + 4 + 1 + 1));
    assert!(plan.replaces.iter().all(|part| part.from.unwrap() < at("2026-01-02T00:00:00Z")
        && part.to == at("2026-11-01T12:00:00Z")));
}

#[test]
fn watermark_by_event_time_the_last_ninety_days_are_read_again() {
    let covered = [Coverage {
        stream: "weight".to_owned(),
        spans: vec![Span { from: None, to: Some(at("2026-10-31T12:00:00Z")) }],
        mark: None,
    }];
    let plan = plan(JobType::Measurements, &covered, true, &SCOPES);
    let lists = days(plan.first.as_ref().unwrap());
    assert_eq!((lists[0].0.as_str(), lists[0].1), ("weight", "2026-08-02".parse().unwrap()));
    assert_eq!(lists[1].1, "2026-01-01".parse().unwrap(), "fat was never read");
    let part = &plan.replaces[0];
    assert!(
        part.from.unwrap() > at("2026-08-02T12:00:00Z")
            && part.from.unwrap() <= at("2026-08-03T12:00:00Z")
    );
}

#[tokio::test]
async fn partial_consent_leaves_out_what_is_not_granted() {
    let plan_of = |scopes: &[&str]| plan(JobType::All, &[], true, scopes);
    let lists = days(plan_of(&["weight", "profile"]).first.as_ref().unwrap());
    assert_eq!(lists.iter().map(|list| list.0.as_str()).collect::<Vec<_>>(), ["weight", "fat"]);
    let none = plan_of(&["activity", "weight", "sleep"]);
    assert!(none.covers.is_empty(), "without a zone no time means anything");
    let fake = Fake::new((200, &[], "{}")).await;
    let error = fake.read(&none.first.unwrap()).await.unwrap_err();
    assert!(matches!(error, Error::Denied(_)) && fake.asked().is_empty());
}

fn step(list: &str, from: &str, to: &str) -> Value {
    json!({ "profile": {"zone": "Europe/Berlin", "offset_s": 3600}, "parts": [{"list": list, "from": from, "to": to}] })
}

#[tokio::test]
async fn a_chunk_is_never_longer_than_the_list_allows() {
    for (list, days, said) in [
        ("weight", 31, (200, &[][..], r#"{"weight":[]}"#)),
        ("fat", 30, (200, &[], r#"{"fat":[]}"#)),
        ("sleep", 100, (200, &[], r#"{"sleep":[]}"#)),
    ] {
        let fake = Fake::new(said).await;
        let mut next = Some(step(list, "2026-01-01", "2026-11-02"));
        let mut left = i32::MAX;
        while let Some(step) = next {
            let answer = fake.read(&step).await.unwrap();
            assert!(answer.left.unwrap() < left, "the bar only grows");
            (left, next) = (answer.left.unwrap(), answer.next);
        }
        assert_eq!(left, 0);
        let mut expected: NaiveDate = "2026-01-01".parse().unwrap();
        for asked in fake.asked() {
            let mut parts = asked.url.trim_end_matches(".json").rsplit('/');
            let (to, from): (NaiveDate, NaiveDate) =
                (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap());
            assert_eq!(from, expected, "no gap and no overlap");
            assert!((to - from).num_days() < days);
            assert!(!asked.headers.contains_key("accept-language"), "metric");
            expected = to.succ_opt().unwrap();
        }
        assert_eq!(expected, "2026-11-03".parse().unwrap());
    }
}

#[tokio::test]
async fn a_page_goes_on_at_the_day_of_its_last_activity() {
    const PAGE: &str = r#"{"activities":[{"logId":1,"startTime":"2026-02-01T10:00:00.000+01:00"},
        {"logId":2,"startTime":"2026-03-05T10:00:00.000+01:00"}],"pagination":{"next":"https://elsewhere.example/steal"}}"#;
    let fake = Fake::new((200, &[], PAGE)).await;
    let answer = fake.read(&step("activities", "2026-01-01", "2026-11-02")).await.unwrap();
    assert_eq!(days(answer.next.as_ref().unwrap())[0].1, "2026-03-05".parse().unwrap());
    assert!(fake.asked()[0].url.contains("afterDate=2025-12-31&sort=asc&limit=100&offset=0"));
    // The same day again: only its number helps.
    let again = fake.read(&step("activities", "2026-03-05", "2026-11-02")).await.unwrap();
    assert_eq!(again.next.unwrap()["offset"], 2);
    // Behind what is asked for.
    assert_eq!(
        fake.read(&step("activities", "2026-01-01", "2026-03-01")).await.unwrap().next,
        None
    );
}

const EXPIRED: &str = r#"{"errors":[{"errorType":"expired_token","message":"Access token expired: eyJ"}],"success":false}"#;
const SCOPE: &str =
    r#"{"errors":[{"errorType":"insufficient_scope","message":"no"}],"success":false}"#;
const INVALID: &str =
    r#"{"errors":[{"errorType":"validation","fieldName":"date","message":"x"}],"success":false}"#;

#[tokio::test]
async fn refusals_mean_what_fitbit_means() {
    let read = |said| async move {
        Fake::new(said).await.read(&step("weight", "2026-01-01", "2026-01-31")).await.unwrap_err()
    };
    assert!(matches!(read((401, &[], EXPIRED)).await, Error::Unauthorized(_)));
    assert!(matches!(read((403, &[], SCOPE)).await, Error::Denied(_)));
    assert!(matches!(read((403, &[], "<html>")).await, Error::Temporary(_)));
    assert!(
        matches!(read((400, &[], INVALID)).await, Error::Refused(d) if d.message.ends_with("validation/date"))
    );
    let waits =
        read((429, &[("retry-after", "1478"), ("fitbit-rate-limit-reset", "1478")], "{}")).await;
    assert!(
        matches!(waits, Error::Wait { after, .. } if (1_478..1_490).contains(&after.as_secs())),
        "{waits:?}"
    );
    for said in [
        (500, &[][..], ""),
        (200, &[], EXPIRED),
        (200, &[], "<html>"),
        (200, &[], r#"{"weight":[{"#),
    ] {
        assert!(matches!(read(said).await, Error::Temporary(_)), "{said:?}");
    }
    assert!(
        !format!("{:?}", read((401, &[], EXPIRED)).await).contains("eyJ"),
        "messages quote tokens"
    );
}

#[tokio::test]
async fn programme_death_a_410_is_the_end_and_no_reason_to_ask_again() {
    let fake = Fake::new((410, &[], "")).await;
    let error = fake.read(&step("weight", "2026-01-01", "2026-01-31")).await.unwrap_err();
    assert!(matches!(error, Error::Gone(_)));
    assert_eq!(fake.asked().len(), 1);
    let refresh = fake.fitbit.refresh(&"r".into()).await.unwrap_err();
    assert!(matches!(refresh, RefreshError::Failed(Error::Gone(_))), "the token is not to blame");
    let tokens =
        Tokens { access: "a".into(), refresh: "r".into(), expires_at: at("2026-01-01T00:00:00Z") };
    fake.fitbit.deauthorize(&tokens, "26FWFL").await.unwrap();
}

const PAIR: &str = r#"{"access_token":"a-1","expires_in":28800,"refresh_token":"r-1","scope":"activity sleep weight profile","token_type":"Bearer","user_id":"26FWFL"}"#;
const DEAD: &str = r#"{"errors":[{"errorType":"invalid_grant","message":"Refresh token invalid: c643a6."}],"success":false}"#;

fn code() -> Code {
    Code {
        code: "c-1".into(),
        verifier: Some("v-1".into()),
        redirect_uri: "http://us/callback".to_owned(),
        accepted: None,
    }
}

#[tokio::test]
async fn a_code_buys_an_account_with_its_verifier_under_basic_authentication() {
    let fake = Fake::new((200, &[], PAIR)).await;
    let bought = fake.fitbit.exchange(&code()).await.unwrap();
    assert_eq!((bought.account_id.as_str(), bought.scopes.len()), ("26FWFL", 4));
    assert!(bought.tokens.expires_at > Utc::now() + chrono::TimeDelta::hours(7));
    let asked = fake.asked().remove(0);
    assert_eq!(asked.headers["authorization"], "Basic aWQ1Omh1c2g=");
    assert_eq!(
        asked.body,
        "grant_type=authorization_code&client_id=id5&redirect_uri=http%3A%2F%2Fus%2Fcallback&code=c-1&code_verifier=v-1"
    );
}

#[tokio::test]
async fn rotating_refresh_token_only_a_dead_one_asks_the_user_to_connect_again() {
    let refresh = |said| async move {
        let fake = Fake::new(said).await;
        (fake.fitbit.refresh(&"r-0".into()).await, fake.asked().len())
    };
    assert_eq!(refresh((200, &[], PAIR)).await.0.unwrap().refresh.expose_secret(), "r-1");
    assert!(matches!(refresh((400, &[], DEAD)).await, (Err(RefreshError::Invalid(_)), 1)));
    for said in [(500, &[][..], ""), (200, &[], "<html>")] {
        assert!(
            matches!(refresh(said).await, (Err(RefreshError::Failed(Error::Temporary(_))), 1)),
            "{said:?}"
        );
    }
    let dead = Fake::new((400, &[], DEAD)).await.fitbit.exchange(&code()).await.unwrap_err();
    assert!(matches!(dead, ExchangeError::CodeInvalid(_)));
}

#[tokio::test]
async fn no_secret_shows_in_debug() {
    let fake = Fake::new((401, &[], DEAD)).await;
    let error = fake.read(&step("weight", "2026-01-01", "2026-01-31")).await.unwrap_err();
    let shown = format!("{error:?} {error} {:?} {:?}", fake.fitbit, fake.fitbit.config);
    assert!(
        !shown.contains("token-1") && !shown.contains("hush") && !shown.contains("c643a6"),
        "{shown}"
    );
}
