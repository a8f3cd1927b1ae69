//! Acts that are asked for twice under one `Idempotency-Key`, because nobody knows whether the first was heard.

use super::*;
use paceline_tests::{client::Answer, rows};
use reqwest::Method;
use serde_json::json;

async fn post(client: &Client, path: &str, key: &str, body: &Value) -> Answer {
    let request = client.request(Method::POST, path).header("Idempotency-Key", key).json(body);
    client.send(request).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn a_bulk_operation_is_started_once() {
    let stack = Stack::new().await;
    let (ada, eve) = (admin(&stack), stack.staff("eve", Role::Admin));
    failed_syncs(&stack.db, 10, 0).await;
    let path = "/api/v1/admin/operations";
    let ask = json!({ "act": "retry", "filter": { "state": "failed" } });
    let first = post(&ada, path, "k-1", &ask).await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (202, false), "{}", first.text);
    let id = first.body["operationId"].as_str().unwrap().to_owned();
    let again = post(&ada, path, "k-1", &ask).await;
    assert_eq!((again.status.as_u16(), is_replayed(&again)), (202, true), "{}", again.text);
    assert_eq!(again.body, first.body);
    for answer in [&first, &again] {
        assert_eq!(answer.headers["location"], format!("{path}/{id}").as_str());
    }
    let other = json!({ "act": "cancel", "filter": { "state": "queued" } });
    let misused = post(&ada, path, "k-1", &other).await.problem();
    assert_eq!((misused.status, misused.kind.as_str()), (422, "/problems/idempotency-key-reused"));
    assert_eq!(items(&ada, path).await.len(), 1);
    assert_eq!(items(&ada, "/api/v1/admin/audit?act=operation.start").await.len(), 1);
    let hers = post(&eve, path, "k-1", &ask).await;
    assert_eq!((hers.status.as_u16(), is_replayed(&hers)), (202, false), "a key is its owner's");
    assert_eq!(items(&ada, path).await.len(), 2);
}

#[tokio::test]
async fn a_job_that_failed_anew_is_not_retried_a_second_time() {
    let stack = Stack::new().await;
    let operator = stack.staff("ora", Role::Operator);
    failed_syncs(&stack.db, 1, 0).await;
    let job = items(&operator, "/api/v1/admin/jobs").await[0]["syncId"].clone();
    let job = format!("/api/v1/admin/jobs/{}", job.as_str().unwrap());
    let path = format!("{job}/retry");
    let first = post(&operator, &path, "k", &json!({ "reason": "once" })).await;
    assert_eq!((first.status.as_u16(), &first.body["state"]), (202, &json!("queued")));
    assert_eq!(first.headers["location"], job.as_str());
    // It ended, and may be retried again: but not by the same request.
    let cancelled = operator.post_nothing(&format!("{job}/cancel")).await;
    assert_eq!(cancelled.body["state"], "cancelled");
    let again = post(&operator, &path, "k", &json!({ "reason": "once" })).await;
    assert_eq!((again.status.as_u16(), is_replayed(&again)), (202, true), "{}", again.text);
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_jobs").await, 0);
    assert_eq!(items(&operator, "/api/v1/admin/audit?act=job.retry").await.len(), 1);
    let anew = post(&operator, &path, "k-2", &json!({ "reason": "once" })).await;
    assert_eq!((anew.status.as_u16(), is_replayed(&anew)), (202, false));
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_jobs").await, 1);
}

#[tokio::test]
async fn a_pause_that_is_asked_for_twice_is_not_prolonged_and_does_not_come_back() {
    let stack = Stack::new().await;
    let operator = stack.staff("ora", Role::Operator);
    let path = "/api/v1/admin/providers/strava/pause";
    let ask = json!({ "for": "10m", "reason": "new keys" });
    let first = post(&operator, path, "k", &ask).await;
    assert_eq!(first.status, 200, "{}", first.text);
    let again = post(&operator, path, "k", &ask).await;
    assert_eq!((again.status.as_u16(), is_replayed(&again)), (200, true));
    assert_eq!(again.body["pause"], first.body["pause"]);
    operator.post_nothing("/api/v1/admin/providers/strava/resume").await;
    assert!(is_replayed(&post(&operator, path, "k", &ask).await));
    let lanes = items(&operator, "/api/v1/admin/providers").await;
    let strava = lanes.iter().find(|lane| lane["provider"] == "strava").unwrap();
    assert_eq!(strava["pause"], json!(null), "it was resumed since");
}
