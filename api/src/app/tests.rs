//! Requests through the whole router, as far as they get without a database.

use crate::testing::{BODY_LIMIT, TestApp};
use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use paceline_shared::JobId;
use serde_json::{Value, json};

fn new_sync(changes: &Value) -> String {
    let mut body = json!({"provider": "strava", "jobType": "activities"});
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    body.to_string()
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_problems() {
    let app = TestApp::new();
    for path in ["/nowhere", "/api/v1/sync", "/api/v1/syncs/", "/api/v2/syncs", "//"] {
        let answer = app.call("GET", path).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::NOT_FOUND, "unknown-route"),
            "{path}"
        );
    }
    let answer = app.call("DELETE", "/api/v1/syncs").await;
    assert_eq!(answer.problem(), "method-not-allowed");
    let allowed = answer.headers[header::ALLOW].to_str().unwrap();
    assert!(["GET", "POST"].iter().all(|method| allowed.contains(method)), "{allowed}");
}

#[tokio::test]
async fn every_route_of_a_user_asks_for_a_token() {
    let app = TestApp::new();
    let id = JobId::fresh();
    for (method, path) in [
        ("POST", "/api/v1/syncs".to_owned()),
        ("GET", "/api/v1/syncs".to_owned()),
        ("GET", format!("/api/v1/syncs/{id}")),
        ("GET", "/api/v1/syncs/nonsense".to_owned()),
        ("GET", format!("/api/v1/syncs/{id}/failures")),
        ("POST", format!("/api/v1/syncs/{id}/retry")),
        ("POST", format!("/api/v1/syncs/{id}/cancel")),
        ("POST", "/api/v1/backfills".to_owned()),
        ("GET", "/api/v1/activities".to_owned()),
        ("GET", "/api/v1/measurements".to_owned()),
        ("GET", "/api/v1/daily-summaries".to_owned()),
        ("POST", "/api/v1/connections/strava/authorize".to_owned()),
        ("GET", "/api/v1/connections".to_owned()),
        ("GET", format!("/api/v1/connections/{id}")),
        ("DELETE", format!("/api/v1/connections/{id}")),
    ] {
        let request = Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
        let answer = app.send(request).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (StatusCode::UNAUTHORIZED, "unauthenticated"),
            "{method} {path}"
        );
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"paceline\"");
    }
}

#[tokio::test]
async fn a_token_that_does_not_count_is_told_so() {
    let app = TestApp::new();
    for value in ["Bearer nonsense", "Basic dXNlcjpwYXNz", "Bearer", "Bearer a.b.c", "\u{e9}"] {
        let request = Request::get("/api/v1/syncs").header(header::AUTHORIZATION, value);
        let answer = app.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.problem(), "unauthenticated");
        let challenge = answer.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    let twice = Request::get("/api/v1/syncs")
        .header(header::AUTHORIZATION, app.bearer(None))
        .header(header::AUTHORIZATION, app.bearer(None));
    assert_eq!(app.send(twice.body(Body::empty()).unwrap()).await.problem(), "unauthenticated");
}

