//! Who may do what, over every route that staff have.

use crate::{
    auth::Role,
    routes,
    testing::{Answered, TestApp},
};
use axum::{
    body::Body,
    http::{Request, header},
};
use futures::future::join_all;
use serde_json::json;
use std::collections::BTreeSet;

const ID: &str = "019a9c6e-7b0c-7d4e-9d52-0a6a1c0e8f11";

/// Every route with the least role that it lets in and a body that makes sense there.
const MATRIX: [(&str, &str, Role, &str); 22] = [
    ("GET", "/api/v1/admin/jobs", Role::Viewer, ""),
    ("GET", "/api/v1/admin/jobs/counts", Role::Viewer, ""),
    ("GET", "/api/v1/admin/jobs/{id}", Role::Viewer, ""),
    ("GET", "/api/v1/admin/jobs/{id}/why", Role::Viewer, ""),
    ("GET", "/api/v1/admin/operations", Role::Viewer, ""),
    ("GET", "/api/v1/admin/operations/{id}", Role::Viewer, ""),
    ("GET", "/api/v1/admin/workers", Role::Viewer, ""),
    ("GET", "/api/v1/admin/providers", Role::Viewer, ""),
    ("GET", "/api/v1/admin/failures", Role::Viewer, ""),
    ("GET", "/api/v1/admin/audit", Role::Viewer, ""),
    ("POST", "/api/v1/admin/jobs/{id}/retry", Role::Operator, "{}"),
    ("POST", "/api/v1/admin/jobs/{id}/cancel", Role::Operator, "{}"),
    ("PATCH", "/api/v1/admin/jobs/{id}", Role::Operator, r#"{"class": "webhook"}"#),
    ("POST", "/api/v1/admin/workers/{id}/drain", Role::Operator, "{}"),
    (
        "POST",
        "/api/v1/admin/providers/{provider}/pause",
        Role::Operator,
        r#"{"reason": "they asked us to"}"#,
    ),
    ("POST", "/api/v1/admin/providers/{provider}/resume", Role::Operator, ""),
    ("POST", "/api/v1/admin/providers/{provider}/unblock", Role::Operator, ""),
    ("POST", "/api/v1/admin/providers/{provider}/close-breaker", Role::Operator, ""),
    ("POST", "/api/v1/admin/providers/{provider}/limit", Role::Admin, r#"{"maxRunning": 3}"#),
    (
        "POST",
        "/api/v1/admin/operations",
        Role::Admin,
        r#"{"act": "retry", "filter": {"state": "failed"}}"#,
    ),
    (
        "POST",
        "/api/v1/admin/operations/preview",
        Role::Admin,
        r#"{"act": "cancel", "filter": {"provider": "strava"}}"#,
    ),
    ("POST", "/api/v1/admin/operations/{id}/stop", Role::Admin, ""),
];

async fn call(
    app: &TestApp,
    bearer: String,
    (method, path): (&str, &str),
    body: &'static str,
) -> Answered {
    let path = path.replace("{id}", ID).replace("{provider}", "strava");
    let mut request =
        Request::builder().method(method).uri(path).header(header::AUTHORIZATION, bearer);
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    app.send(request.body(Body::from(body)).unwrap()).await
}

#[test]
fn the_matrix_has_every_route_of_staff_and_no_other() {
    let (_router, document) = routes::all().split_for_parts();
    let document = serde_json::to_value(document).unwrap();
    let registered: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(path, _)| path.starts_with("/api/v1/admin"))
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
        })
        .collect();
    let listed: BTreeSet<(String, String)> = MATRIX
        .iter()
        .map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(listed, registered);
    assert_eq!(listed.len(), MATRIX.len(), "each stands once");
}

#[tokio::test]
async fn each_route_lets_in_whoever_has_its_role_or_a_stronger_one_and_nobody_else() {
    let app = TestApp::new();
    let app = &app;
    let cases = MATRIX.into_iter().flat_map(|row| {
        [None, Some(Role::Viewer), Some(Role::Operator), Some(Role::Admin)].map(|role| (row, role))
    });
    // Those that are let in wait for a database that is not there: all at once.
    join_all(cases.map(|((method, path, needed, body), role)| async move {
        let answer = call(app, app.staff(role), (method, path), body).await;
        let what = format!("{method} {path} as {role:?}: {:?}", answer.json());
        if role >= Some(needed) {
            // As far as one gets without a database.
            assert_eq!(answer.problem(), "unavailable", "{what}");
        } else {
            let refused = (answer.status.as_u16(), answer.problem());
            assert_eq!(refused, (403, "role-needed".to_owned()), "{what}");
            let detail = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains(needed.as_str()), "{what}");
        }
    }))
    .await;
}

