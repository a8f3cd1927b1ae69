//! Every way in which a request is refused, with status, type and media type.

use paceline_tests::{
    client::Problem,
    rows,
    stack::{Stack, nobodys_id},
};
use reqwest::Method;
use serde_json::{Value, json};

fn assert_kind(problem: &Problem, status: u16, name: &str, what: &str) {
    assert_eq!(
        (problem.status, problem.kind.as_str()),
        (status, format!("/problems/{name}").as_str()),
        "{what}: {problem:?}"
    );
    assert!(!problem.title.is_empty() && !problem.detail.is_empty(), "{what}: {problem:?}");
    assert!(
        problem.instance.as_ref().is_some_and(|instance| instance.starts_with("urn:uuid:")),
        "{what}"
    );
}

#[tokio::test]
async fn whoever_has_no_valid_token_is_asked_for_one() {
    let stack = Stack::new().await;
    let other = paceline_api::auth::local::Secret::generate().unwrap();
    let forged =
        paceline_api::auth::local::issue(&other, "ann", None, std::time::Duration::from_mins(5))
            .unwrap();
    let good = stack.token("ann", None);
    let cut = good[..good.len() - 3].to_owned();
    for (what, token) in [
        ("none", None),
        ("rubbish", Some("rubbish".to_owned())),
        ("forged", Some(forged)),
        ("cut", Some(cut)),
    ] {
        for path in
            ["/api/v1/syncs", "/api/v1/activities", &format!("/api/v1/syncs/{}", nobodys_id())]
        {
            let answer = stack.client_with(token.clone()).get(path).await;
            assert_kind(&answer.problem(), 401, "unauthenticated", what);
            assert!(
                answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"),
                "{what}"
            );
        }
    }
    let basic = stack.client_with(None);
    let request = basic
        .request(Method::GET, "/api/v1/syncs")
        .header("authorization", format!("Basic {good}"));
    assert_kind(&basic.send(request).await.problem(), 401, "unauthenticated", "another scheme");
}

#[tokio::test]
async fn without_its_flag_an_api_refuses_local_tokens() {
    let stack = Stack::new().await;
    let issuer =
        ["--issuer", "https://issuer.test", "--issuer-jwks-url", "http://127.0.0.1:9/keys"];
    let strict = stack.another_api("strict", &issuer).await;
    let client = paceline_tests::client::Client::new(
        format!("http://{}", strict.address()),
        Some(stack.token("ann", None)),
    );
    assert_kind(
        &client.get("/api/v1/syncs").await.problem(),
        401,
        "unauthenticated",
        "a local token",
    );
    assert_eq!(
        stack.client("ann").get("/api/v1/syncs").await.status,
        200,
        "where it is allowed it works"
    );
}

#[tokio::test]
async fn every_fault_of_a_request_is_named() {
    let stack = Stack::new().await;
    let user = stack.user("ann", 1).await;
    let whole = || json!({ "provider": "strava", "jobType": "activities" });
    let with = |name: &str, value: Value| {
        let mut body = whole();
        body[name] = value;
        body
    };
    let range = |after: Value, before: Value| {
        with("timeRange", json!({ "after": after, "before": before }))
    };
    let options = |name: &str, value: Value| with("options", json!({ name: value }));
    for (field, body) in [
        ("provider", with("provider", json!("polar"))),
        ("provider", json!({ "jobType": "activities" })),
        ("jobType", with("jobType", json!("sleep"))),
        ("jobType", with("provider", json!("google_health"))),
        ("colour", with("colour", json!("red"))),
        ("timeRange", range(json!(1_767_225_600), json!(1_735_689_600))),
        ("timeRange", range(json!(1_735_689_600), json!(1_735_689_600))),
        ("timeRange.after", range(json!(1_735_689_600_000_i64), json!(1_767_225_600_000_i64))),
        ("timeRange.after", range(json!("2025-01-01"), json!(1_767_225_600))),
        ("timeRange.before", range(json!(1_735_689_600), json!(1_767_225_600.5))),
        ("timeRange.after", range(json!(-1), json!(1_767_225_600))),
        ("timeRange.from", with("timeRange", json!({ "from": 1 }))),
        ("options.batchSize", options("batchSize", json!(0))),
        ("options.batchSize", options("batchSize", json!(201))),
        ("options.batchSize", options("batchSize", json!("many"))),
        ("options.maxRetries", options("maxRetries", json!(21))),
        ("options.maxRetries", options("maxRetries", json!(-1))),
        ("options.speed", options("speed", json!(9))),
        ("options.activityTypes", options("activityTypes", json!("Run"))),
        ("options.includeGeocoding", options("includeGeocoding", json!("yes"))),
        ("", json!([])),
        ("", json!(null)),
    ] {
        let problem = user.client.post("/api/v1/syncs", &body).await.problem();
        assert_kind(&problem, 422, "invalid-request", &body.to_string());
        let fields: Vec<&str> = problem.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, [field], "{body}: {problem:?}");
        assert!(!problem.errors[0].message.is_empty());
    }
    assert_eq!(
        rows::number(&stack.db, "select count(*) from paceline.sync_jobs").await,
        0,
        "nothing was started"
    );
}

