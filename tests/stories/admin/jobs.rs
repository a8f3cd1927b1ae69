//! Looking for jobs, and at one.

use super::*;
use paceline_tests::{
    rows,
    stack::{SOON, nobodys_id},
    wait::eventually,
};
use serde_json::json;
use std::time::Duration;

async fn number(client: &Client, query: &str) -> usize {
    client.all(&format!("/api/v1/admin/jobs{query}"), 50).await.len()
}

#[tokio::test]
async fn every_filter_finds_what_it_says_among_live_and_ended_ones() {
    let stack = Stack::new().await;
    let viewer = stack.staff("vic", Role::Viewer);
    failed_syncs(&stack.db, 120, 0).await;
    let ann = stack.user("ann", 1).await;
    let live = ann.client.start_sync(&json!({})).await;
    for (query, expected) in [
        ("", 121),
        ("?state=failed", 120),
        ("?state=queued", 1),
        ("?state=running", 0),
        ("?state=completed", 0),
        ("?provider=fitbit", 0),
        ("?user=ann", 1),
        (&format!("?user={}", ann.id), 1),
        ("?errorType=network_error", 60),
        ("?fingerprint=kind-1&state=failed", 60),
        ("?fingerprint=kind-1&state=cancelled", 0),
        // The failed ones pretend to be a quarter of an hour old.
        ("?olderThan=10m", 120),
        ("?newerThan=10m", 1),
        ("?newerThan=1h&olderThan=10m", 120),
        ("?text=PAGE 11", 11),
        ("?text=runner-7", 11),
        ("?text=runner_7", 0),
        (&format!("?text={live}"), 1),
        (&format!("?text={}&state=failed", &live.to_string()[..8]), 0),
    ] {
        assert_eq!(number(&viewer, query).await, expected, "{query}");
    }
    let nobody = viewer.get("/api/v1/admin/jobs?user=nobody").await.problem();
    assert_eq!((nobody.status, nobody.errors[0].field.as_str()), (422, "user"));
    let newest = &items(&viewer, "/api/v1/admin/jobs?limit=1").await[0];
    assert_eq!((&newest["syncId"], &newest["userId"]), (&json!(live), &json!("ann")));
    let ids: Vec<String> = viewer
        .all("/api/v1/admin/jobs", 7)
        .await
        .iter()
        .map(|job| job["syncId"].as_str().unwrap().to_owned())
        .collect();
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first, each once");
}

#[tokio::test]
async fn a_job_is_shown_whole_and_says_why_it_does_not_run() {
    let stack = Stack::new().await;
    let (viewer, operator) = (stack.staff("vic", Role::Viewer), stack.staff("ora", Role::Operator));
    let ann = stack.user("ann", 1).await;
    let job = ann.client.start_sync(&json!({ "activityTypes": ["Run"] })).await;
    let path = format!("/api/v1/admin/jobs/{job}");
    let codes = async |path: &str| -> Vec<String> {
        let why = viewer.get(&format!("{path}/why")).await;
        let why = why.body["why"].as_array().expect("reasons").clone();
        why.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes(&path).await, ["no_worker"]);
    let ask = json!({ "for": "30m", "reason": "they asked us to" });
    let lane = operator.post("/api/v1/admin/providers/strava/pause", &ask).await;
    assert_eq!(lane.body["pause"]["by"], "ora", "{}", lane.text);
    assert_eq!(codes(&path).await, ["paused", "no_worker"]);
    let bob = stack.user("bob", 1).await;
    let behind = bob.client.start_sync(&json!({})).await;
    assert_eq!(
        codes(&format!("/api/v1/admin/jobs/{behind}")).await,
        ["paused", "no_worker", "behind"]
    );
    let whole = viewer.get(&path).await.body;
    assert_eq!(whole["payload"]["activityTypes"], json!(["Run"]));
    assert_eq!(
        (&whole["userId"], &whole["connection"]["state"], &whole["lease"]),
        (&json!("ann"), &json!("active"), &json!(null))
    );
    let message = whole["why"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("Strava is paused by ora until"), "{message}");
    let gone = viewer.get(&format!("/api/v1/admin/jobs/{}", nobodys_id())).await.problem();
    assert_eq!((gone.status, gone.kind.as_str()), (404, "/problems/unknown-job"));
}

#[tokio::test]
async fn an_ended_job_shows_what_went_wrong_and_failures_are_grouped() {
    let mut stack = Stack::new().await;
    let viewer = stack.staff("vic", Role::Viewer);
    let ann = stack.user("ann", 1).await;
    rows::change(&stack.db, "update paceline.sync_jobs set payload = payload").await;
    let job = ann.client.start_sync(&json!({})).await;
    rows::change(&stack.db, "update paceline.sync_jobs set payload = '{\"colour\": \"secret\"}'")
        .await;
    let _worker = stack.worker().await;
    let over = ann.client.wait_over(job, SOON).await;
    assert_eq!(over.status, "FAILED");
    let whole = viewer.get(&format!("/api/v1/admin/jobs/{job}")).await.body;
    assert_eq!(
        (&whole["state"], &whole["error"]["code"]),
        (&json!("failed"), &json!("invalid_data"))
    );
    assert_eq!(whole["payload"], json!({ "colour": "(hidden)" }));
    assert_eq!(whole["why"][0]["code"], "ended");
    assert_eq!(whole["attempts"].as_array().unwrap().len(), 1);
    let groups = items(&viewer, "/api/v1/admin/failures?window=1h").await;
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!(
        (&groups[0]["count"], &groups[0]["users"], &groups[0]["open"]),
        (&json!(1), &json!(1), &json!(1))
    );
    assert_eq!(groups[0]["sample"]["syncId"], json!(job));
    let kind = groups[0]["fingerprint"].as_str().unwrap();
    assert_eq!(number(&viewer, &format!("?fingerprint={kind}")).await, 1);
}

#[tokio::test]
async fn jobs_are_counted_by_a_worker_and_the_figures_say_their_age() {
    let mut stack = Stack::new().await;
    let viewer = stack.staff("vic", Role::Viewer);
    failed_syncs(&stack.db, 30, 0).await;
    let counts = viewer.get("/api/v1/admin/jobs/counts").await.body;
    assert_eq!((&counts["asOf"], &counts["states"]["failed"]), (&json!(null), &json!(0)));
    let operator = stack.staff("ora", Role::Operator);
    let ask = json!({ "reason": "the story counts what waits" });
    assert_eq!(operator.post("/api/v1/admin/providers/all/pause", &ask).await.status, 200);
    stack.user("ann", 1).await.client.start_sync(&json!({})).await;
    let _worker = stack.worker().await;
    let counts = eventually("jobs are counted", Duration::from_secs(20), async || {
        let counts = viewer.get("/api/v1/admin/jobs/counts").await.body;
        counts["asOf"].is_string().then_some(counts)
    })
    .await;
    let strava = &counts["providers"][0];
    assert_eq!(strava["provider"], "strava");
    for states in [&counts["states"], &strava["states"]] {
        assert_eq!((&states["failed"], &states["queued"]), (&json!(30), &json!(1)), "{counts}");
        assert_eq!(states["runnable"], 0, "it is paused");
    }
    assert!(counts["ageS"].as_f64().unwrap() < 20.0 && counts["historyAsOf"].is_string());
}
