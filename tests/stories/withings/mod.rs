//! Withings, through the front door: all of an account arrives as it is, then what is new, late, edited or deleted
//! there; and nothing of it is lost when Withings fails or asks to wait.

mod truth;

use paceline_shared::{ConnectionId, db::users};
use paceline_tests::{
    client::{Client, Sync},
    process::Process,
    stack::{SOON, Stack, WorkerSetup},
    wait::eventually,
};
use paceline_worker::providers::{
    Code,
    http::{Http, HttpOptions},
    withings::{Withings, WithingsConfig},
};
use serde_json::{Value, json};
use uuid::Uuid;

const FULL_SCOPE: &str = "user.info,user.metrics,user.activity,user.sleepevents";
const SECRET: &str = "a-secret-of-the-application";

/// A user of ours with an account at Withings.
struct Person {
    client: Client,
    id: Uuid,
    connection: ConnectionId,
    /// Withings' number.
    account: u64,
    /// The simulator's own interface.
    world: String,
    http: reqwest::Client,
}

impl Person {
    /// An account with some years behind it, just connected.
    async fn new(stack: &Stack, scope: &str) -> Self {
        let base = stack.sim.base_url();
        let http = reqwest::Client::new();
        let world = format!("{base}/_sim/withings");
        let drawn =
            json!({ "measures": 400, "days": 200, "workouts": 60, "nights": 120, "years": 2 });
        let user = ask(&http, "POST", &format!("{world}/users"), &drawn).await;
        let account = user["id"].as_u64().or_else(|| user["id"].as_str()?.parse().ok()).unwrap();
        let url = format!("{world}/users/{account}/code");
        let code = ask(&http, "POST", &url, &json!({ "scope": scope })).await;
        let config = WithingsConfig {
            api_base: format!("{base}/withings"),
            ..WithingsConfig::new("1234", SECRET.into())
        };
        let calls = Http::new("withings", HttpOptions::default()).unwrap();
        let withings = Withings::new(config, calls);
        let code = Code {
            code: code["code"].as_str().unwrap().into(),
            verifier: None,
            redirect_uri: "https://app.example.org/callback".to_owned(),
            accepted: None,
        };
        let id = users::of_subject(&*stack.db, "ann").await.unwrap();
        let connection = stack.link(id, &withings, &code).await;
        Self { client: stack.client("ann"), id: id.0, connection, account, world, http }
    }

    async fn start(&self, job_type: &str, options: &Value) -> Uuid {
        let body = json!({ "provider": "withings", "jobType": job_type, "options": options });
        self.client.post("/api/v1/syncs", &body).await.sync(202).sync_id
    }

    async fn sync(&self, job_type: &str, options: &Value) -> Sync {
        let id = self.start(job_type, options).await;
        self.client.wait_done(id, SOON).await
    }

    /// What is there, told by the simulator itself.
    async fn of_world(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("{}/users/{}/{path}", self.world, self.account);
        let url = url.trim_end_matches('/');
        ask(&self.http, method, url, body).await
    }

    /// All records of a list.
    async fn all(&self, list: &str) -> Vec<Value> {
        let (mut records, mut cursor) = (Vec::new(), json!(0));
        while !cursor.is_null() {
            let page = self.of_world("GET", &format!("{list}?cursor={cursor}"), &Value::Null).await;
            records.extend(page["records"].as_array().unwrap().iter().cloned());
            cursor = page["next"].clone();
        }
        records
    }

