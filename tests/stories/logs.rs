//! What is written to the log: who did what, one trace from the request to the last line of its worker,
//! and never a secret.

use paceline_simulator::{Fault, FaultRule};
use paceline_tests::{
    client::Client,
    process::Process,
    stack::{SOON, Stack, User, WorkerSetup},
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const JSON: &[&str] = &["--allow-local-issuer", "--log-format", "json"];

fn json_lines() -> Vec<String> {
    vec!["--log-format".to_owned(), "json".to_owned()]
}

/// The log's lines, each a JSON object.
fn lines(process: &Process) -> Vec<Value> {
    let log = process.log();
    log.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect()
}

/// A field of an event, or of the spans around it.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    let spans = line["spans"].as_array().into_iter().flatten();
    std::iter::once(&line["fields"]).chain(spans).find_map(|fields| fields.get(name))
}

fn is(line: &Value, name: &str, value: &(impl ToString + ?Sized)) -> bool {
    field(line, name).is_some_and(|is| *is == value.to_string())
}

/// A user whose requests go to this process, each with its own id.
fn at(api: &Process, stack: &Stack, subject: &str) -> Client {
    Client::new(format!("http://{}", api.address()), Some(stack.token(subject, None)))
}

async fn post(client: &Client, path: &str, body: &Value, id: Uuid) -> u16 {
    let request = client.request(Method::POST, path).header("x-request-id", id.to_string());
    let answer = client.send(request.json(body)).await;
    assert_eq!(answer.headers["x-request-id"], id.to_string());
    answer.status.as_u16()
}

#[tokio::test]
async fn one_request_is_followed_through_the_logs_of_api_and_worker() {
    let mut stack = Stack::new().await;
    let api = stack.another_api("api-json", JSON).await;
    let setup = WorkerSetup { options: json_lines(), retry_base: SOON, ..WorkerSetup::default() };
    let user = stack.user("ann", 30).await;
    let other = stack.user("bea", 30).await;
    // The first attempt fails, so that there is more than one to follow.
    let fails = FaultRule {
        athlete: Some(user.athlete),
        count: Some(5),
        ..FaultRule::new(Fault::Status { code: 500, html: false, day: false })
    };
    stack.world().add_fault(fails).unwrap();
    let (submitted, cancelled, retried) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let body = json!({ "provider": "strava", "jobType": "activities", "options": {} });
    let client = at(&api, &stack, "ann");
    assert_eq!(post(&client, "/api/v1/syncs", &body, submitted).await, 202);
    let id: Uuid = sqlx::query_scalar("select id from paceline.sync_jobs")
        .fetch_one(&*stack.db)
        .await
        .unwrap();
    let worker = stack.worker_with(setup).await;
    other.sync_all(&json!({})).await;
    client.wait_parked(id, SOON).await;
    assert_eq!(
        post(&client, &format!("/api/v1/syncs/{id}/cancel"), &Value::Null, cancelled).await,
        200
    );
    assert_eq!(
        post(&client, &format!("/api/v1/syncs/{id}/retry"), &Value::Null, retried).await,
        202
    );
    client.wait_done(id, SOON).await;

    let said = lines(&api);
    for (action, trace) in [("submit", submitted), ("cancel", cancelled), ("retry", retried)] {
        let acts: Vec<&Value> = said.iter().filter(|line| is(line, "action", &action)).collect();
        let [act] = acts.as_slice() else { panic!("{action}: {acts:?}") };
        assert!(is(act, "sync.id", &id) && is(act, "trace.id", &trace), "{act}");
        assert!(
            is(act, "user.id", &user.id)
                && is(act, "by", &user.id)
                && is(act, "provider", "strava"),
            "{act}"
        );
    }

    let done = lines(&worker);
    let of_job = |line: &&Value| is(line, "sync.id", &id);
    let of_other: Vec<&Value> =
        done.iter().filter(|line| field(line, "attempt").is_some() && !of_job(line)).collect();
    assert!(!of_other.is_empty() && !of_other.iter().any(|line| is(line, "trace.id", &submitted)));
    let of_job: Vec<&Value> = done.iter().filter(of_job).collect();
    let (first, second): (Vec<&Value>, Vec<&Value>) =
        of_job.iter().copied().partition(|line| is(line, "trace.id", &submitted));
    assert!(first.iter().any(|line| line["level"] == "WARN"), "the failed attempt: {first:?}");
    assert!(second.iter().any(|line| line["fields"]["message"] == "completed"), "{second:?}");
    for line in &second {
        assert!(is(line, "trace.id", &retried), "whoever asked last: {line}");
    }
    for line in of_job {
        assert!(is(line, "provider", "strava"), "{line}");
        for name in ["attempt", "worker"] {
            assert!(field(line, name).is_some(), "{name} in {line}");
        }
    }
}

async fn troubled(stack: &Stack) -> Vec<(User, Uuid)> {
    let mut syncs = Vec::new();
    for n in 0..4 {
        let user = stack.user(&format!("user-{n}"), 250).await;
        if n > 0 {
            stack.world().expire_access_tokens(user.athlete, 0).unwrap();
        }
        let id = user.client.start_sync(&json!({ "maxRetries": 3 })).await;
        syncs.push((user, id));
    }
    syncs
}

#[tokio::test]
async fn no_token_no_key_and_no_body_is_ever_logged_whatever_goes_wrong() {
    let mut stack = Stack::new().await;
    let syncs = troubled(&stack).await;
    let mut secrets = stack.secrets();
    // One whose consent has ended, and a world in which every fifth answer is none.
    stack.world().revoke(syncs[3].0.athlete).unwrap();
    stack.world().make_flaky(0.2).unwrap();
    let debug = ["--log", "debug"].map(str::to_owned).to_vec();
    let api = stack.another_api("api-debug", &["--allow-local-issuer", "--log", "debug"]).await;
    let talkative = WorkerSetup { options: debug, http_tries: 2, ..WorkerSetup::default() };
    let workers = [stack.worker_with(talkative.clone()).await, stack.worker_with(talkative).await];
    for (n, (user, id)) in syncs.iter().enumerate() {
        let bearer = stack.token(&format!("user-{n}"), None);
        let client = Client::new(format!("http://{}", api.address()), Some(bearer.clone()));
        client.wait_over(*id, SOON * 2).await;
        secrets.extend([bearer, user.client.token().unwrap().to_owned()]);
    }
    secrets.extend(stack.secrets());
    assert!(secrets.len() > 20, "{}", secrets.len());
    // A name from a body: every activity has one.
    let bodies = ["\"athlete\":", "start_date_local", "access_token", "summary_polyline"];
    for process in workers.iter().chain([&api, &stack.api]) {
        let log = process.log();
        for secret in secrets.iter().map(String::as_str).chain(bodies) {
            assert!(
                secret.len() > 8 && !log.contains(secret),
                "a secret is in a log: {}",
                &secret[..8]
            );
        }
    }
    let log = workers.map(|worker| worker.log()).concat();
    assert!(log.contains("a try failed") && log.contains("completed"), "it was talkative");
}
