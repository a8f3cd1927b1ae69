//! The dashboard freshens itself: one sync a connection, joined and never doubled, and none in vain.

use paceline_simulator::{Fault, FaultRule, Provider};
use paceline_tests::{
    rows,
    stack::{Stack, nobodys_id},
};
use serde_json::{Value, json};

/// What a dashboard of everything asks for.
const ALL: &str = "/api/v1/data?after=0&limit=500";

fn progress_id(dashboard: &Value) -> String {
    dashboard["progressId"].as_str().unwrap_or_else(|| panic!("{dashboard}")).to_owned()
}

#[tokio::test]
async fn stale_data_are_fetched_and_fresh_data_are_left_alone() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 40).await;
    let _worker = stack.worker().await;

    let first = user.client.get(&format!("{ALL}&wait=25")).await.body;
    assert_eq!(
        first["activities"].as_array().unwrap().len(),
        40,
        "the answer has what the refresh brought"
    );
    assert_eq!((&first["refreshing"], &first["truncated"]), (&json!(false), &json!(false)));
    assert_eq!(first["sources"][0]["provider"], "strava");
    assert_eq!(first["sources"][0]["stale"], false);
    let progress = user.client.get(&format!("/api/v1/progress/{}", progress_id(&first))).await.body;
    assert_eq!((&progress["done"], &progress["percent"]), (&json!(true), &json!(100)));
    assert_eq!(progress["syncs"].as_array().unwrap().len(), 1);

    let second = user.client.get(ALL).await.body;
    assert_eq!(second["progressId"], Value::Null, "five minutes are not over");
    assert_eq!(user.client.all("/api/v1/syncs", 50).await.len(), 1);
}

#[tokio::test]
async fn a_hundred_dashboards_start_one_sync_and_all_name_the_same_progress() {
    let stack = Stack::new().await;
    let user = stack.user("ann", 5).await;
    let asked = (0..100).map(|_| user.client.get(ALL));
    let answers = futures::future::join_all(asked).await;
    let mut ids: Vec<String> = answers.iter().map(|answer| progress_id(&answer.body)).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(user.client.all("/api/v1/syncs", 50).await.len(), 1);
}

#[tokio::test]
async fn a_sync_that_a_user_started_is_joined() {
    let stack = Stack::new().await;
    let user = stack.user("ann", 5).await;
    let mine = user.client.start_sync(&json!({})).await;
    let dashboard = user.client.get(ALL).await.body;
    assert_eq!(dashboard["refreshing"], true);
    let progress =
        user.client.get(&format!("/api/v1/progress/{}", progress_id(&dashboard))).await.body;
    assert_eq!(progress["syncs"][0]["syncId"], mine.to_string());
    let by_sync = user.client.get(&format!("/api/v1/progress/{mine}")).await.body;
    assert_eq!(by_sync["done"], false);
}

#[tokio::test]
async fn a_connection_that_fails_is_not_tried_by_every_look() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 5).await;
    let _worker = stack.worker().await;
    stack.world().revoke(user.athlete).unwrap();
    let first = user.client.get(&format!("{ALL}&wait=25")).await.body;
    let failed = user.client.get(&format!("/api/v1/progress/{}", progress_id(&first))).await.body;
    assert_eq!(failed["syncs"][0]["status"], "FAILED");
    assert_eq!(failed["syncs"][0]["error"]["action"], "reconnect");
    for _look in 0..5 {
        let again = user.client.get(ALL).await.body;
        assert_eq!(again["progressId"], Value::Null);
        assert_eq!(again["sources"][0]["action"], "reconnect");
    }
    assert_eq!(user.client.all("/api/v1/syncs", 50).await.len(), 1);
}

#[tokio::test]
async fn a_failure_that_may_pass_is_tried_again_only_when_the_data_are_stale_again() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 5).await;
    let _worker = stack.worker().await;
    let rule = FaultRule {
        provider: Some(Provider::Strava),
        path: Some("/strava/api/".to_owned()),
        ..FaultRule::new(Fault::Status { code: 404, html: false, day: false })
    };
    let rule = stack.world().add_fault(rule).unwrap();
    let first = user.client.get(&format!("{ALL}&wait=25")).await.body;
    let failed =
        user.client.get(&format!("/api/v1/progress/{}?wait=25", progress_id(&first))).await.body;
    assert_eq!(failed["syncs"][0]["status"], "FAILED", "{failed}");
    assert_eq!(user.client.get(ALL).await.body["progressId"], Value::Null);
    let _spent = stack.world().remove_fault(rule);
    // The shortest staleness that may be asked for; the end is dated in the past instead of waiting for it.
    rows::change(
        &stack.db,
        "update paceline.sync_history set finished_at = finished_at - interval '11 seconds'",
    )
    .await;
    let again = user.client.get(&format!("{ALL}&staleAfter=10&wait=25")).await.body;
    assert_eq!(again["activities"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn nobody_sees_anothers_progress_and_odd_ranges_are_refused() {
    let stack = Stack::new().await;
    let user = stack.user("ann", 5).await;
    let bob = stack.client("bob");
    let id = progress_id(&user.client.get(ALL).await.body);
    for id in [id, nobodys_id().to_string(), "nonsense".to_owned()] {
        let answer = bob.get(&format!("/api/v1/progress/{id}")).await;
        assert_eq!(answer.problem().kind, "/problems/unknown-progress", "{id}");
    }
    let answer = user.client.get("/api/v1/data?after=20&before=10").await;
    assert_eq!(answer.problem().errors[0].field, "after");
    let empty = bob.get(ALL).await.body;
    assert_eq!(
        (&empty["progressId"], &empty["sources"]),
        (&Value::Null, &json!([])),
        "nothing is connected"
    );
}