    /// The calls for its lists so far: action, question.
    async fn calls(&self) -> Vec<(String, String)> {
        let base = self.world.trim_end_matches("/withings");
        let url = format!("{base}/log?user={}&limit=10000", self.account);
        let log = ask(&self.http, "GET", &url, &Value::Null).await;
        let entries = log["entries"].as_array().unwrap().iter();
        let calls = entries.map(|entry| {
            let path = entry["path"].as_str().unwrap();
            let action = path.rsplit('/').next().unwrap_or_default().to_owned();
            (action, entry["query"].to_string())
        });
        calls.filter(|(action, _)| action.starts_with("get")).collect()
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

async fn worker(stack: &mut Stack, options: &[&str]) -> Process {
    let base = format!("{}/withings", stack.sim.base_url());
    let usual = [
        "--withings-client-id",
        "1234",
        "--withings-client-secret",
        SECRET,
        "--withings-api-url",
        &base,
        "--withings-repeat-after",
        "10ms",
    ];
    let limits: &[&str] = if options.contains(&"--withings-limits") {
        &[]
    } else {
        &["--withings-limits", "all:1000000/1m"]
    };
    let options = usual.iter().chain(limits).chain(options).map(|&part| part.to_owned()).collect();
    stack.worker_with(WorkerSetup { options, ..WorkerSetup::default() }).await
}

#[tokio::test]
async fn a_first_sync_stores_every_list_exactly_as_withings_holds_it() {
    let mut stack = Stack::new().await;
    let ann = Person::new(&stack, FULL_SCOPE).await;
    let _worker = worker(&mut stack, &[]).await;
    let done = ann.sync("all", &json!({})).await;
    let tally = truth::compare(&stack.db, &ann).await;
    assert!(tally.values > 400 && tally.days >= 190 && tally.nights >= 110, "{tally:?}");
    assert_eq!(tally.workouts, 60);
    let results = done.results.unwrap();
    assert_eq!(results.store.failed, 0, "every record can be read");
    assert_eq!(results.store.saved, tally.values + tally.workouts + tally.days + tally.nights);
    let marks: Vec<String> = sqlx::query_scalar(
        "select stream from paceline.connection_coverage where connection_id = $1 and mark is not null
            and not isempty(covered) order by 1",
    )
    .bind(ann.connection.0)
    .fetch_all(&*stack.db)
    .await
    .unwrap();
    assert_eq!(marks, ["activity", "measures", "sleep", "workouts"]);
}

#[tokio::test]
async fn a_second_sync_asks_only_for_what_is_new_and_stores_nothing_again() {
    let mut stack = Stack::new().await;
    let ann = Person::new(&stack, FULL_SCOPE).await;
    let _worker = worker(&mut stack, &[]).await;
    ann.sync("all", &json!({})).await;
    let before = ann.calls().await.len();
    let done = ann.sync("all", &json!({ "onlyNew": true })).await;
    let store = done.results.unwrap().store;
    assert_eq!((store.saved, store.updated), (0, 0));
    let calls = ann.calls().await.split_off(before);
    // Of each list what has changed, and the last month for what was deleted.
    for action in ["getmeas", "getworkouts", "getactivity", "getsummary"] {
        let questions: Vec<_> = calls.iter().filter(|(asked, _)| asked == action).collect();
        assert!(questions.iter().any(|(_, query)| query.contains("lastupdate")), "{questions:?}");
        assert!(questions.iter().any(|(_, query)| query.contains("startdate")), "{questions:?}");
    }
    assert!(calls.len() <= 10, "{calls:?}");
    truth::compare(&stack.db, &ann).await;
}

#[tokio::test]
async fn late_uploads_edits_and_deletions_are_found() {
    let mut stack = Stack::new().await;
    let ann = Person::new(&stack, FULL_SCOPE).await;
    let _worker = worker(&mut stack, &[]).await;
    ann.sync("all", &json!({})).await;

    // Long ago, and told only now.
    let year_ago = (chrono::Utc::now() - chrono::TimeDelta::days(400)).timestamp();
    let day_ago = (chrono::Utc::now() - chrono::TimeDelta::days(2)).timestamp();
    for at in [year_ago, day_ago] {
        let at = chrono::DateTime::from_timestamp(at, 0).unwrap();
        for list in ["measures", "workouts"] {
            ann.of_world("POST", list, &json!({ "at": at })).await;
        }
    }
    let old = ann.all("workouts").await[0].clone();
    let edit = json!({ "category": 2, "data": { "distance": 4242, "hr_average": 131 } });
    ann.of_world("PATCH", &format!("workouts/{}", old["number"]), &edit).await;
    let night = ann.all("sleep").await[0].clone();
    ann.of_world(
        "PATCH",
        &format!("sleep/{}", night["number"]),
        &json!({ "data": { "sleep_score": 12 } }),
    )
    .await;
    // Within the month that is read again.
    let mut gone = Vec::new();
    for list in ["measures", "activity", "workouts", "sleep"] {
        let records = ann.all(list).await;
        let recent = records.iter().max_by_key(|record| when(&record["record"])).unwrap();
        ann.of_world("DELETE", &format!("{list}/{}", recent["number"]), &Value::Null).await;
        gone.push(list);
    }
    ann.sync("all", &json!({ "onlyNew": true })).await;
    truth::compare(&stack.db, &ann).await;
    let tombstones = truth::tombstones(&stack.db, ann.id).await;
    assert!(tombstones >= i64::try_from(gone.len()).unwrap() - 1, "{tombstones}: {gone:?}");
    assert!(tombstones > 0);
}

/// Where a record of any list lies in time.
fn when(record: &Value) -> String {
    let seconds = record["startdate"].as_i64().or_else(|| record["date"].as_i64());
    let at = seconds.and_then(|at| chrono::DateTime::from_timestamp(at, 0));
    at.map_or_else(|| record["date"].as_str().unwrap_or_default().to_owned(), |at| at.to_rfc3339())
}

#[tokio::test]
async fn a_group_moved_to_another_time_is_there_once() {
    let mut stack = Stack::new().await;
    let ann = Person::new(&stack, FULL_SCOPE).await;
    let _worker = worker(&mut stack, &[]).await;
    let at = chrono::Utc::now() - chrono::TimeDelta::days(3);
    let weighed = ann.of_world("POST", "measures", &json!({ "at": at })).await;
    ann.sync("measurements", &json!({})).await;
    let moved = json!({ "date": (at - chrono::TimeDelta::hours(5)).timestamp() });
    ann.of_world("PATCH", &format!("measures/{}", weighed["number"]), &moved).await;
    ann.sync("measurements", &json!({ "onlyNew": true })).await;
    truth::compare_measures(&stack.db, &ann).await;
}

#[tokio::test]
async fn an_error_on_a_later_page_deletes_nothing() {
    let mut stack = Stack::new().await;
    let ann = Person::new(&stack, FULL_SCOPE).await;
    let _worker = worker(&mut stack, &[]).await;
    ann.sync("measurements", &json!({})).await;
    let stored = truth::compare_measures(&stack.db, &ann).await;
    // Every page but the first fails, by a status in a 200.
    let base = ann.world.trim_end_matches("/withings");
    let rule = json!({ "provider": "withings", "path": "/withings/measure", "nth": 2, "count": 1_000_000,
        "fault": { "status": { "code": 5006 } } });
    ask(&ann.http, "POST", &format!("{base}/faults"), &rule).await;
    let id = ann.start("measurements", &json!({})).await;
    let failed = ann.client.wait_over(id, SOON).await;
    assert_eq!(failed.status, "FAILED");
    assert_eq!(failed.error.unwrap().code, "temporary_api_error");
    assert_eq!(truth::compare_measures(&stack.db, &ann).await, stored);
    assert_eq!(truth::tombstones(&stack.db, ann.id).await, 0);
}

#[tokio::test]
async fn trouble_on_the_way_costs_no_record() {
    let mut stack = Stack::new().await;
    let ann = Person::new(&stack, FULL_SCOPE).await;
    let base = ann.world.trim_end_matches("/withings");
    let rule = json!({ "preset": "flaky", "probability": 0.15 });
    ask(&ann.http, "POST", &format!("{base}/faults"), &rule).await;
    let _worker = worker(&mut stack, &[]).await;
    ann.sync("all", &json!({})).await;
    ask(&ann.http, "DELETE", &format!("{base}/faults"), &Value::Null).await;
    truth::compare(&stack.db, &ann).await;
}

#[tokio::test]
async fn waiting_for_the_quota_shows_and_ends() {
    let mut stack = Stack::new().await;
    let ann = Person::new(&stack, FULL_SCOPE).await;
    let _worker = worker(&mut stack, &["--withings-limits", "all:3/6s"]).await;
    let id = ann.start("all", &json!({})).await;
    let waiting = eventually("it waits", SOON, async || ann.client.sync(id).await.waiting).await;
    assert_eq!(waiting.reason, "rate_limit");
    assert!(waiting.reset_at.is_some());
    let done = ann.client.wait_done(id, SOON).await;
    assert_eq!(done.attempt, 1, "waiting costs no attempt");
    truth::compare(&stack.db, &ann).await;
}

#[tokio::test]
async fn a_601_is_waited_for_and_no_failure() {
    let mut stack = Stack::new().await;
    let ann = Person::new(&stack, FULL_SCOPE).await;
    ask(&ann.http, "PUT", &format!("{}/quota", ann.world), &json!({ "calls": 1, "window_s": 60 }))
        .await;
    let _worker = worker(&mut stack, &[]).await;
    let id = ann.start("all", &json!({})).await;
    let waiting = eventually("it waits", SOON, async || ann.client.sync(id).await.waiting).await;
    assert_eq!(waiting.reason, "rate_limit");
    let seconds = (waiting.reset_at.unwrap() - chrono::Utc::now()).num_seconds();
    assert!((50..=66).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn partial_consent_reads_what_it_may_and_asks_for_nothing_else() {
    let mut stack = Stack::new().await;
    let ann = Person::new(&stack, "user.info,user.metrics").await;
    let state: String = sqlx::query_scalar("select state from paceline.connections where id = $1")
        .bind(ann.connection.0)
        .fetch_one(&*stack.db)
        .await
        .unwrap();
    assert_eq!(state, "limited");
    let _worker = worker(&mut stack, &[]).await;
    ann.sync("all", &json!({})).await;
    truth::compare_measures(&stack.db, &ann).await;
    let asked: Vec<String> = ann.calls().await.into_iter().map(|(action, _)| action).collect();
    assert!(!asked.is_empty() && asked.iter().all(|action| action == "getmeas"), "{asked:?}");
}
