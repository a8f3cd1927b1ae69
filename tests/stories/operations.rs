//! What operators and machines ask.

use paceline_tests::{client::Client, stack::Stack};
use serde_json::json;

#[tokio::test]
async fn operators_are_told_whether_it_lives_is_ready_and_how_it_does() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 20).await;
    let worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let api = stack.client_with(None);
    assert_eq!(api.get("/healthz").await.body, json!({ "status": "ok" }));
    assert_eq!(api.get("/readyz").await.body, json!({ "status": "ready" }));
    let port = Client::new(format!("http://{}", worker.address()), None);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(port.get(path).await.status, 200, "{path}");
    }
    let metrics = port.get("/metrics").await.text;
    for name in [
        "paceline_jobs_claimed_total",
        "paceline_jobs_finished_total",
        "paceline_records_stored_total",
        "paceline_attempt_seconds",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name} in\n{metrics}");
    }
    let metrics = api.get("/metrics").await;
    assert_eq!(metrics.media_type(), "text/plain");
    assert!(
        metrics.text.lines().any(|line| line.starts_with("paceline_http_requests_total{")),
        "{}",
        metrics.text
    );
}

#[tokio::test]
async fn the_document_describes_every_route_and_every_problem_can_be_read_about() {
    let stack = Stack::new().await;
    let client = stack.client_with(None);
    let document = client.get("/openapi.json").await;
    assert_eq!((document.status.as_u16(), document.media_type()), (200, "application/json"));
    assert!(document.body["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document.body["paths"].as_object().unwrap();
    for path in [
        "/api/v1/syncs",
        "/api/v1/syncs/{id}",
        "/api/v1/syncs/{id}/failures",
        "/api/v1/syncs/{id}/retry",
        "/api/v1/syncs/{id}/cancel",
        "/api/v1/activities",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
    ] {
        assert!(paths.contains_key(path), "{path} in {:?}", paths.keys().collect::<Vec<_>>());
    }
    for name in [
        "unauthenticated",
        "unknown-sync",
        "already-running",
        "idempotency-key-reused",
        "body-too-large",
    ] {
        let answer = client.get(&format!("/problems/{name}")).await;
        assert_eq!(answer.status, 200, "{name}");
    }
}

#[tokio::test]
async fn long_answers_are_compressed_for_those_who_ask() {
    let stack = Stack::new().await;
    let plain = reqwest::Client::builder().no_gzip().no_proxy().build().unwrap();
    let url = format!("http://{}/openapi.json", stack.api.address());
    let answer = plain.get(&url).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let answer = plain.get(&url).header("accept-encoding", "identity").send().await.unwrap();
    assert!(!answer.headers().contains_key("content-encoding"));
}
