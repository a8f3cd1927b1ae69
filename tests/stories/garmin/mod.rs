//! Garmin, through the front door: all of an account's history arrives as it is, though it must be asked for first
//! and nothing tells when it is there; then what is new, late or edited; and nothing of it is lost when Garmin fails,
//! asks to wait, or withholds something.

mod truth;

use paceline_shared::{ConnectionId, db::users};
use paceline_simulator::{Config, GarminSettings};
use paceline_tests::{
    client::{Client, Sync},
    process::Process,
    stack::{SOON, Stack, WorkerSetup},
    wait::eventually,
};
use paceline_worker::providers::{
    Code,
    garmin::{Garmin, GarminConfig, SCOPES},
    http::{Http, HttpOptions},
};
use serde_json::{Value, json};
use uuid::Uuid;

const SECRET: &str = "a-secret-of-the-application";

/// A user of ours with an account at Garmin.
struct Person {
    client: Client,
    id: Uuid,
    connection: ConnectionId,
    /// Garmin's id.
    account: String,
    /// The simulator's own interface.
    world: String,
    http: reqwest::Client,
}

impl Person {
    /// An account with a year behind it, just connected.
    async fn new(stack: &Stack, subject: &str, permissions: &[&str]) -> Self {
        let base = stack.sim.base_url();
        let http = reqwest::Client::builder().build().unwrap();
        let world = format!("{base}/_sim");
        let drawn = json!({ "activities": 60, "years": 1 });
        let user = ask(&http, "POST", &format!("{world}/garmin/users"), &drawn).await;
        let account = user["id"].as_str().unwrap().to_owned();
        let url = format!("{world}/garmin/users/{account}/code");
        let code = ask(&http, "POST", &url, &json!({ "permissions": permissions })).await;
        let config = GarminConfig {
            api_base: format!("{base}/garmin/wellness-api/rest"),
            auth_base: format!("{base}/garmin"),
            ..GarminConfig::new("1234", SECRET.into())
        };
        let calls = Http::new("garmin", HttpOptions::default()).unwrap();
        let code = Code {
            code: code["code"].as_str().unwrap().into(),
            verifier: Some("any-will-do-where-no-challenge-was-sent-along".into()),
            redirect_uri: "https://app.example.org/callback".to_owned(),
            accepted: None,
        };
        let id = users::of_subject(&*stack.db, subject).await.unwrap();
        let connection = stack.link(id, &Garmin::new(config, calls), &code).await;
        Self { client: stack.client(subject), id: id.0, connection, account, world, http }
    }

    async fn start(&self, job_type: &str, options: &Value) -> Uuid {
        let body = json!({ "provider": "garmin", "jobType": job_type, "options": options });
        self.client.post("/api/v1/syncs", &body).await.sync(202).sync_id
    }

    async fn sync(&self, job_type: &str, options: &Value) -> Sync {
        let id = self.start(job_type, options).await;
        self.client.wait_done(id, SOON).await
    }

    /// What is there, told by the simulator itself.
    async fn of_world(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}/garmin/users/{}/{path}", self.world, self.account);
        ask(&self.http, method, &url, body).await
    }

    /// The newest version of every summary of a type.
    async fn all(&self, kind: &str) -> Vec<Value> {
        let (mut records, mut cursor) = (Vec::new(), json!(0));
        while !cursor.is_null() {
            let page = self.of_world("GET", &format!("{kind}?cursor={cursor}"), &Value::Null).await;
            records.extend(page["records"].as_array().unwrap().iter().cloned());
            cursor = page["next"].clone();
        }
        records
    }

    /// The paths of its calls so far, below the API's base.
    async fn calls(&self) -> Vec<String> {
        let url = format!("{}/log?user={}&limit=10000", self.world, self.account);
        let log = ask(&self.http, "GET", &url, &Value::Null).await;
        let paths = log["entries"].as_array().unwrap().iter().map(|entry| entry["path"].as_str());
        let below =
            |path: Option<&str>| path?.split_once("/rest/").map(|(_, path)| path.to_owned());
        paths.filter_map(below).collect()
    }

    async fn fault(&self, rule: &Value) {
        ask(&self.http, "POST", &format!("{}/faults", self.world), rule).await;
    }

    async fn settings(&self, settings: &Value) {
        ask(&self.http, "PUT", &format!("{}/garmin/settings", self.world), settings).await;
    }
}