#[tokio::test]
async fn a_request_that_makes_no_sense_names_the_field_at_fault() {
    let app = TestApp::new();
    for (changes, field, message) in [
        (json!({"provider": "runkeeper"}), "provider", "`runkeeper`"),
        (json!({"provider": null}), "provider", "must be text"),
        (json!({"jobType": "dreams"}), "jobType", "`dreams`"),
        (json!({"jobType": "health"}), "jobType", "Strava has no health"),
        (json!({"colour": "red"}), "colour", "no field that is known"),
        (json!({"timeRange": {"after": 200, "before": 100}}), "timeRange", "earlier"),
        (json!({"timeRange": {"after": 1_735_689_600_000_i64}}), "timeRange.after", "milliseconds"),
        (json!({"timeRange": {"before": -5}}), "timeRange.before", "must not be negative"),
        (
            json!({"timeRange": {"after": "2025-01-01T00:00:00Z"}}),
            "timeRange.after",
            "expected Unix seconds",
        ),
        (json!({"timeRange": {"since": 5}}), "timeRange.since", "no field that is known"),
        (json!({"timeRange": [1, 2]}), "timeRange", "a list came, expected an object"),
        (
            json!({"options": {"batchSize": 0}}),
            "options.batchSize",
            "must be from 1 to 200, and is 0",
        ),
        (
            json!({"options": {"batchSize": 201}}),
            "options.batchSize",
            "must be from 1 to 200, and is 201",
        ),
        (
            json!({"options": {"maxRetries": 21}}),
            "options.maxRetries",
            "must be from 0 to 20, and is 21",
        ),
        (
            json!({"options": {"maxRetries": -1}}),
            "options.maxRetries",
            "must be from 0 to 20, and is -1",
        ),
        (json!({"options": {"batchsize": 5}}), "options.batchsize", "no field that is known"),
        (
            json!({"options": {"skipWeatherEnrichment": "yes"}}),
            "options.skipWeatherEnrichment",
            "expected true or false",
        ),
        (
            json!({"options": {"activityTypes": ["Run", 5]}}),
            "options.activityTypes[1]",
            "expected a string",
        ),
        (json!({"options": {"activityTypes": [""]}}), "options.activityTypes[0]", "must be 1 to"),
    ] {
        let answer = app.post("/api/v1/syncs", new_sync(&changes)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (422, "invalid-request"),
            "{changes}"
        );
        let fields = answer.fields();
        assert_eq!(fields[0].0, field, "{changes}: {fields:?}");
        assert!(fields[0].1.contains(message), "{changes}: {fields:?}");
    }
    let answer = app.post("/api/v1/syncs", "{}").await;
    assert_eq!(answer.fields(), [("provider".to_owned(), "is missing".to_owned())]);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_a_problem_of_its_own() {
    let app = TestApp::new();
    assert_eq!(app.post("/api/v1/syncs", "{\"provider\"").await.problem(), "broken-body");
    assert_eq!(app.post("/api/v1/syncs", "").await.problem(), "broken-body");
    let large = new_sync(&json!({"userId": "x".repeat(BODY_LIMIT)}));
    let answer = app.post("/api/v1/syncs", large).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (413, "body-too-large"));
    let form = Request::post("/api/v1/syncs")
        .header(header::AUTHORIZATION, app.bearer(None))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let answer = app.send(form.body("provider=strava".into()).unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (415, "unsupported-media-type")
    );
}