#[tokio::test]
async fn a_service_is_no_staff() {
    let app = TestApp::new();
    for (method, path, _, body) in MATRIX {
        let answer = call(&app, app.bearer(Some("service_role")), (method, path), body).await;
        assert_eq!(answer.problem(), "role-needed", "{method} {path}");
    }
}

#[tokio::test]
async fn what_makes_no_sense_names_the_field_at_fault() {
    let app = TestApp::new();
    let get = |query: &str| format!("/api/v1/admin/jobs?{query}");
    for (path, field) in [
        (get("state=done"), "state"),
        (get("provider=polar"), "provider"),
        (get("errorType=bad_luck"), "errorType"),
        (get("olderThan=yesterday"), "olderThan"),
        (get("newerThan=2h&olderThan=2h"), "olderThan"),
        (get("newerThan=5"), "newerThan"),
        (get("text=ab"), "text"),
        (get("fingerprint=%00"), "fingerprint"),
        (get("limit=201"), "limit"),
        (get("colour=red"), "colour"),
        ("/api/v1/admin/failures?window=0h".to_owned(), "window"),
        ("/api/v1/admin/audit?act=a%00b".to_owned(), "act"),
    ] {
        let answer = call(&app, app.staff(Some(Role::Viewer)), ("GET", &path), "").await;
        assert_eq!(answer.problem(), "invalid-request", "{path}");
        assert_eq!(answer.fields()[0].0, field, "{path}");
    }
    let start = "/api/v1/admin/operations";
    for (path, body, field) in [
        (start, json!({"act": "retry", "filter": {}}), "filter"),
        (start, json!({"act": "retry"}), "filter"),
        (start, json!({"act": "delete", "filter": {"state": "failed"}}), "act"),
        (start, json!({"act": "retry", "filter": {"state": "completed"}}), "filter.state"),
        (start, json!({"act": "cancel", "filter": {"state": "failed"}}), "filter.state"),
        (start, json!({"act": "retry", "filter": {"text": "a"}}), "filter.text"),
        (start, json!({"act": "retry", "filter": {"olderThan": "soon"}}), "filter.olderThan"),
        (start, json!({"act": "retry", "filter": {"state": "failed"}, "expect": -1}), "expect"),
        (
            start,
            json!({"act": "retry", "filter": {"state": "failed"}, "reason": "a\u{7}b"}),
            "reason",
        ),
        ("/api/v1/admin/providers/strava/limit", json!({"maxRunning": 0}), "maxRunning"),
        ("/api/v1/admin/providers/strava/limit", json!({}), "maxRunning"),
        ("/api/v1/admin/providers/strava/pause", json!({}), "reason"),
        ("/api/v1/admin/providers/all/pause", json!({"reason": "  "}), "reason"),
        (
            "/api/v1/admin/providers/all/pause",
            json!({"reason": "x", "until": "2020-01-01T00:00:00Z"}),
            "until",
        ),
        (
            "/api/v1/admin/providers/all/pause",
            json!({"reason": "x", "until": "2120-01-01T00:00:00Z", "for": "1h"}),
            "for",
        ),
        (&format!("/api/v1/admin/jobs/{ID}/retry"), json!({"from": "middle"}), "from"),
    ] {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, app.staff(Some(Role::Admin)))
            .header(header::CONTENT_TYPE, "application/json");
        let answer = app.send(request.body(body.to_string().into()).unwrap()).await;
        assert_eq!(answer.problem(), "invalid-request", "{path} {body}");
        assert_eq!(answer.fields()[0].0, field, "{path} {body}");
    }
}

#[tokio::test]
async fn what_names_nothing_is_told_so() {
    let app = TestApp::new();
    for (method, path, kind) in [
        ("GET", "/api/v1/admin/jobs/nonsense", "unknown-job"),
        ("GET", "/api/v1/admin/jobs/nonsense/why", "unknown-job"),
        ("POST", "/api/v1/admin/workers/nonsense/drain", "unknown-worker"),
        ("GET", "/api/v1/admin/operations/nonsense", "unknown-operation"),
        ("POST", "/api/v1/admin/providers/polar/resume", "unknown-provider"),
        ("POST", "/api/v1/admin/providers/all/limit", "unknown-provider"),
        ("POST", "/api/v1/admin/providers/all/unblock", "unknown-provider"),
        ("POST", "/api/v1/admin/providers/all/close-breaker", "unknown-provider"),
        ("GET", "/api/v1/admin/jobs?cursor=nonsense", "invalid-cursor"),
    ] {
        let answer = call(&app, app.staff(Some(Role::Admin)), (method, path), "").await;
        assert_eq!(answer.problem(), kind, "{method} {path}");
    }
}