#[tokio::test]
async fn a_body_that_is_none_is_a_problem_of_its_own() {
    let stack = Stack::new().await;
    let client = stack.client("ann");
    let send = async |media_type: &str, body: String| {
        let request =
            client.request(Method::POST, "/api/v1/syncs").header("content-type", media_type);
        client.send(request.body(body)).await.problem()
    };
    let json = "application/json";
    for broken in ["", "{", "{\"provider\":\"strava\",}", "not json", "{} {}"] {
        assert_kind(&send(json, broken.to_owned()).await, 400, "broken-body", broken);
    }
    assert_kind(&send("text/plain", "{}".to_owned()).await, 415, "unsupported-media-type", "text");
    let huge = format!("{{\"provider\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    assert_kind(&send(json, huge).await, 413, "body-too-large", "2 MiB");
}

#[tokio::test]
async fn another_users_sync_looks_like_one_that_never_was() {
    let stack = Stack::new().await;
    let ann = stack.user("ann", 1).await;
    let foreign = ann.client.start_sync(&json!({})).await;
    let bob = stack.user("bob", 1).await;
    let seen = async |method: Method, path: String| {
        let request = bob.client.request(method, &path);
        let Problem { kind, title, status, detail, sync_id, action, .. } =
            bob.client.send(request).await.problem();
        (kind, title, status, detail, sync_id, action)
    };
    for (method, suffix) in [
        (Method::GET, ""),
        (Method::GET, "?wait=1"),
        (Method::GET, "/failures"),
        (Method::POST, "/cancel"),
        (Method::POST, "/retry"),
    ] {
        let path = |id: &str| format!("/api/v1/syncs/{id}{suffix}");
        let never = seen(method.clone(), path(&nobodys_id().to_string())).await;
        assert_eq!((never.0.as_str(), never.2), ("/problems/unknown-sync", 404), "{suffix}");
        assert_eq!(
            seen(method.clone(), path(&foreign.to_string())).await,
            never,
            "{suffix}: foreign"
        );
        assert_eq!(seen(method.clone(), path("no-id")).await, never, "{suffix}: no id at all");
    }
    assert_eq!(ann.client.sync(foreign).await.status, "INITIATED", "nothing happened to it");
    assert_eq!(bob.client.get("/api/v1/syncs").await.body["items"], json!([]));
}

#[tokio::test]
async fn only_a_service_may_act_for_somebody_else() {
    let stack = Stack::new().await;
    let ann = stack.user("ann", 1).await;
    let bob = stack.client("bob");
    let body = json!({ "provider": "strava", "jobType": "activities", "userId": "ann" });
    assert_kind(
        &bob.post("/api/v1/syncs", &body).await.problem(),
        403,
        "another-user",
        "bob for ann",
    );
    for path in ["/api/v1/syncs?userId=ann", "/api/v1/activities?userId=ann"] {
        assert_kind(&bob.get(path).await.problem(), 403, "another-user", path);
    }
    let service = stack.client_with(Some(stack.token("robot", Some("service_role"))));
    let id = service.post("/api/v1/syncs", &body).await.sync(202).sync_id;
    assert_eq!(ann.client.sync(id).await.status, "INITIATED", "it is ann's");
    let own = json!({ "provider": "strava", "jobType": "activities", "userId": "ann" });
    assert_eq!(
        ann.client.post("/api/v1/syncs", &own).await.problem().sync_id,
        Some(id),
        "her own name is fine"
    );
}

#[tokio::test]
async fn a_connection_that_cannot_be_used_says_what_to_do() {
    let stack = Stack::new().await;
    let nobody = stack.client("nobody");
    let problem = nobody.ask_sync(&json!({})).await.problem();
    assert_kind(&problem, 409, "not-connected", "never connected");
    assert_eq!(problem.action.as_deref(), Some("connect"));
    let ann = stack.user("ann", 1).await;
    for (state, name, action) in [
        ("needs_reauth", "needs-reauth", "reconnect"),
        ("provider_gone", "provider-gone", "connect_another_provider"),
        ("revoked", "not-connected", "connect"),
    ] {
        sqlx::query("update paceline.connections set state = $1 where user_id = $2")
            .bind(state)
            .bind(ann.id.0)
            .execute(&*stack.db)
            .await
            .unwrap();
        let problem = ann.client.ask_sync(&json!({})).await.problem();
        assert_kind(&problem, 409, name, state);
        assert_eq!(problem.action.as_deref(), Some(action));
    }
}

#[tokio::test]
async fn where_there_is_nothing_there_is_still_a_problem() {
    let stack = Stack::new().await;
    let client = stack.client("ann");
    assert_kind(&client.get("/api/v1/nothing").await.problem(), 404, "unknown-route", "no route");
    let wrong = client.send(client.request(Method::DELETE, "/api/v1/syncs")).await;
    assert_kind(&wrong.problem(), 405, "method-not-allowed", "no such method");
    assert!(wrong.headers.contains_key("allow"), "{wrong:?}");
    assert_kind(
        &client.get("/problems/nonsense").await.problem(),
        404,
        "unknown-problem",
        "no problem",
    );
}
