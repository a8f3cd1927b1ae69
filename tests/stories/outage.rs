//! Postgres away, full, or its connections cut: nothing is lost and no process ends.

use paceline_simulator::Config;
use paceline_tests::{
    client::Client,
    rows,
    stack::{SOON, Stack, WorkerSetup},
    truth::WHOLE,
    wait::until,
};
use serde_json::json;
use std::time::Duration;

/// Cuts every connection but our own.
const CUT: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                    where datname = current_database() and application_name <> 'paceline-tests'";

#[tokio::test]
async fn cut_connections_cost_a_sync_neither_an_attempt_nor_a_record() {
    let slow = Config { latency: Duration::from_millis(30), ..Config::default() };
    let mut stack = Stack::in_world(slow).await;
    let user = stack.user("ann", 650).await;
    let mut worker = stack.worker().await;
    let id = user.client.start_sync(&json!({ "batchSize": 20 })).await;
    let mut cuts = 0;
    for phase in ["fetch", "store"] {
        until("the phase is reached", SOON, async || {
            let run = rows::run(&stack.db, id).await.unwrap();
            assert_ne!(run.state, "completed", "too fast to be cut in {phase}");
            run.phase == phase && (run.last_page > 0)
        })
        .await;
        cuts += rows::number(&stack.db, CUT).await;
    }
    assert!(cuts > 2, "{cuts} connections were cut");
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!((done.attempt, done.results.unwrap().store.failed), (1, 0));
    assert!(worker.is_running() && stack.api.is_running(), "no process ends");
    stack.assert_true(&user, WHOLE).await;
    assert!(stack.repeated_pages(user.athlete) <= 2, "at most one a cut");
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_attempts").await, 0);
}

#[tokio::test]
async fn a_full_disk_is_a_failed_attempt_with_a_pause_and_no_endless_round() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 30).await;
    let full = "create function public.full() returns trigger language plpgsql as $$ begin
                  raise exception 'could not extend file: No space left on device' using errcode = '53100';
                end $$;
                create trigger full_disk before insert on paceline.staged_pages
                  for each row when (new.page > 0) execute function public.full()";
    rows::change(&stack.db, full).await;
    let setup = WorkerSetup { retry_base: Duration::from_mins(1), ..WorkerSetup::default() };
    let _worker = stack.worker_with(setup).await;
    let id = user.client.start_sync(&json!({})).await;
    let (sync, waiting) = user.client.wait_parked(id, SOON).await;
    assert_eq!((sync.attempt, waiting.reason.as_str()), (1, "retry"));
    assert_eq!(sync.error.unwrap().code, "database_timeout");
    let pause = waiting.reset_at.unwrap() - chrono::Utc::now();
    assert!(pause > chrono::Duration::seconds(20), "the provider is left alone: {pause}");
    let asked = stack.page_requests(user.athlete).len();
    assert_eq!(asked, 1, "for an attempt that could not keep its page");

    rows::change(&stack.db, "drop trigger full_disk on paceline.staged_pages").await;
    rows::make_due(&stack.db).await;
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!((done.attempt, done.error.is_none()), (2, true));
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn a_deaf_worker_still_finds_its_work_by_looking() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 10).await;
    let _worker = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    user.client.wait_done(id, SOON).await;
    // Nobody is told of this one.
    sqlx::query(
        "insert into paceline.sync_jobs (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range,
                                         run_at, sort_at, max_retries, payload, payload_version)
         select gen_random_uuid(), user_id, connection_id, provider, 1, kind, job_type, class, time_range,
                clock_timestamp(), clock_timestamp(), max_retries, payload, payload_version
           from paceline.sync_history where id = $1",
    )
    .bind(id)
    .execute(&*stack.db)
    .await
    .unwrap();
    until("it is done all the same", Duration::from_secs(10), async || {
        rows::number(
            &stack.db,
            "select count(*) from paceline.sync_history where status = 'completed'",
        )
        .await
            == 2
    })
    .await;
}

#[tokio::test]
async fn without_its_database_an_api_stays_up_and_says_so() {
    let stack = Stack::new().await;
    let nowhere = "postgres://nobody@localhost/none?host=/nonexistent";
    let api = stack.api_over("lonely", nowhere).await;
    let client = Client::new(format!("http://{}", api.address()), Some(stack.token("ann", None)));
    assert_eq!(client.get("/healthz").await.status, 200);
    let ready = client.get("/readyz").await.problem();
    assert_eq!((ready.status, ready.kind.as_str()), (503, "/problems/not-ready"));
    let answer = client.ask_sync(&json!({})).await;
    let problem = answer.problem();
    assert_eq!((problem.status, problem.kind.as_str()), (503, "/problems/unavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!answer.text.contains("nonexistent"), "nothing of the inside: {}", answer.text);
}
