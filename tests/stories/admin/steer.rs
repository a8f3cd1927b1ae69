//! Acts on one thing, each written down.

use super::*;
use paceline_tests::{rows, stack::SOON, wait::eventually};
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

#[tokio::test]
async fn a_block_is_ended_by_hand_and_what_it_held_back_goes_on() {
    let mut stack = Stack::new().await;
    let operator = stack.staff("ora", Role::Operator);
    let (ann, bob) = (stack.user("ann", 3).await, stack.user("bob", 3).await);
    let spent = "update paceline.lanes set blocked_until = clock_timestamp() + interval '1 hour', blocked_below = 5,
                   blocked_reason = 'quota_exceeded', blocked_scope = 'strava:all' where lane = 'strava'";
    rows::change(&stack.db, spent).await;
    let parked = bob.client.start_sync(&json!({})).await;
    rows::change(
        &stack.db,
        "update paceline.sync_jobs set waiting_for = 'quota_exceeded', run_at = clock_timestamp() + interval '1 hour'",
    )
    .await;
    let queued = ann.client.start_sync(&json!({})).await;
    let _worker = stack.worker().await;
    let why = operator.get(&format!("/api/v1/admin/jobs/{queued}/why")).await.body;
    assert_eq!(why["why"][0]["code"], "quota_blocked", "{why}");
    let message = why["why"][0]["message"].as_str().unwrap();
    assert!(message.contains("an operator may unblock it"), "{message}");

    let path = "/api/v1/admin/providers/strava/unblock";
    let free = operator.post(path, &json!({ "reason": "Strava gave us more" })).await;
    assert_eq!((free.status.as_u16(), &free.body["block"]), (200, &json!(null)), "{}", free.text);
    ann.client.wait_done(queued, SOON).await;
    bob.client.wait_done(parked, SOON).await;
    assert_eq!(operator.post_nothing(path).await.status, 200, "again");
    let acts = items(&operator, "/api/v1/admin/audit?act=lane.unblock&target=lane:strava").await;
    let detail = |n: usize| &acts[n]["detail"];
    assert_eq!(
        detail(1),
        &json!({ "wasBlocked": true, "woken": 1, "reason": "Strava gave us more" })
    );
    assert_eq!((&detail(0)["wasBlocked"], acts.len()), (&json!(false), 2));
}

#[tokio::test]
async fn a_breaker_is_closed_by_hand_and_what_it_held_back_goes_on() {
    let mut stack = Stack::new().await;
    let operator = stack.staff("ora", Role::Operator);
    let (ann, bob) = (stack.user("ann", 3).await, stack.user("bob", 3).await);
    let open = "update paceline.lanes set breaker = 'open', breaker_until = clock_timestamp() + interval '1 hour',
                  breaker_trips = 6, breaker_reason = '20 of 20 calls failed' where lane = 'strava'";
    rows::change(&stack.db, open).await;
    let counted = "insert into paceline.breaker_counts (lane, bucket, calls, failures)
                   values ('strava', clock_timestamp(), 20, 20)";
    rows::change(&stack.db, counted).await;
    let parked = bob.client.start_sync(&json!({})).await;
    rows::change(
        &stack.db,
        "update paceline.sync_jobs set waiting_for = 'breaker_open', run_at = clock_timestamp() + interval '1 hour'",
    )
    .await;
    let queued = ann.client.start_sync(&json!({})).await;
    let _worker = stack.worker().await;
    let why = operator.get(&format!("/api/v1/admin/jobs/{queued}/why")).await.body;
    assert_eq!(why["why"][0]["code"], "breaker_open", "{why}");
    let message = why["why"][0]["message"].as_str().unwrap();
    assert!(message.contains("an operator may close it"), "{message}");

    let path = "/api/v1/admin/providers/strava/close-breaker";
    let closed = operator.post(path, &json!({ "reason": "they are back" })).await;
    let breaker = &closed.body["breaker"];
    assert_eq!((&breaker["state"], &breaker["trips"]), (&json!("closed"), &json!(0)), "{breaker}");
    ann.client.wait_done(queued, SOON).await;
    bob.client.wait_done(parked, SOON).await;
    let failures = "select coalesce(sum(failures), 0)::bigint from paceline.breaker_counts";
    assert_eq!(rows::number(&stack.db, failures).await, 0, "what failed before is forgotten");
    let acts = items(&operator, "/api/v1/admin/audit?act=lane.close_breaker").await;
    assert_eq!(
        acts[0]["detail"],
        json!({ "wasOpen": true, "woken": 1, "reason": "they are back" })
    );
}
