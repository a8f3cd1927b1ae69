//! The breaker: when a provider is down the fleet stops asking, finds out with single calls, and goes on
//! as soon as one succeeds.

use paceline_simulator::{Config, Fault, FaultRule};
use paceline_tests::{
    rows,
    stack::{ACTIVITIES, SOON, Stack, User, WorkerSetup},
    truth::WHOLE,
    wait::{eventually, until},
};
use serde_json::json;
use std::time::Duration;

/// A breaker that opens after a few calls.
fn touchy(pause: &str) -> WorkerSetup {
    let options = ["--breaker-calls", "6", "--breaker-window", "12s", "--breaker-pause", pause];
    WorkerSetup { slots: 2, options: options.map(str::to_owned).to_vec(), ..WorkerSetup::default() }
}

fn down() -> FaultRule {
    FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        ..FaultRule::new(Fault::Status { code: 503, html: true, day: false })
    }
}

/// State, openings since it was closed, and whether a worker may probe.
async fn breaker(stack: &Stack) -> (String, i32, bool) {
    sqlx::query_as(
        "select breaker, breaker_trips, breaker_probe is not null from paceline.lanes where lane = 'strava'",
    )
    .fetch_one(&*stack.db)
    .await
    .unwrap()
}

async fn people(stack: &Stack) -> Vec<User> {
    let mut all = Vec::new();
    for name in ["ann", "bob", "cy", "dee"] {
        all.push(stack.user(name, 250).await);
    }
    all
}

fn asked(stack: &Stack, users: &[User]) -> usize {
    users.iter().map(|user| stack.page_requests(user.athlete).len()).sum()
}

#[tokio::test]
async fn a_provider_that_is_down_is_left_alone_until_a_probe_succeeds() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let users = people(&stack).await;
    let fault = stack.world().add_fault(down()).unwrap();
    let _workers = [stack.worker_with(touchy("3s")).await, stack.worker_with(touchy("3s")).await];
    let mut syncs = Vec::new();
    for user in &users {
        syncs.push(user.client.start_sync(&json!({})).await);
    }
    until("the breaker opens", SOON, async || breaker(&stack).await.0 == "open").await;
    // Each worker hears of it within a second; what was under way has ended by then.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = asked(&stack, &users);

    let fay = stack.user("fay", 10).await;
    let fays = fay.client.start_sync(&json!({})).await;
    let (_, waiting) = fay.client.wait_parked(fays, SOON).await;
    assert_eq!(waiting.reason, "breaker_open");
    assert!(waiting.reset_at.is_some(), "{waiting:?}");

    // Probes at 3 s, and 6 s after that: one call each.
    let trips = eventually("two probes have failed", SOON, async || {
        let (state, trips, _) = breaker(&stack).await;
        (state == "open" && trips >= 3).then_some(trips)
    })
    .await;
    let probes = asked(&stack, &users) + stack.page_requests(fay.athlete).len() - before;
    assert_eq!(probes, usize::try_from(trips - 1).unwrap(), "one call a probe");

    assert!(stack.world().remove_fault(fault));
    for (user, id) in users.iter().chain([&fay]).zip(syncs.iter().chain([&fays])) {
        user.client.wait_done(*id, SOON).await;
        stack.assert_true(user, WHOLE).await;
    }
    assert_eq!(breaker(&stack).await, ("closed".to_owned(), 0, false));
    let burnt = "select count(*) from paceline.sync_attempts";
    assert!(rows::number(&stack.db, burnt).await <= 4, "an open breaker costs no attempt");
}

#[tokio::test]
async fn the_right_to_probe_ends_with_its_worker() {
    let mut stack = Stack::new().await;
    let ann = stack.user("ann", 50).await;
    let nobody = "update paceline.lanes set breaker = 'half_open', breaker_probe = gen_random_uuid(), breaker_trips = 1,
                    breaker_until = clock_timestamp() + interval '3 seconds' where lane = 'strava'";
    rows::change(&stack.db, nobody).await;
    let _worker = stack.worker_with(touchy("1s")).await;
    let id = ann.client.start_sync(&json!({})).await;
    let (_, waiting) = ann.client.wait_parked(id, SOON).await;
    assert_eq!(waiting.reason, "breaker_open");
    assert_eq!(stack.page_requests(ann.athlete).len(), 0);
    ann.client.wait_done(id, SOON).await;
    assert_eq!(breaker(&stack).await.0, "closed");
}

#[tokio::test]
async fn the_right_to_probe_goes_to_a_worker_that_can_take_the_job() {
    let mut stack = Stack::new().await;
    let (ann, bob) = (stack.user("ann", 50).await, stack.user("bob", 50).await);
    // A call that began before the breaker opened keeps the only slot of a worker.
    let stall = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        athlete: Some(ann.athlete),
        ..FaultRule::new(Fault::Stall { seconds: 600.0 })
    };
    let stall = stack.world().add_fault(stall).unwrap();
    let setup =
        |slots| WorkerSetup { slots, http_idle_timeout: Duration::from_mins(1), ..touchy("1s") };
    let mut busy = stack.worker_with(setup(1)).await;
    ann.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    rows::change(
        &stack.db,
        "update paceline.lanes set breaker = 'open', breaker_until = clock_timestamp(), breaker_trips = 1
          where lane = 'strava'",
    )
    .await;
    let id = bob.client.start_sync(&json!({})).await;
    // Each worker looks once a second.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(breaker(&stack).await, ("open".to_owned(), 1, false), "nobody has room for it");
    let _free = stack.worker_with(setup(2)).await;
    bob.client.wait_done(id, SOON).await;
    assert_eq!(breaker(&stack).await.0, "closed");
    busy.kill_9();
}

#[tokio::test]
async fn refusals_that_are_about_one_user_open_nothing() {
    let mut stack = Stack::new().await;
    let users = people(&stack).await;
    for user in &users {
        let gone = FaultRule {
            athlete: Some(user.athlete),
            ..FaultRule::new(Fault::Status { code: 404, html: false, day: false })
        };
        stack.world().add_fault(gone).unwrap();
    }
    let _worker = stack.worker_with(touchy("1s")).await;
    for user in users.iter().chain(&users) {
        let id = user.client.start_sync(&json!({})).await;
        user.client.wait_over(id, SOON).await;
    }
    let counted = "select coalesce(sum(calls), 0)::bigint from paceline.breaker_counts";
    until("the calls are counted", SOON, async || rows::number(&stack.db, counted).await >= 8)
        .await;
    let failed = "select coalesce(sum(failures), 0)::bigint from paceline.breaker_counts";
    assert_eq!(rows::number(&stack.db, failed).await, 0);
    assert_eq!(breaker(&stack).await.0, "closed");
}