#[tokio::test]
async fn a_user_may_not_act_for_another_and_a_malformed_id_is_nobodys() {
    let app = TestApp::new();
    let answer = app.post("/api/v1/syncs", new_sync(&json!({"userId": "somebody-else"}))).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "another-user"));
    for path in ["/api/v1/syncs?userId=somebody-else", "/api/v1/activities?userId=x"] {
        assert_eq!(app.call("GET", path).await.problem(), "another-user", "{path}");
    }
    for id in ["nonsense", "123", "%ff", "%00", "019a9c6e-7b0c-7d4e-9d52-0a6a1c0e8f1"] {
        for (method, path) in [
            ("GET", format!("/api/v1/syncs/{id}")),
            ("GET", format!("/api/v1/syncs/{id}/failures")),
            ("POST", format!("/api/v1/syncs/{id}/retry")),
            ("POST", format!("/api/v1/syncs/{id}/cancel")),
        ] {
            let answer = app.call(method, &path).await;
            assert_eq!(
                (answer.status.as_u16(), answer.problem().as_str()),
                (404, "unknown-sync"),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn parameters_are_read_strictly() {
    let app = TestApp::new();
    let id = JobId::fresh();
    for (path, field) in [
        ("/api/v1/syncs?limit=0".to_owned(), "limit"),
        ("/api/v1/syncs?limit=201".to_owned(), "limit"),
        ("/api/v1/syncs?limit=many".to_owned(), "limit"),
        ("/api/v1/syncs?limit=".to_owned(), "limit"),
        ("/api/v1/syncs?status=completed".to_owned(), "status"),
        ("/api/v1/syncs?provider=Strava".to_owned(), "provider"),
        ("/api/v1/syncs?provider=strava&provider=fitbit".to_owned(), "provider"),
        ("/api/v1/syncs?colour=red".to_owned(), "colour"),
        (format!("/api/v1/syncs/{id}?wait=26"), "wait"),
        (format!("/api/v1/syncs/{id}?wait=-1"), "wait"),
        ("/api/v1/activities?after=1735689600000".to_owned(), "after"),
        ("/api/v1/activities?after=yesterday".to_owned(), "after"),
        ("/api/v1/activities?after=200&before=100".to_owned(), "after"),
        ("/api/v1/activities?include=everything".to_owned(), "include"),
        ("/api/v1/activities?sportType=a%00b".to_owned(), "sportType"),
    ] {
        let answer = app.call("GET", &path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (422, "invalid-request"),
            "{path}"
        );
        assert_eq!(answer.fields()[0].0, field, "{path}");
        assert!(!answer.fields()[0].1.contains("i64"), "{path}: {:?}", answer.fields());
    }
    for path in ["/api/v1/syncs?cursor=nonsense", "/api/v1/activities?cursor="] {
        let answer = app.call("GET", path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (400, "invalid-cursor"),
            "{path}"
        );
    }
    let key = Request::post("/api/v1/syncs")
        .header(header::AUTHORIZATION, app.bearer(None))
        .header(header::CONTENT_TYPE, "application/json")
        .header("idempotency-key", "");
    let answer = app.send(key.body(new_sync(&json!({})).into()).unwrap()).await;
    assert_eq!(answer.fields()[0].0, "Idempotency-Key");
}

#[tokio::test]
async fn operations_need_no_token() {
    let app = TestApp::new();
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(app.send(get("/healthz")).await.json(), json!({"status": "ok"}));
    let metrics = app.send(get("/metrics")).await;
    assert_eq!(metrics.bytes, b"some_metric 1\n");
    assert!(metrics.headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(app.send(get("/")).await.json()["links"]["openapi"], "/openapi.json");
    let explained = app.send(get("/problems/already-running")).await.json();
    assert_eq!(
        (&explained["status"], &explained["type"]),
        (&json!(409), &json!("/problems/already-running"))
    );
    assert_eq!(app.send(get("/problems/nonsense")).await.problem(), "unknown-problem");
}

#[tokio::test]
async fn without_a_database_the_process_is_up_and_not_ready() {
    let app = TestApp::new();
    let answer = app.call("GET", "/readyz").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "not-ready"));
    let answer = app.post("/api/v1/syncs", new_sync(&json!({}))).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "unavailable"));
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
}

#[tokio::test]
async fn json_is_compressed_when_asked_for_and_every_answer_has_its_request_id() {
    let app = TestApp::new();
    let ask = Request::get("/openapi.json")
        .header(header::ACCEPT_ENCODING, "gzip")
        .header("x-request-id", "019a9c6e-7b0c-7d4e-9d52-0a6a1c0e8f11");
    let packed = app.send(ask.body(Body::empty()).unwrap()).await;
    assert_eq!(packed.headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(packed.headers["x-request-id"], "019a9c6e-7b0c-7d4e-9d52-0a6a1c0e8f11");
    let plain = app.call("GET", "/openapi.json").await;
    assert!(plain.headers.get(header::CONTENT_ENCODING).is_none());
    assert!(packed.bytes.len() * 2 < plain.bytes.len());
    let odd = Request::get("/healthz").header("x-request-id", "a\"b").body(Body::empty()).unwrap();
    assert_ne!(app.send(odd).await.headers["x-request-id"], "a\"b");
}
