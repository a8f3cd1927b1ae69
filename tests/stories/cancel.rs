//! Cancelling: at once, for good, whatever happens to the worker.

use paceline_simulator::{Fault, FaultRule};
use paceline_tests::{
    rows,
    stack::{ACTIVITIES, SOON, Stack},
    truth::WHOLE,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// A page that hangs, so that the sync is caught in fetch; its rule.
fn stall_page(stack: &Stack, page: u32) -> u64 {
    let rule = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(page),
        count: Some(1),
        ..FaultRule::new(Fault::Stall { seconds: 60.0 })
    };
    stack.world().add_fault(rule).unwrap()
}

#[tokio::test]
async fn a_queued_sync_ends_at_once_and_never_runs() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 20).await;
    let id = user.client.start_sync(&json!({})).await;
    assert_eq!(user.client.cancel_sync(id).await.sync(200).status, "CANCELLED");
    assert_eq!(
        user.client.cancel_sync(id).await.sync(200).status,
        "CANCELLED",
        "to repeat it is harmless"
    );
    let _worker = stack.worker().await;
    let next = user.sync_all(&json!({})).await;
    assert_ne!(next.sync_id, id);
    assert_eq!(user.client.sync(id).await.status, "CANCELLED");
    assert_eq!(stack.repeated_pages(user.athlete), 0);
}

#[tokio::test]
async fn a_running_sync_is_stopped_and_stays_stopped() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 450).await;
    let stall = stall_page(&stack, 2);
    let _worker = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    let began = Instant::now();
    assert_eq!(user.client.cancel_sync(id).await.status, 202);
    let over = user.client.wait_over(id, SOON).await;
    assert_eq!(over.status, "CANCELLED");
    assert!(began.elapsed() < Duration::from_secs(5), "it hears at once: {:?}", began.elapsed());
    assert!(over.progress.percent < 100);
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.staged_pages").await, 0);
    let next = user.sync_all(&json!({})).await;
    assert_eq!(next.results.unwrap().store.saved, 450);
    assert_eq!(user.client.sync(id).await.status, "CANCELLED");
}

#[tokio::test]
async fn a_cancelled_sync_is_not_resurrected_by_the_death_of_its_worker() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 450).await;
    let stall = stall_page(&stack, 2);
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    first.kill_9();
    assert_eq!(
        user.client.cancel_sync(id).await.status,
        202,
        "nobody knows yet that its worker is gone"
    );
    rows::age_leases(&stack.db).await;
    let _second = stack.worker().await;
    assert_eq!(user.client.wait_over(id, SOON).await.status, "CANCELLED");
    assert_eq!(stack.page_requests(user.athlete).len(), 2, "nothing was read for it any more");
}

#[tokio::test]
async fn a_waiting_sync_ends_at_once() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 50).await;
    let limited = Fault::Status { code: 429, html: false, day: false };
    let rule =
        FaultRule { path: Some(ACTIVITIES.to_owned()), count: Some(1), ..FaultRule::new(limited) };
    stack.world().add_fault(rule).unwrap();
    let _worker = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    user.client.wait_parked(id, SOON).await;
    let over = user.client.cancel_sync(id).await.sync(200);
    assert_eq!((over.status.as_str(), over.waiting.is_none()), ("CANCELLED", true));
    rows::open_windows(&stack.db).await;
    user.sync_all(&json!({})).await;
    assert_eq!(user.client.sync(id).await.status, "CANCELLED");
}

#[tokio::test]
async fn a_cancelled_sync_can_be_done_after_all() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 250).await;
    let stall = stall_page(&stack, 2);
    let _worker = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    user.client.cancel_sync(id).await;
    user.client.wait_over(id, SOON).await;
    let again = user.client.retry_sync(id).await.sync(202);
    assert_eq!(again.sync_id, id);
    user.client.wait_done(id, SOON).await;
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn what_has_ended_cannot_be_cancelled() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 5).await;
    let _worker = stack.worker().await;
    let done = user.sync_all(&json!({})).await;
    let problem = user.client.cancel_sync(done.sync_id).await.problem();
    assert_eq!((problem.status, problem.kind.as_str()), (409, "/problems/already-ended"));
    assert_eq!(problem.sync_id, Some(done.sync_id));
}
