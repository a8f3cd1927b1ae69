//! Quotas: waiting holds no slot, costs no attempt, and nothing is asked beyond what is allowed.

use chrono::{DateTime, Duration, Utc};
use paceline_simulator::{Allowance, Config, Fault, FaultRule, StravaQuota};
use paceline_tests::{
    client::Client,
    rows,
    stack::{ACTIVITIES, SOON, Stack, WorkerSetup, next_quarter_hour},
    truth::WHOLE,
    wait::until,
};
use serde_json::json;

/// The quarter may end while the test runs; a little after the border is as good.
fn is_next_quarter(reset: DateTime<Utc>, asked_at: DateTime<Utc>) -> bool {
    [next_quarter_hour(asked_at), next_quarter_hour(Utc::now())]
        .iter()
        .any(|border| (Duration::zero()..=Duration::minutes(1)).contains(&(reset - border)))
}

/// What a sync waits for, and until when.
async fn waits_for(client: &Client, id: uuid::Uuid) -> (String, Option<DateTime<Utc>>) {
    let (_, waiting) = client.wait_parked(id, SOON).await;
    (waiting.reason, waiting.reset_at)
}

#[tokio::test]
async fn a_sync_told_to_wait_holds_no_slot_and_loses_no_attempt() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let ann = stack.user("ann", 410).await;
    let bob = stack.user("bob", 100).await;
    let limited = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        athlete: Some(ann.athlete),
        page: Some(2),
        count: Some(1),
        ..FaultRule::new(Fault::Status { code: 429, html: false, day: false })
    };
    stack.world().add_fault(limited).unwrap();
    let _worker = stack.worker_with(WorkerSetup { slots: 1, ..WorkerSetup::default() }).await;
    let asked_at = Utc::now();
    let id = ann.client.start_sync(&json!({})).await;
    let (sync, waiting) = ann.client.wait_parked(id, SOON).await;
    assert!(["rate_limit", "quota_exceeded"].contains(&waiting.reason.as_str()), "{waiting:?}");
    assert!(is_next_quarter(waiting.reset_at.unwrap(), asked_at), "{waiting:?}");
    assert_eq!((sync.status.as_str(), sync.attempt), ("FETCHING_ACTIVITIES", 0));
    let run = rows::run(&stack.db, id).await.unwrap();
    assert_eq!((run.state.as_str(), run.worker, run.last_page), ("waiting", None, 1));

    // The quota is the application's: nobody else is asked for either, and each of them sees why.
    let bobs = bob.client.start_sync(&json!({})).await;
    let (reason, reset) = waits_for(&bob.client, bobs).await;
    assert_eq!(reason, "rate_limit");
    assert!(is_next_quarter(reset.unwrap(), asked_at));
    let run = rows::run(&stack.db, bobs).await.unwrap();
    assert_eq!((run.state.as_str(), run.worker, run.attempt), ("queued", None, 0));

    rows::open_windows(&stack.db).await;
    bob.client.wait_done(bobs, SOON).await;
    let done = ann.client.wait_done(id, SOON).await;
    assert_eq!(done.attempt, 1);
    stack.assert_true(&ann, WHOLE).await;
    stack.assert_true(&bob, WHOLE).await;
    assert_eq!(stack.repeated_pages(ann.athlete), 1, "the one that was refused");
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_attempts").await, 0);
}

#[tokio::test]
async fn a_quota_is_used_up_and_never_overrun() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let two = Allowance { quarter_hour: 2, day: 1000 };
    stack.world().set_strava_quota(StravaQuota { overall: two, read: two });
    let ann = stack.user("ann", 810).await;
    // To connect an account costs a read.
    stack.world().forget_strava_usage();
    let _worker = stack.worker().await;
    let asked_at = Utc::now();
    let id = ann.client.start_sync(&json!({})).await;
    for pages in [2, 4] {
        until("it has read what the quota allows", SOON, async || {
            let run = rows::run(&stack.db, id).await.unwrap();
            run.state == "waiting" && run.last_page == pages
        })
        .await;
        let (_, waiting) = ann.client.wait_parked(id, SOON).await;
        assert_eq!(waiting.reason, "rate_limit");
        assert!(is_next_quarter(waiting.reset_at.unwrap(), asked_at), "{waiting:?}");
        stack.world().forget_strava_usage();
        rows::open_windows(&stack.db).await;
    }
    let done = ann.client.wait_done(id, SOON).await;
    assert_eq!(done.attempt, 1);
    stack.assert_true(&ann, WHOLE).await;
    assert_eq!(stack.repeated_pages(ann.athlete), 0);
    assert_eq!(
        stack.world().strava_calls().over_limit,
        0,
        "nothing was asked that could only be refused"
    );
}

#[tokio::test]
async fn a_spent_day_is_waited_for_until_midnight() {
    let mut stack = Stack::new().await;
    let ann = stack.user("ann", 50).await;
    let day = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        count: Some(1),
        ..FaultRule::new(Fault::Status { code: 429, html: false, day: true })
    };
    stack.world().add_fault(day).unwrap();
    let _worker = stack.worker().await;
    let asked_at = Utc::now();
    let id = ann.client.start_sync(&json!({})).await;
    let (_, waiting) = ann.client.wait_parked(id, SOON).await;
    let midnight = |now: DateTime<Utc>| {
        (now.date_naive() + Duration::days(1)).and_time(chrono::NaiveTime::MIN).and_utc()
    };
    let late = waiting.reset_at.unwrap() - midnight(asked_at);
    let is_midnight = (Duration::zero()..=Duration::minutes(1)).contains(&late)
        || (Duration::zero()..=Duration::minutes(1)).contains(&(late - Duration::days(1)));
    assert!(is_midnight, "{waiting:?}");
}
