//! Attempts: when a sync is tried again, from where, and when no more.

use paceline_simulator::{Config, Fault, FaultRule};
use paceline_tests::{
    rows,
    stack::{ACTIVITIES, SOON, Stack, WorkerSetup},
    truth::WHOLE,
    wait::{eventually, until},
};
use serde_json::json;
use std::time::Duration;

const ERROR: Fault = Fault::Status { code: 500, html: false, day: false };

fn page(page: u32, fault: Fault) -> FaultRule {
    FaultRule { path: Some(ACTIVITIES.to_owned()), page: Some(page), ..FaultRule::new(fault) }
}

#[tokio::test]
async fn a_failed_sync_goes_on_from_its_checkpoint_when_somebody_retries_it() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let user = stack.user("ann", 610).await;
    let trouble = stack.world().add_fault(page(3, ERROR)).unwrap();
    let _worker = stack.worker_with(WorkerSetup { http_tries: 2, ..WorkerSetup::default() }).await;
    let id = user.client.start_sync(&json!({ "maxRetries": 1 })).await;
    let failed = user.client.wait_over(id, SOON).await;
    assert_eq!((failed.status.as_str(), failed.attempt), ("FAILED", 2));
    let error = failed.error.unwrap();
    assert_eq!((error.code.as_str(), error.action.as_str()), ("temporary_api_error", "retry"));
    assert!(error.retryable && error.phase == "fetching", "{error:?}");
    assert_eq!((&error.context["httpStatus"], &error.context["page"]), (&json!(500), &json!(3)));
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_attempts").await, 2);

    assert!(stack.world().remove_fault(trouble));
    let retried = user.client.retry_sync(id).await.sync(202);
    assert_eq!((retried.sync_id, retried.status.as_str()), (id, "RETRYING"));
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!(done.results.unwrap().fetch.total_fetched, 610);
    stack.assert_true(&user, WHOLE).await;
    for fetched_before in 1..=2 {
        let requests = stack.page_requests(user.athlete);
        assert_eq!(requests.iter().filter(|e| e.page == Some(fetched_before)).count(), 1);
    }
    let problem = user.client.retry_sync(id).await.problem();
    assert_eq!((problem.status, problem.kind.as_str()), (409, "/problems/nothing-to-retry"));
}

#[tokio::test]
async fn between_a_failed_attempt_and_the_next_the_sync_shows_that_it_is_retrying() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 30).await;
    stack.world().add_fault(FaultRule { count: Some(1), ..page(1, ERROR) }).unwrap();
    let setup =
        WorkerSetup { http_tries: 1, retry_base: Duration::from_mins(1), ..WorkerSetup::default() };
    let _worker = stack.worker_with(setup).await;
    let id = user.client.start_sync(&json!({})).await;
    let (sync, waiting) = user.client.wait_parked(id, SOON).await;
    assert_eq!(
        (sync.status.as_str(), sync.attempt, waiting.reason.as_str()),
        ("RETRYING", 1, "retry")
    );
    assert_eq!(sync.error.unwrap().code, "temporary_api_error");
    let pause = waiting.reset_at.unwrap() - chrono::Utc::now();
    assert!(
        (25..=90).contains(&pause.num_seconds()),
        "half to one and a half of a minute: {pause}"
    );
    rows::make_due(&stack.db).await;
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!((done.attempt, done.error.is_none()), (2, true));
}

#[tokio::test]
async fn a_sync_is_tried_as_often_as_was_asked_and_no_more() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 30).await;
    stack.world().add_fault(page(1, Fault::Reset)).unwrap();
    let setup = WorkerSetup {
        http_tries: 1,
        retry_base: Duration::from_millis(20),
        ..WorkerSetup::default()
    };
    let _worker = stack.worker_with(setup).await;
    for retries in [0, 3] {
        let before = stack.page_requests(user.athlete).len();
        let id = user.client.start_sync(&json!({ "maxRetries": retries })).await;
        let failed = user.client.wait_over(id, SOON).await;
        assert_eq!((failed.status.as_str(), failed.attempt), ("FAILED", retries + 1));
        assert_eq!(failed.error.unwrap().code, "network_error");
        let requests = stack.page_requests(user.athlete).len() - before;
        assert_eq!(requests, usize::try_from(retries).unwrap() + 1);
    }
}

#[tokio::test]
async fn a_sync_that_kills_worker_after_worker_is_taken_out() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 30).await;
    let poison = stack.world().add_fault(page(1, Fault::Stall { seconds: 300.0 })).unwrap();
    let id = user.client.start_sync(&json!({})).await;
    // A beat from before the server's start would be the server's fault, not the sync's.
    until("the server is older than a lease", SOON, async || {
        rows::uptime(&stack.db).await > Duration::from_secs(16)
    })
    .await;
    for lost in 1..=3 {
        let mut worker = stack.worker().await;
        stack.struck(poison, lost).await;
        worker.kill_9();
        let silent =
            "update paceline.sync_runs set beat_at = clock_timestamp() - interval '14 seconds'";
        rows::change(&stack.db, silent).await;
    }
    let _last = stack.worker().await;
    let failed = user.client.wait_over(id, SOON).await;
    let error = failed.error.unwrap();
    assert_eq!((failed.status.as_str(), error.code.as_str()), ("FAILED", "worker_lost"));
    assert_eq!(error.context["crashes"], json!(3));
    assert_eq!(stack.page_requests(user.athlete).len(), 3, "a fourth worker did not try");

    // A person who has found the cause may try again.
    stack.world().clear_faults();
    assert_eq!(user.client.retry_sync(id).await.status, 202);
    user.client.wait_done(id, SOON).await;
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn a_job_that_cannot_be_read_fails_and_harms_no_other() {
    let mut stack = Stack::new().await;
    let ann = stack.user("ann", 30).await;
    let bob = stack.user("bob", 30).await;
    let broken = ann.client.start_sync(&json!({})).await;
    rows::change(&stack.db, r#"update paceline.sync_jobs set payload = '{"batchSize": "many"}'"#)
        .await;
    let fine = bob.client.start_sync(&json!({})).await;
    let _worker = stack.worker().await;
    bob.client.wait_done(fine, SOON).await;
    let state = eventually("the broken one ends", SOON, async || {
        rows::run(&stack.db, broken).await.map(|run| run.state).filter(|state| state == "failed")
    })
    .await;
    assert_eq!(state, "failed");
    let code: String =
        sqlx::query_scalar("select last_error ->> 'code' from paceline.sync_history where id = $1")
            .bind(broken)
            .fetch_one(&*stack.db)
            .await
            .unwrap();
    assert_eq!(code, "invalid_data");
}
