//! One act on thousands of jobs.

use super::*;
use paceline_tests::{rows, stack::WorkerSetup, wait::until};
use serde_json::json;
use std::time::{Duration, Instant};

const START: &str = "/api/v1/admin/operations";

/// Keeps what is retried in the queue.
async fn pause(admin: &Client) {
    let paused = admin
        .post(
            "/api/v1/admin/providers/all/pause",
            &json!({ "reason": "the story looks at the queue" }),
        )
        .await;
    assert_eq!(paused.status, 200, "{}", paused.text);
}

#[tokio::test]
async fn thousands_are_retried_by_whoever_lives_and_whose_user_has_a_live_one_is_skipped() {
    let mut stack = Stack::new().await;
    let admin = admin(&stack);
    pause(&admin).await;
    failed_syncs(&stack.db, 20_000, 30).await;

    let ask = json!({ "act": "retry", "filter": { "state": "failed", "provider": "strava" }, "reason": "Strava is back" });
    let preview = admin.post("/api/v1/admin/operations/preview", &ask).await.body;
    assert_eq!(preview["count"], 20_030);
    assert_eq!(preview["sample"].as_array().unwrap().len(), 20);

    let mut wrong = ask.clone();
    wrong["expect"] = json!(20_000);
    let refused = admin.post(START, &wrong).await.problem();
    assert_eq!((refused.status, refused.kind.as_str()), (409, "/problems/count-differs"));

    let mut first = stack.worker_with(WorkerSetup { slots: 1, ..WorkerSetup::default() }).await;
    let began = Instant::now();
    let mut right = ask;
    right["expect"] = json!(20_030);
    let started = admin.post(START, &right).await;
    assert_eq!(started.status, 202, "{}", started.text);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(started.body["expected"], 20_030);
    let id = started.body["operationId"].as_str().unwrap();
    let path = format!("{START}/{id}");
    until("a batch is done", Duration::from_secs(20), async || {
        admin.get(&path).await.body["done"].as_i64().unwrap() > 0
    })
    .await;
    first.kill_9();
    let _second = stack.worker().await;
    let receipt = over(&admin, &started.body).await;
    assert_eq!(
        (&receipt["state"], &receipt["done"], &receipt["skipped"], &receipt["skippedBy"]),
        (&json!("completed"), &json!(20_000), &json!(30), &json!({ "live": 30 })),
        "{receipt}"
    );
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_jobs").await, 20_000);
    let hers = "select count(*) from paceline.sync_jobs where requested_by = 'ada'";
    assert_eq!(rows::number(&stack.db, hers).await, 20_000, "whoever asked before");
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_history").await, 30);
    let acts = items(&admin, &format!("/api/v1/admin/audit?target=operation:{id}")).await;
    assert_eq!(acts.len(), 1);
    assert_eq!((&acts[0]["actor"], &acts[0]["act"]), (&json!("ada"), &json!("operation.start")));
    assert_eq!(acts[0]["detail"]["reason"], "Strava is back");
}

#[tokio::test]
async fn an_operation_that_is_stopped_does_no_more_and_what_it_did_stays() {
    let mut stack = Stack::new().await;
    let admin = admin(&stack);
    pause(&admin).await;
    failed_syncs(&stack.db, 100, 0).await;
    let ask = json!({ "act": "retry", "filter": { "errorType": "network_error" } });
    let started = admin.post(START, &ask).await.body;
    assert_eq!((&started["expected"], &started["state"]), (&json!(50), &json!("queued")));
    let stop = format!("{START}/{}/stop", started["operationId"].as_str().unwrap());
    let stopped = admin.post(&stop, &json!({ "reason": "the wrong ones" })).await;
    assert_eq!((stopped.status.as_u16(), &stopped.body["stopRequestedBy"]), (202, &json!("ada")));
    let _worker = stack.worker().await;
    let receipt = over(&admin, &started).await;
    assert_eq!((&receipt["state"], &receipt["done"]), (&json!("stopped"), &json!(0)));
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_history").await, 100);
    let again = admin.post_nothing(&stop).await.problem();
    assert_eq!((again.status, again.kind.as_str()), (409, "/problems/operation-over"));
}

#[tokio::test]
async fn what_a_filter_retried_another_cancels() {
    let mut stack = Stack::new().await;
    let admin = admin(&stack);
    pause(&admin).await;
    failed_syncs(&stack.db, 300, 0).await;
    let _worker = stack.worker().await;
    let retry = json!({ "act": "retry", "filter": { "text": "page 1" }, "from": "scratch" });
    let receipt = over(&admin, &admin.post(START, &retry).await.body).await;
    // 1, 10 to 19, 100 to 199.
    assert_eq!((&receipt["expected"], &receipt["done"]), (&json!(111), &json!(111)), "{receipt}");
    let anew = rows::number(
        &stack.db,
        "select count(*) from paceline.sync_runs where checkpoint = '{\"phase\": \"fetch\", \"next_page\": 1}'",
    );
    assert_eq!(anew.await, 111, "from scratch");
    let cancel =
        json!({ "act": "cancel", "filter": { "errorType": "network_error", "newerThan": "1h" } });
    let receipt = over(&admin, &admin.post(START, &cancel).await.body).await;
    assert_eq!(
        (&receipt["state"], &receipt["done"]),
        (&json!("completed"), &json!(55)),
        "{receipt}"
    );
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_jobs").await, 56);
}