async fn ask(http: &reqwest::Client, method: &str, url: &str, body: &Value) -> Value {
    let request = http.request(method.parse().unwrap(), url);
    let request = if body.is_null() { request } else { request.json(body) };
    let answer = request.send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{method} {url}: {status} {text}");
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// A world in which history that was asked for is there at once.
async fn stack() -> Stack {
    let garmin = GarminSettings {
        backfill_delay_s: 0,
        backfill_days_per_minute: 1_000_000,
        ..GarminSettings::default()
    };
    Stack::in_world(Config { garmin, ..Config::default() }).await
}

async fn worker(stack: &mut Stack, options: &[&str]) -> Process {
    let base = stack.sim.base_url();
    let (api, auth) = (format!("{base}/garmin/wellness-api/rest"), format!("{base}/garmin"));
    let usual = [
        "--garmin-client-id",
        "1234",
        "--garmin-client-secret",
        SECRET,
        "--garmin-api-url",
        &api,
        "--garmin-auth-url",
        &auth,
    ];
    let missing = |option: &'static str, value: &'static str| {
        if options.contains(&option) { vec![] } else { vec![option, value] }
    };
    let more =
        [missing("--garmin-limits", "all:1000000/1m"), missing("--garmin-history-pause", "1s")];
    let options = usual
        .iter()
        .chain(more.iter().flatten())
        .chain(options)
        .map(|&part| part.to_owned())
        .collect();
    stack.worker_with(WorkerSetup { options, ..WorkerSetup::default() }).await
}

#[tokio::test]
async fn a_first_sync_stores_every_list_exactly_as_garmin_holds_it() {
    let mut stack = stack().await;
    let ann = Person::new(&stack, "ann", &SCOPES).await;
    // Made one after the other, the two share the ids of their days and metrics.
    let ben = Person::new(&stack, "ben", &SCOPES).await;
    let _worker = worker(&mut stack, &[]).await;
    let (done, _) = (ann.sync("all", &json!({})).await, ben.sync("all", &json!({})).await);
    let tally = truth::compare(&stack.db, &ann).await;
    assert!(tally.activities >= 55 && tally.days > 300 && tally.nights > 300, "{tally:?}");
    assert!(tally.values > 300 && tally.moves > 50, "{tally:?}");
    truth::compare(&stack.db, &ben).await;
    assert_eq!(done.results.unwrap().store.failed, 0, "every record can be read");
    let calls = ann.calls().await;
    let asked =
        |kind: &str| calls.iter().filter(|path| *path == &format!("backfill/{kind}")).count();
    assert_eq!((asked("activities"), asked("sleeps")), (61, 9), "all the history there can be");
}

#[tokio::test]
async fn the_pause_for_history_shows_and_costs_no_attempt() {
    let mut stack = stack().await;
    let ann = Person::new(&stack, "ann", &SCOPES).await;
    ann.settings(&json!({ "backfill_delay_s": 2 })).await;
    let _worker = worker(&mut stack, &["--garmin-history-pause", "4s"]).await;
    let id = ann.start("health", &json!({})).await;
    let waiting = eventually("it waits", SOON, async || ann.client.sync(id).await.waiting).await;
    assert_eq!(waiting.reason, "preparing");
    assert!(waiting.message.contains("older records"), "{}", waiting.message);
    let done = ann.client.wait_done(id, SOON).await;
    assert_eq!(done.attempt, 1);
    truth::compare_days(&stack.db, &ann).await;
}

#[tokio::test]
async fn a_second_sync_reads_only_the_uploads_since_the_first() {
    let mut stack = stack().await;
    let ann = Person::new(&stack, "ann", &SCOPES).await;
    let _worker = worker(&mut stack, &[]).await;
    ann.sync("all", &json!({ "onlyNew": true })).await;
    let before = ann.calls().await.len();
    let done = ann.sync("all", &json!({ "onlyNew": true })).await;
    let store = done.results.unwrap().store;
    assert_eq!((store.saved, store.updated, store.failed), (0, 0, 0));
    let calls = ann.calls().await.split_off(before);
    assert_eq!(calls.len(), 8, "a window of each type: {calls:?}");
    truth::compare(&stack.db, &ann).await;
}

#[tokio::test]
async fn late_uploads_and_edits_are_found_and_a_shorter_day_replaces_no_longer_one() {
    let mut stack = stack().await;
    let ann = Person::new(&stack, "ann", &SCOPES).await;
    let _worker = worker(&mut stack, &[]).await;
    ann.sync("all", &json!({ "onlyNew": true })).await;

    // Long ago, and told only now.
    let start = chrono::Utc::now() - chrono::TimeDelta::days(300);
    for kind in ["activities", "bodyComps", "bloodPressures"] {
        ann.of_world("POST", kind, &json!({ "start": start })).await;
    }
    let edit = async |kind: &str, nth: usize, fields: Value| {
        let record = ann.all(kind).await[nth].clone();
        let path = format!("{kind}/{}", record["summaryId"].as_str().unwrap());
        ann.of_world("PATCH", &path, &fields).await;
        record
    };
    edit("activities", 3, json!({ "activityName": "Again", "distanceInMeters": 4242.5 })).await;
    edit("bodyComps", 2, json!({ "weightInGrams": 70_001 })).await;
    let longer = ann.all("dailies").await[5]["durationInSeconds"].as_i64().unwrap() + 60;
    edit("dailies", 5, json!({ "steps": 11, "durationInSeconds": longer })).await;
    edit("sleeps", 4, json!({ "validation": "AUTO_MANUAL", "awakeDurationInSeconds": 77 })).await;
    ann.sync("all", &json!({ "onlyNew": true })).await;
    truth::compare(&stack.db, &ann).await;

    let kept = edit("dailies", 6, json!({ "steps": 1, "durationInSeconds": 60 })).await;
    ann.sync("health", &json!({ "onlyNew": true })).await;
    let steps: i32 = sqlx::query_scalar(
        "select steps from paceline.daily_summaries where connection_id = $1 and stream = 'dailies' and provider_record_id = $2",
    )
    .bind(ann.connection.0)
    .bind(kept["summaryId"].as_str().unwrap())
    .fetch_one(&*stack.db)
    .await
    .unwrap();
    assert_eq!(Some(i64::from(steps)), kept["steps"].as_i64());
}

#[tokio::test]
async fn an_error_in_a_later_window_keeps_what_was_there_and_moves_no_mark() {
    let mut stack = stack().await;
    let ann = Person::new(&stack, "ann", &SCOPES).await;
    let _worker = worker(&mut stack, &[]).await;
    ann.sync("health", &json!({ "onlyNew": true })).await;
    let marks = async || -> Vec<(String, Value)> {
        let rows = "select stream, mark from paceline.connection_coverage where connection_id = $1 order by 1";
        sqlx::query_as(rows).bind(ann.connection.0).fetch_all(&*stack.db).await.unwrap()
    };
    let (before, stored) = (marks().await, truth::compare_days(&stack.db, &ann).await);
    assert_eq!(before.len(), 5);
    let base = "/garmin/wellness-api/rest";
    ann.fault(
        &json!({ "provider": "garmin", "path": format!("{base}/userMetrics"), "count": 1_000_000,
        "fault": { "status": { "code": 500, "html": true } } }),
    )
    .await;
    let id = ann.start("health", &json!({ "onlyNew": true, "maxRetries": 0 })).await;
    let failed = ann.client.wait_over(id, SOON).await;
    assert_eq!(failed.error.unwrap().code, "temporary_api_error");
    assert_eq!(truth::compare_days(&stack.db, &ann).await, stored);
    assert_eq!(marks().await, before);
}

#[tokio::test]
async fn trouble_on_the_way_costs_no_record() {
    let mut stack = stack().await;
    let ann = Person::new(&stack, "ann", &SCOPES).await;
    ann.fault(&json!({ "preset": "flaky", "probability": 0.05 })).await;
    let _worker = worker(&mut stack, &["--breaker-calls", "1000000"]).await;
    ann.sync("activities", &json!({})).await;
    let url = format!("{}/faults", ann.world);
    ask(&ann.http, "DELETE", &url, &Value::Null).await;
    // A try whose answer was lost, and an attempt that had asked before, leave no hole.
    ann.sync("activities", &json!({ "onlyNew": true })).await;
    truth::compare_activities(&stack.db, &ann).await;
}

#[tokio::test]
async fn a_429_is_waited_for_and_no_failure() {
    let mut stack = stack().await;
    let ann = Person::new(&stack, "ann", &SCOPES).await;
    ann.settings(&json!({ "requests_per_minute": 5 })).await;
    let _worker = worker(&mut stack, &[]).await;
    let id = ann.start("all", &json!({})).await;
    let waiting = eventually("it waits", SOON, async || ann.client.sync(id).await.waiting).await;
    assert_eq!(waiting.reason, "rate_limit");
    let seconds = (waiting.reset_at.unwrap() - chrono::Utc::now()).num_seconds();
    assert!((0..=66).contains(&seconds), "{seconds}");
    assert_eq!(ann.client.sync(id).await.attempt, 0, "waiting gives the attempt back");
}

#[tokio::test]
async fn partial_consent_reads_what_it_may_and_asks_for_nothing_else() {
    let mut stack = stack().await;
    let ann = Person::new(&stack, "ann", &["HEALTH_EXPORT"]).await;
    let state: String = sqlx::query_scalar("select state from paceline.connections where id = $1")
        .bind(ann.connection.0)
        .fetch_one(&*stack.db)
        .await
        .unwrap();
    assert_eq!(state, "limited");
    let _worker = worker(&mut stack, &[]).await;
    ann.sync("all", &json!({})).await;
    let calls = ann.calls().await;
    let read = |path: &String| {
        ["dailies", "sleeps", "bodyComps", "bloodPressures", "userMetrics"].contains(&path.as_str())
    };
    let (read, other): (Vec<String>, Vec<String>) = calls.into_iter().partition(read);
    assert_eq!(read.len(), 5 * 8, "the week that Garmin keeps");
    assert!(
        other.iter().all(|path| path.starts_with("user/")),
        "no history, no activities: {other:?}"
    );
    let id = ann.start("activities", &json!({})).await;
    let failed = ann.client.wait_over(id, SOON).await;
    let error = failed.error.unwrap();
    assert_eq!(error.code, "permission_denied");
    assert!(error.message.contains("ACTIVITY_EXPORT"), "{}", error.message);
}

#[tokio::test]
async fn a_permission_that_was_taken_back_leaves_its_lists_out_for_now() {
    let mut stack = stack().await;
    let ann = Person::new(&stack, "ann", &SCOPES).await;
    let _worker = worker(&mut stack, &[]).await;
    ann.of_world(
        "POST",
        "permissions",
        &json!({ "permissions": ["HEALTH_EXPORT", "HISTORICAL_DATA_EXPORT"] }),
    )
    .await;
    ann.sync("all", &json!({ "onlyNew": true })).await;
    truth::compare_days(&stack.db, &ann).await;
    ann.of_world("POST", "permissions", &json!({ "permissions": SCOPES })).await;
    ann.sync("all", &json!({ "onlyNew": true })).await;
    truth::compare(&stack.db, &ann).await;
}

#[tokio::test]
async fn an_application_without_pulls_is_told_what_to_do() {
    let mut stack = stack().await;
    let ann = Person::new(&stack, "ann", &SCOPES).await;
    ann.settings(&json!({ "direct_pulls": false })).await;
    let _worker = worker(&mut stack, &[]).await;
    let id = ann.start("workouts", &json!({})).await;
    let error = ann.client.wait_over(id, SOON).await.error.unwrap();
    assert_eq!(error.code, "permission_denied");
    assert!(error.message.contains("ask Garmin"), "{}", error.message);
}
