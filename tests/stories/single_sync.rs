//! The single-sync face, as a client knows it that has one sync a provider and polls its status.

use paceline_tests::{
    stack::{SOON, Stack},
    wait::eventually,
};
use serde_json::{Value, json};

const STATUS: &str = "/strava/sync/status";

#[tokio::test]
async fn idle_then_in_progress_then_completed_with_a_bar_that_never_goes_back() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 600).await;
    let idle = json!({"status": "idle", "progress": 0.0, "job_type": null, "start_time": null, "end_time": null, "error_message": null});
    assert_eq!(user.client.get(STATUS).await.body, idle);

    let started = user.client.post_nothing("/strava/sync/activities").await;
    assert_eq!(started.status, 202, "{}", started.text);
    assert_eq!(
        (&started.body["status"], &started.body["job_type"]),
        (&json!("in_progress"), &json!("activities"))
    );

    let _worker = stack.worker().await;
    let mut seen = 0.0;
    let mut ended = Value::Null;
    eventually("the sync ends", SOON, async || {
        let now = user.client.get(STATUS).await.body;
        let progress = now["progress"].as_f64().unwrap();
        assert!(progress >= seen, "{seen} then {now}");
        seen = progress;
        (now["status"] != "in_progress").then(|| ended = now)
    })
    .await;
    assert_eq!((&ended["status"], &ended["progress"]), (&json!("completed"), &json!(1.0)));
    assert!(ended["end_time"].is_string() && ended["error_message"].is_null());
    assert_eq!(user.client.all("/api/v1/activities", 200).await.len(), 600);
    assert_eq!(user.client.get("/garmin/sync/status").await.body, idle, "each provider by itself");
}

#[tokio::test]
async fn of_a_hundred_starts_at_once_one_is_accepted() {
    let stack = Stack::new().await;
    let user = stack.user("ann", 5).await;
    let starts = (0..100).map(|_| user.client.post_nothing("/strava/sync/activities"));
    let answers = futures::future::join_all(starts).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 202);
    assert_eq!((accepted.len(), refused.len()), (1, 99));
    let live = user.client.all("/api/v1/syncs", 50).await;
    for answer in refused {
        assert_eq!(answer.problem().kind, "/problems/already-running");
        assert_eq!(answer.body["syncId"], live[0]["syncId"]);
    }
}

#[tokio::test]
async fn what_cannot_be_synced_says_why() {
    let stack = Stack::new().await;
    let user = stack.user("ann", 5).await;
    for (path, status, name) in [
        ("/strava/sync/health", 404, "unknown-job-type"),
        ("/strava/sync/dreams", 404, "unknown-job-type"),
        ("/runkeeper/sync/activities", 404, "unknown-provider"),
        ("/withings/sync/all", 409, "not-connected"),
    ] {
        let answer = user.client.post_nothing(path).await;
        let problem = answer.problem();
        assert_eq!((problem.status, problem.kind), (status, format!("/problems/{name}")), "{path}");
    }
    let known = user.client.post_nothing("/strava/sync/health").await.problem();
    assert!(known.detail.contains("activities"));
}

#[tokio::test]
async fn a_cancelled_sync_is_failed_with_words() {
    let stack = Stack::new().await;
    let user = stack.user("ann", 5).await;
    user.client.post_nothing("/strava/sync/activities").await;
    let id =
        user.client.all("/api/v1/syncs", 50).await[0]["syncId"].as_str().unwrap().parse().unwrap();
    user.client.cancel_sync(id).await;
    let status = user.client.get(STATUS).await.body;
    assert_eq!(
        (&status["status"], &status["error_message"]),
        (&json!("failed"), &json!("The sync was cancelled."))
    );
}
