//! Requests as far as they get without a database.

use crate::testing::TestApp;
use serde_json::json;

const STRAVA: &str = "/api/v1/connections/strava/authorize";

#[tokio::test]
async fn only_a_provider_with_an_application_can_be_connected() {
    let app = TestApp::new();
    for path in ["/api/v1/connections/runkeeper/authorize", "/api/v1/connections/Strava/authorize"]
    {
        let answer = app.call("POST", path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (404, "unknown-provider"),
            "{path}"
        );
    }
    let answer = app.call("POST", "/api/v1/connections/withings/authorize").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "provider-not-offered"));
    assert!(answer.json()["detail"].as_str().unwrap().contains("no application at Withings"));
}

#[tokio::test]
async fn a_user_may_go_back_to_listed_addresses_only() {
    let app = TestApp::new();
    for address in [
        "https://evil.example/",
        "https://app.example.org/",
        "https://app.example.org/settings/../admin",
        "https://app.example.org@evil.example/settings",
        "javascript:alert(1)",
        "/settings",
        "",
    ] {
        let answer = app.post(STRAVA, json!({ "returnTo": address }).to_string()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (422, "invalid-request"),
            "{address}"
        );
        assert_eq!(answer.fields()[0].0, "returnTo", "{address}");
    }
    // As far as a request gets without a database: it made sense.
    for body in [
        json!({}),
        json!({"returnTo": null}),
        json!({"returnTo": "https://app.example.org/settings?tab=1"}),
    ] {
        let answer = app.post(STRAVA, body.to_string()).await;
        assert_eq!(answer.problem(), "unavailable", "{body}");
    }
    assert_eq!(app.call("POST", STRAVA).await.problem(), "unavailable", "a body is not needed");
}

#[tokio::test]
async fn what_a_request_asks_for_is_read_strictly() {
    let app = TestApp::new();
    let answer = app.post(STRAVA, json!({"colour": "red"}).to_string()).await;
    assert_eq!(answer.fields()[0].0, "colour");
    let answer = app.post(STRAVA, json!({"userId": "somebody-else"}).to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "another-user"));
    for (method, path) in
        [("GET", "/api/v1/connections/nonsense"), ("DELETE", "/api/v1/connections/%00")]
    {
        let answer = app.call(method, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (404, "unknown-connection"),
            "{path}"
        );
    }
    let id = paceline_shared::ConnectionId::fresh();
    for (method, path, field) in [
        ("GET", "/api/v1/connections?provider=Strava".to_owned(), "provider"),
        ("GET", "/api/v1/connections?disconnected=yes".to_owned(), "disconnected"),
        ("DELETE", format!("/api/v1/connections/{id}?records=burn"), "records"),
        ("GET", format!("/api/v1/connections/{id}?colour=red"), "colour"),
        ("GET", "/api/v1/measurements?type=mood".to_owned(), "type"),
        ("GET", "/api/v1/measurements?after=200&before=100".to_owned(), "after"),
        ("GET", "/api/v1/daily-summaries?kind=dream".to_owned(), "kind"),
        ("GET", "/api/v1/daily-summaries?from=yesterday".to_owned(), "from"),
        ("GET", "/api/v1/daily-summaries?from=2026-05-02&to=2026-05-02".to_owned(), "from"),
        ("GET", "/api/v1/daily-summaries?include=everything".to_owned(), "include"),
    ] {
        let answer = app.call(method, &path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (422, "invalid-request"),
            "{path}"
        );
        assert_eq!(answer.fields()[0].0, field, "{path}");
    }
    let other = "YQ"; // Of activities' list.
    for path in ["/api/v1/measurements?cursor=", "/api/v1/daily-summaries?cursor="] {
        let answer = app.call("GET", &format!("{path}{other}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (400, "invalid-cursor"),
            "{path}"
        );
    }
}
