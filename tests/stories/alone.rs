//! A sync that workers are lost with runs alone in the end, so that it takes no other with it.

use paceline_simulator::{Fault, FaultRule};
use paceline_tests::{
    process::Process,
    rows,
    stack::{ACTIVITIES, SOON, Stack, User, WorkerSetup},
    truth::WHOLE,
    wait::until,
};
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

const RUNNING: &str = "select count(*) from paceline.sync_jobs where worker is not null";

/// A page of this person's list hangs, whoever asks for it.
fn hang(stack: &Stack, user: &User, page: u32) -> u64 {
    let rule = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        athlete: Some(user.athlete),
        page: Some(page),
        ..FaultRule::new(Fault::Stall { seconds: 300.0 })
    };
    stack.world().add_fault(rule).unwrap()
}

/// Two workers have been lost with this sync where it is now.
async fn suspect(stack: &Stack, sync: Uuid) {
    sqlx::query("update paceline.sync_jobs set crashes = 2 where id = $1")
        .bind(sync)
        .execute(&*stack.db)
        .await
        .unwrap();
}

async fn crashes(stack: &Stack, sync: Uuid) -> i16 {
    sqlx::query_scalar("select crashes from paceline.sync_jobs where id = $1")
        .bind(sync)
        .fetch_one(&*stack.db)
        .await
        .unwrap()
}

/// The owner of every lease has been silent for longer than a lease, and no longer than the server is up.
async fn lost(stack: &Stack, worker: &mut Process) {
    until("the server is older than a lease", SOON, async || {
        rows::uptime(&stack.db).await > Duration::from_secs(16)
    })
    .await;
    worker.kill_9();
    let silent = "update paceline.sync_runs set beat_at = clock_timestamp() - interval '14 seconds'
                   where worker is not null";
    rows::change(&stack.db, silent).await;
    // Its duties have run out as well.
    rows::change(&stack.db, "update paceline.duties set until = clock_timestamp()").await;
}

#[tokio::test]
async fn a_poison_sync_is_taken_out_and_its_neighbours_lose_nothing() {
    let mut stack = Stack::new().await;
    let poison = stack.user("poison", 30).await;
    let (ann, bob) = (stack.user("ann", 450).await, stack.user("bob", 30).await);
    let trap = hang(&stack, &poison, 1);
    let slow = hang(&stack, &ann, 3);
    let bad = poison.client.start_sync(&json!({})).await;
    suspect(&stack, bad).await;
    let good = ann.client.start_sync(&json!({})).await;
    let mut first = stack.worker().await;
    stack.struck(slow, 1).await;
    // It makes room: what does not come to its end is handed back, and only the suspect runs.
    stack.struck(trap, 1).await;
    assert_eq!(rows::run(&stack.db, bad).await.unwrap().state, "running");
    let neighbour = rows::run(&stack.db, good).await.unwrap();
    assert_eq!((neighbour.state.as_str(), neighbour.attempt), ("queued", 0), "uncounted");
    let late = bob.client.start_sync(&json!({})).await;
    // More than two looks: nothing is claimed beside it.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(rows::number(&stack.db, RUNNING).await, 1);

    stack.world().clear_faults();
    lost(&stack, &mut first).await;
    let _second = stack.worker().await;
    let failed = poison.client.wait_over(bad, SOON).await;
    assert_eq!(failed.error.unwrap().code, "worker_lost");
    for (user, sync) in [(&ann, good), (&bob, late)] {
        let done = user.client.wait_done(sync, SOON).await;
        assert_eq!(done.attempt, 1, "the loss cost no neighbour an attempt");
        stack.assert_true(user, WHOLE).await;
    }
    let spared =
        "select count(*) from paceline.sync_history where crashes = 0 and status = 'completed'";
    assert_eq!(rows::number(&stack.db, spared).await, 2);
}

#[tokio::test]
async fn one_worker_of_the_fleet_makes_room_and_the_others_go_on() {
    let mut stack = Stack::new().await;
    let (poison, ann) = (stack.user("poison", 30).await, stack.user("ann", 300).await);
    let trap = hang(&stack, &poison, 1);
    let bad = poison.client.start_sync(&json!({})).await;
    suspect(&stack, bad).await;
    let _workers = [stack.worker().await, stack.worker().await, stack.worker().await];
    stack.struck(trap, 1).await;
    let done = ann.sync_all(&json!({})).await;
    assert_eq!(done.attempt, 1);
    let holders = "select count(*) from paceline.duties where until > clock_timestamp()";
    assert_eq!(rows::number(&stack.db, holders).await, 1);
    assert_eq!(crashes(&stack, bad).await, 2);
    assert_eq!(rows::run(&stack.db, bad).await.unwrap().state, "running", "and it stays alone");
}

#[tokio::test]
async fn a_suspect_that_gets_past_its_place_is_like_any_other_again() {
    let mut stack = Stack::new().await;
    let (once, ann) = (stack.user("once", 650).await, stack.user("ann", 30).await);
    let trap = hang(&stack, &once, 3);
    let sync = once.client.start_sync(&json!({})).await;
    suspect(&stack, sync).await;
    let worker = WorkerSetup { slots: 2, ..WorkerSetup::default() };
    let _worker = stack.worker_with(worker).await;
    stack.struck(trap, 1).await;
    // It has moved its checkpoint twice and hangs elsewhere: others run beside it.
    ann.sync_all(&json!({})).await;
    assert_eq!(rows::run(&stack.db, sync).await.unwrap().state, "running");
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.duties").await, 0);
}

#[tokio::test]
async fn suspects_follow_one_another_without_a_pause_between_them() {
    let mut stack = Stack::new().await;
    let mut traps = vec![];
    for name in ["ann", "bob", "cleo", "dan"] {
        let user = stack.user(name, 650).await;
        traps.push(hang(&stack, &user, 3));
        let sync = user.client.start_sync(&json!({})).await;
        suspect(&stack, sync).await;
    }
    let began = Instant::now();
    let _worker = stack.worker().await;
    for trap in traps {
        stack.struck(trap, 1).await;
    }
    // To make room anew, for each of them, takes five seconds.
    assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
    let suspects = "select count(*) from paceline.sync_jobs where crashes > 0 and worker is null";
    assert_eq!(rows::number(&stack.db, suspects).await, 0);
}

#[tokio::test]
async fn for_a_suspect_that_its_lane_holds_back_nothing_is_handed_back() {
    let mut stack = Stack::new().await;
    let (late, ann) = (stack.user("late", 30).await, stack.user("ann", 30).await);
    let slow = hang(&stack, &ann, 1);
    let held = late.client.start_sync(&json!({})).await;
    suspect(&stack, held).await;
    rows::change(&stack.db, "update paceline.sync_jobs set class = 1").await;
    let blocked = "update paceline.lanes set blocked_until = now() + interval '1 hour', blocked_below = 3,
                          blocked_reason = 'quota_exceeded', blocked_scope = 'day' where lane = 'strava'";
    rows::change(&stack.db, blocked).await;
    let runs = ann.client.start_sync(&json!({})).await;
    let _worker = stack.worker().await;
    stack.struck(slow, 1).await;
    // Two looks, and the time after which what runs would be handed back.
    tokio::time::sleep(Duration::from_secs(9)).await;
    let row = rows::run(&stack.db, runs).await.unwrap();
    assert_eq!(row.state, "running");
    let claims = "select max(lease_epoch) from paceline.sync_runs";
    assert_eq!(rows::number(&stack.db, claims).await, 1);
}
