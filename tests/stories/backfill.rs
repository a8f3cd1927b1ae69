//! Backfills: a long history in slices, beside what people wait for.

use paceline_simulator::StartRange;
use paceline_tests::{
    rows,
    stack::{SOON, Stack},
    truth::WHOLE,
};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

const BACKFILLS: &str = "/api/v1/backfills";

/// From twenty years ago on, in slices of so many days.
fn whole(days: u16) -> Value {
    let after = (chrono::Utc::now() - chrono::Duration::days(20 * 365)).timestamp();
    json!({ "provider": "strava", "jobType": "activities", "timeRange": { "after": after }, "sliceDays": days })
}

fn ids(answer: &Value) -> Vec<Uuid> {
    answer["syncIds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| id.as_str().unwrap().parse().unwrap())
        .collect()
}

#[tokio::test]
async fn a_history_in_slices_is_whole_and_a_sync_runs_beside_it() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 260).await;
    let answer = user.client.post(BACKFILLS, &whole(366)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let slices = ids(&answer.body);
    assert_eq!(answer.body["slices"], slices.len());
    assert_eq!((&answer.body["queued"], &answer.body["joined"]), (&json!(slices.len()), &json!(0)));
    let sync = user.client.start_sync(&json!({})).await;
    assert_eq!(user.client.sync(slices[0]).await.status, "INITIATED");
    let listed = user.client.all("/api/v1/syncs?", 200).await;
    assert_eq!(listed.len(), slices.len() + 1);

    let _worker = stack.worker().await;
    user.client.wait_done(sync, SOON).await;
    let mut fetched = 0;
    for slice in slices {
        let done = user.client.wait_done(slice, SOON).await;
        fetched += done.results.unwrap().fetch.total_fetched;
    }
    let athlete = stack.world().athlete(user.athlete, StartRange::default()).unwrap();
    assert_eq!(fetched, athlete.activities, "each in one slice");
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn the_same_backfill_asked_for_twice_is_one() {
    let stack = Stack::new().await;
    let user = stack.user("ann", 1).await;
    let first = user.client.post(BACKFILLS, &whole(90)).await;
    let again = user.client.post(BACKFILLS, &whole(90)).await;
    assert_eq!((again.status.as_u16(), &again.body["queued"]), (202, &json!(0)));
    assert_eq!(again.body["joined"], first.body["queued"]);
    assert_eq!(ids(&again.body), ids(&first.body));

    // With a key it is even the same answer.
    let keyed = async |body: &Value| {
        let request =
            user.client.request(Method::POST, BACKFILLS).header("idempotency-key", "once");
        user.client.send(request.json(body)).await
    };
    let body = whole(30);
    let (one, two) = (keyed(&body).await, keyed(&body).await);
    assert_eq!(two.headers["idempotency-replayed"], "true");
    assert_eq!(one.body, two.body);
    let other = keyed(&whole(31)).await.problem();
    assert_eq!((other.status, other.kind.as_str()), (422, "/problems/idempotency-key-reused"));
}

#[tokio::test]
async fn what_cannot_be_backfilled_is_told_why_and_nothing_is_queued() {
    let stack = Stack::new().await;
    let ann = stack.user("ann", 1).await;
    for (field, change) in [
        ("sliceDays", json!({ "sliceDays": 0 })),
        ("sliceDays", json!({ "sliceDays": 367 })),
        ("sliceDays", json!({ "sliceDays": 1 })),
        ("timeRange", json!({ "timeRange": { "after": 200, "before": 100 } })),
        ("timeRange.after", json!({ "timeRange": { "after": 4_000_000_000_i64 } })),
        ("timeRange.after", json!({ "timeRange": {} })),
        ("timeRange", json!({ "timeRange": null })),
        ("jobType", json!({ "provider": "google_health" })),
        ("options.timeoutSeconds", json!({ "options": { "timeoutSeconds": 29 } })),
        ("options.timeoutSeconds", json!({ "options": { "timeoutSeconds": 21_601 } })),
    ] {
        let mut body = whole(30);
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let problem = ann.client.post(BACKFILLS, &body).await.problem();
        assert_eq!(
            (problem.status, problem.kind.as_str()),
            (422, "/problems/invalid-request"),
            "{body}"
        );
        let fields: Vec<&str> = problem.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, [field], "{body}: {problem:?}");
    }
    let nobody = stack.client("nobody").post(BACKFILLS, &whole(30)).await.problem();
    assert_eq!((nobody.status, nobody.kind.as_str()), (409, "/problems/not-connected"));
    let mut for_ann = whole(30);
    for_ann["userId"] = json!("ann");
    let bob = stack.client("bob").post(BACKFILLS, &for_ann).await.problem();
    assert_eq!((bob.status, bob.kind.as_str()), (403, "/problems/another-user"));
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_jobs").await, 0);
}
