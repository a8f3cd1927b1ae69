//! Workers that shall end: asked by an operator, with Postgres away, or beside newer ones.

use paceline_shared::{
    WorkerId,
    db::workers::{self, Drain, State},
};
use paceline_simulator::{Fault, FaultRule};
use paceline_tests::{
    proxy::Proxy,
    rows,
    stack::{ACTIVITIES, SOON, Stack, WorkerSetup},
    truth::WHOLE,
    wait::eventually,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// A worker that is asked to end has ended after this, whatever Postgres does: half a minute is what
/// schedulers give.
const DRAINED: Duration = Duration::from_secs(30);

fn stall(stack: &Stack, page: u32) -> u64 {
    let rule = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(page),
        count: Some(1),
        ..FaultRule::new(Fault::Stall { seconds: 60.0 })
    };
    stack.world().add_fault(rule).unwrap()
}

/// The only worker, once it has said that it is there.
async fn only(stack: &Stack) -> workers::Worker {
    eventually("the worker has said hello", SOON, async || {
        workers::list(&*stack.db).await.unwrap().into_iter().next()
    })
    .await
}

async fn ask(stack: &Stack, id: WorkerId) -> Drain {
    let mut tx = stack.db.begin().await.unwrap();
    let asked = workers::request_drain(&mut tx, id, "olga").await.unwrap();
    tx.commit().await.unwrap();
    asked
}

#[tokio::test]
async fn a_worker_that_an_operator_drains_hands_its_sync_back_and_ends_well() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 450).await;
    let stall = stall(&stack, 2);
    let labelled = ["--label", "left"].map(str::to_owned).to_vec();
    let setup = WorkerSetup { options: labelled, slots: 3, ..WorkerSetup::default() };
    let mut worker = stack.worker_with(setup).await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    let seen = only(&stack).await;
    assert_eq!((seen.label.as_str(), seen.slots, seen.state), ("left", 3, State::Alive));
    assert_eq!(seen.pid, i32::try_from(worker.pid()).unwrap());
    assert!(seen.providers.contains(&"strava".to_owned()) && !seen.host.is_empty());

    assert_eq!(ask(&stack, WorkerId::fresh()).await, Drain::Unknown);
    assert_eq!(ask(&stack, seen.id).await, Drain::Asked);
    assert_eq!(ask(&stack, seen.id).await, Drain::AlreadyAsked);
    let asked = only(&stack).await;
    assert_eq!((asked.state, asked.drain_requested_by.as_deref()), (State::Draining, Some("olga")));
    assert_eq!(worker.wait(DRAINED).await.code(), Some(0));
    let run = rows::run(&stack.db, id).await.unwrap();
    assert_eq!((run.state.as_str(), run.attempt, run.last_page), ("queued", 0, 1));
    assert_eq!(only(&stack).await.state, State::Stopped);
    assert_eq!(ask(&stack, seen.id).await, Drain::Stopped);

    let _next = stack.worker().await;
    assert_eq!(user.client.wait_done(id, SOON).await.attempt, 1);
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn a_killed_worker_is_seen_as_lost() {
    let mut stack = Stack::new().await;
    let mut worker = stack.worker().await;
    assert_eq!(only(&stack).await.state, State::Alive);
    worker.kill_9();
    let silent = "update paceline.workers set beat_at = clock_timestamp() - interval '14 seconds'";
    rows::change(&stack.db, silent).await;
    assert_eq!(only(&stack).await.state, State::Lost);
}

#[tokio::test]
async fn a_draining_worker_whose_postgres_is_away_ends_and_its_sync_goes_on_elsewhere() {
    let mut stack = Stack::new().await;
    let proxy = Proxy::start(stack.db.url()).await;
    let user = stack.user("ann", 450).await;
    let stall = stall(&stack, 2);
    stack.reroute(&proxy.url());
    let mut worker = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    drop(proxy);
    worker.sigterm();
    let began = Instant::now();
    assert_eq!(worker.wait(DRAINED).await.code(), Some(0));
    assert!(began.elapsed() > Duration::from_secs(1), "it tried to hand its sync back");

    rows::age_leases(&stack.db).await;
    let direct = stack.db.url().to_owned();
    stack.reroute(&direct);
    let _other = stack.worker().await;
    assert_eq!(user.client.wait_done(id, SOON).await.attempt, 1);
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn a_draining_worker_ends_although_nothing_answers() {
    let mut stack = Stack::new().await;
    let proxy = Proxy::start(stack.db.url()).await;
    let user = stack.user("ann", 450).await;
    let stall = stall(&stack, 2);
    stack.reroute(&proxy.url());
    let mut worker = stack.worker().await;
    user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    // Connections stand and carry nothing; to the process, Postgres only takes its time.
    for link in proxy.links() {
        link.silence();
    }
    worker.sigterm();
    assert_eq!(worker.wait(DRAINED).await.code(), Some(0));
}

#[tokio::test]
async fn a_worker_leaves_alone_what_only_a_newer_one_can_read() {
    let mut stack = Stack::new().await;
    let (ann, bob) = (stack.user("ann", 30).await, stack.user("bob", 30).await);
    let newer = ann.client.start_sync(&json!({})).await;
    rows::change(&stack.db, "update paceline.sync_jobs set payload_version = 99").await;
    let ours = bob.client.start_sync(&json!({})).await;
    let _worker = stack.worker().await;
    bob.client.wait_done(ours, SOON).await;
    let run = rows::run(&stack.db, newer).await.unwrap();
    assert_eq!((run.state.as_str(), run.attempt), ("queued", 0));
    // Now the worker is as new as the job.
    rows::change(&stack.db, "update paceline.sync_jobs set payload_version = 1").await;
    ann.client.wait_done(newer, SOON).await;
}
