//! Acts on one thing, each written down.

use super::*;
use paceline_tests::{stack::SOON, wait::eventually};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn one_job_is_cancelled_moved_and_retried_and_each_act_is_written_down() {
    let stack = Stack::new().await;
    let operator = stack.staff("ora", Role::Operator);
    let ann = stack.user("ann", 1).await;
    let job = ann.client.start_sync(&json!({})).await;
    let path = format!("/api/v1/admin/jobs/{job}");
    let change = operator
        .request(Method::PATCH, &path)
        .json(&json!({ "class": "webhook", "reason": "he waits on the line" }));
    let changed = operator.send(change).await;
    assert_eq!((changed.status.as_u16(), &changed.body["class"]), (200, &json!("webhook")));
    let cancelled = operator.post_nothing(&format!("{path}/cancel")).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.body["state"]), (200, &json!("cancelled")));
    assert_eq!(operator.post_nothing(&format!("{path}/cancel")).await.status, 200, "again");
    let late = operator.request(Method::PATCH, &path).json(&json!({ "class": "backfill" }));
    assert_eq!(operator.send(late).await.problem().kind, "/problems/already-ended");
    let retried = operator.post(&format!("{path}/retry"), &json!({ "from": "scratch" })).await;
    assert_eq!((retried.status.as_u16(), &retried.body["state"]), (202, &json!("queued")));
    let twice = operator.post_nothing(&format!("{path}/retry")).await.problem();
    assert_eq!((twice.kind.as_str(), twice.sync_id), ("/problems/already-running", Some(job)));

    let acts = operator.get(&path).await.body["audit"].as_array().unwrap().clone();
    let seen: Vec<_> = acts.iter().map(|act| act["act"].as_str().unwrap()).collect();
    assert_eq!(
        seen,
        ["job.retry", "job.cancel", "job.class"],
        "newest first; refusals are no acts"
    );
    assert_eq!(
        acts[2]["detail"],
        json!({ "from": "interactive", "to": "webhook", "reason": "he waits on the line" })
    );
    assert_eq!((&acts[0]["actor"], &acts[0]["role"]), (&json!("ora"), &json!("operator")));
    let request = retried.headers["x-request-id"].to_str().unwrap();
    assert_eq!(acts[0]["requestId"], request);
}

#[tokio::test]
async fn a_pause_holds_everything_back_and_its_end_lets_it_go() {
    let mut stack = Stack::new().await;
    let operator = stack.staff("ora", Role::Operator);
    let ann = stack.user("ann", 3).await;
    let _worker = stack.worker().await;
    let pause = json!({ "reason": "the database moves" });
    assert_eq!(operator.post("/api/v1/admin/providers/all/pause", &pause).await.status, 200);
    let job = ann.client.start_sync(&json!({})).await;
    let why = operator.get(&format!("/api/v1/admin/jobs/{job}/why")).await.body;
    assert_eq!(why["why"][0]["code"], "paused", "{why}");
    let lanes = items(&operator, "/api/v1/admin/providers").await;
    assert_eq!((&lanes[0]["provider"], &lanes[0]["pause"]["by"]), (&json!("all"), &json!("ora")));
    let resumed = operator.post_nothing("/api/v1/admin/providers/all/resume").await;
    assert_eq!((resumed.status.as_u16(), &resumed.body["pause"]), (200, &json!(null)));
    ann.client.wait_done(job, SOON).await;
    let acts = items(&operator, "/api/v1/admin/audit?target=lane:*").await;
    let seen: Vec<_> = acts.iter().map(|act| act["act"].as_str().unwrap()).collect();
    assert_eq!(seen, ["lane.resume", "lane.pause"]);
    assert_eq!(items(&operator, "/api/v1/admin/audit?actor=ora&act=lane.pause").await.len(), 1);
    assert_eq!(items(&operator, "/api/v1/admin/audit?actor=somebody").await.len(), 0);
}

#[tokio::test]
async fn a_worker_drains_when_it_is_asked_to() {
    let mut stack = Stack::new().await;
    let operator = stack.staff("ora", Role::Operator);
    let mut worker = stack.worker().await;
    let id = eventually("the worker is listed", SOON, async || {
        let workers = items(&operator, "/api/v1/admin/workers").await;
        let worker = workers.first()?;
        assert_eq!(worker["state"], "alive");
        Some(worker["workerId"].as_str().unwrap().to_owned())
    })
    .await;
    let path = format!("/api/v1/admin/workers/{id}/drain");
    let asked = operator.post(&path, &json!({ "reason": "a new kernel" })).await;
    assert_eq!((asked.status.as_u16(), &asked.body["state"]), (202, &json!("draining")));
    assert!(worker.wait(SOON).await.success());
    let gone = operator.post_nothing(&path).await.problem();
    assert_eq!((gone.status, gone.kind.as_str()), (409, "/problems/already-ended"));
    assert_eq!(items(&operator, "/api/v1/admin/audit?act=worker.drain").await.len(), 1);
}

#[tokio::test]
async fn a_limit_is_set_by_an_admin_and_by_nobody_below() {
    let stack = Stack::new().await;
    let path = "/api/v1/admin/providers/strava/limit";
    let ask = json!({ "maxRunning": 3 });
    let refused = stack.staff("ora", Role::Operator).post(path, &ask).await.problem();
    assert_eq!((refused.status, refused.kind.as_str()), (403, "/problems/role-needed"));
    let limited = admin(&stack).post(path, &ask).await;
    assert_eq!((limited.status.as_u16(), &limited.body["maxRunning"]), (200, &json!(3)));
    let free = admin(&stack).post(path, &json!({ "maxRunning": null })).await;
    assert_eq!(free.body["maxRunning"], json!(null));
}
