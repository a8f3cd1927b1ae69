//! Attempts that take too long or too much: they end, are reported, and the next goes on from there.

use paceline_simulator::{Fault, FaultRule};
use paceline_tests::{
    rows,
    stack::{ACTIVITIES, SOON, Stack, WorkerSetup},
    truth::WHOLE,
    wait::{eventually, until},
};
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

fn stall(stack: &Stack, page: u32, times: u64) -> u64 {
    let rule = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(page),
        count: Some(times),
        ..FaultRule::new(Fault::Stall { seconds: 60.0 })
    };
    stack.world().add_fault(rule).unwrap()
}

fn options(options: &[&str]) -> WorkerSetup {
    let options = options.iter().map(|&option| option.to_owned()).collect();
    WorkerSetup { options, http_idle_timeout: Duration::from_mins(1), ..WorkerSetup::default() }
}

/// Code and phase of each failed attempt.
async fn reports(stack: &Stack, sync: Uuid) -> Vec<(String, String)> {
    sqlx::query_as("select code, phase from paceline.sync_attempts where job_id = $1 order by at")
        .bind(sync)
        .fetch_all(&*stack.db)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_fails_and_the_next_goes_on_from_its_checkpoint() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 650).await;
    let stall = stall(&stack, 3, 1);
    let _worker = stack.worker_with(options(&["--job-timeout", "4s", "--grace", "200ms"])).await;
    let began = Instant::now();
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    let done = user.client.wait_done(id, SOON).await;
    assert!(began.elapsed() > Duration::from_secs(4));
    assert_eq!(done.attempt, 2, "it cost the attempt");
    assert_eq!(reports(&stack, id).await, [("function_timeout".to_owned(), "fetch".to_owned())]);
    assert_eq!(stack.repeated_pages(user.athlete), 1, "the one that hung");
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn an_attempt_that_always_takes_too_long_fails_in_the_end() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 30).await;
    stall(&stack, 1, 2);
    let _worker = stack.worker_with(options(&["--job-timeout", "1s", "--grace", "100ms"])).await;
    let id = user.client.start_sync(&json!({ "maxRetries": 1 })).await;
    let failed = user.client.wait_over(id, SOON).await;
    let error = failed.error.unwrap();
    assert_eq!((failed.status.as_str(), error.code.as_str()), ("FAILED", "function_timeout"));
    assert_eq!(error.message, "the attempt was not done after 1 s");
    assert_eq!(reports(&stack, id).await.len(), 2);
}

#[tokio::test]
async fn a_worker_over_its_memory_ends_its_jobs_and_takes_no_more_and_another_does_them() {
    let mut stack = Stack::new().await;
    let (ann, bob, cid) =
        (stack.user("ann", 450).await, stack.user("bob", 30).await, stack.user("cid", 30).await);
    // The names of all places take more than this leaves beside an idle worker.
    let probe = stack.worker().await;
    let idle: i64 = eventually("a worker says what it occupies", SOON, async || {
        let rss =
            rows::number(&stack.db, "select coalesce(max(rss_bytes), 0) from paceline.workers");
        Some(rss.await).filter(|rss| *rss > 0)
    })
    .await;
    drop(probe);
    let limit = ((idle >> 20) * 3 / 2).to_string();
    let small = stack.worker_with(options(&["--memory-limit", &limit])).await;
    let third = stall(&stack, 3, 1);
    let oldest = ann.client.start_sync(&json!({})).await;
    stack.struck(third, 1).await;
    let youngest = bob.client.start_sync(&json!({ "maxRetries": 20 })).await;
    until("a job is ended for its memory", SOON, async || {
        !reports(&stack, oldest).await.is_empty() || !reports(&stack, youngest).await.is_empty()
    })
    .await;
    let late = cid.client.start_sync(&json!({})).await;
    assert!(small.log().contains("memory is nearly used up"), "{}", small.log());

    let _large = stack.worker().await;
    for (user, sync) in [(&ann, oldest), (&bob, youngest), (&cid, late)] {
        user.client.wait_done(sync, SOON).await;
        stack.assert_true(user, WHOLE).await;
    }
    let codes = "select count(*) from paceline.sync_attempts where code <> 'memory_limit'";
    assert_eq!(rows::number(&stack.db, codes).await, 0);
    assert_eq!(reports(&stack, late).await, [], "it was not begun where there was no room");
}
