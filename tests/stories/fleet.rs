//! Several workers, workers that are asked to end, several callers at once.

use paceline_simulator::{Config, Fault, FaultRule};
use paceline_tests::{
    client::Client,
    process::Process,
    proxy::{Conditions, Proxy},
    rows,
    stack::{ACTIVITIES, SOON, Stack, WorkerSetup},
    truth::WHOLE,
    wait::until,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// A worker that is asked to end has ended after this.
const DRAINED: Duration = Duration::from_secs(15);

async fn metric(worker: &Process, name: &str) -> f64 {
    let text = Client::new(format!("http://{}", worker.address()), None).get("/metrics").await.text;
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn two_workers_share_the_work() {
    let slow = Config { latency: Duration::from_millis(60), ..Config::default() };
    let mut stack = Stack::in_world(slow).await;
    let one_slot = WorkerSetup { slots: 1, ..WorkerSetup::default() };
    let workers = [stack.worker_with(one_slot.clone()).await, stack.worker_with(one_slot).await];
    let mut syncs = Vec::new();
    for n in 0..4 {
        let user = stack.user(&format!("user-{n}"), 120).await;
        syncs.push((user.client.start_sync(&json!({})).await, user));
    }
    for (id, user) in &syncs {
        user.client.wait_done(*id, SOON).await;
        stack.assert_true(user, WHOLE).await;
        assert_eq!(stack.repeated_pages(user.athlete), 0, "each page was asked for by one of them");
    }
    let mut claimed = 0.0;
    for worker in &workers {
        let mine = metric(worker, "paceline_jobs_claimed_total").await;
        assert!(mine >= 1.0, "one worker had nothing to do");
        claimed += mine;
    }
    assert!((claimed - 4.0).abs() < f64::EPSILON, "{claimed} claims for four syncs");
}

#[tokio::test]
async fn a_worker_asked_to_end_hands_its_sync_back_and_another_finishes_it() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 650).await;
    // It cannot come to a safe point: the answer does not come.
    let stall = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(3),
        count: Some(1),
        ..FaultRule::new(Fault::Stall { seconds: 60.0 })
    };
    let stall = stack.world().add_fault(stall).unwrap();
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    first.sigterm();
    let status = first.wait(DRAINED).await;
    assert_eq!(status.code(), Some(0), "{status}");
    let run = rows::run(&stack.db, id).await.unwrap();
    assert_eq!(
        (run.state.as_str(), run.attempt, run.worker, run.last_page),
        ("queued", 0, None, 2)
    );
    let gone = "select count(*) from paceline.workers where stopped_at is not null and jobs = 0";
    assert_eq!(rows::number(&stack.db, gone).await, 1, "it said goodbye");

    let _second = stack.worker().await;
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!(done.attempt, 1);
    stack.assert_true(&user, WHOLE).await;
    assert_eq!(stack.repeated_pages(user.athlete), 1);
}

#[tokio::test]
async fn a_worker_asked_to_end_finishes_the_page_in_its_hands() {
    let slow = Config { latency: Duration::from_millis(400), ..Config::default() };
    let mut stack = Stack::in_world(slow).await;
    let user = stack.user("ann", 650).await;
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({ "skipWeatherEnrichment": true })).await;
    until("a page is there", SOON, async || rows::run(&stack.db, id).await.unwrap().last_page >= 1)
        .await;
    first.sigterm();
    let began = Instant::now();
    assert_eq!(first.wait(DRAINED).await.code(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "a safe point is near: {:?}",
        began.elapsed()
    );
    stack.world().set_latency(Duration::ZERO);
    let _second = stack.worker().await;
    user.client.wait_done(id, SOON).await;
    assert_eq!(stack.repeated_pages(user.athlete), 0, "nothing was thrown away");
}

#[tokio::test]
async fn an_idle_worker_ends_at_once() {
    let mut stack = Stack::new().await;
    let mut worker = stack.worker().await;
    let ready = Client::new(format!("http://{}", worker.address()), None);
    assert_eq!(ready.get("/readyz").await.status, 200);
    let began = Instant::now();
    worker.sigterm();
    assert_eq!(worker.wait(DRAINED).await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[tokio::test]
async fn of_twenty_starts_at_once_one_is_accepted_and_the_others_name_it() {
    let stack = Stack::new().await;
    let user = stack.user("ann", 10).await;
    let answers = futures::future::join_all(
        (0..20).map(|_| async { user.client.ask_sync(&json!({})).await }),
    )
    .await;
    let accepted: Vec<_> = answers.iter().filter(|answer| answer.status == 202).collect();
    let [accepted] = accepted.as_slice() else { panic!("{} were accepted", accepted.len()) };
    let id = accepted.sync(202).sync_id;
    for refused in answers.iter().filter(|answer| answer.status != 202) {
        let problem = refused.problem();
        assert_eq!((problem.status, problem.kind.as_str()), (409, "/problems/already-running"));
        assert_eq!(problem.sync_id, Some(id));
    }
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_jobs").await, 1);
}

#[tokio::test]
async fn a_worker_is_woken_up_and_does_not_wait_for_its_next_look() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 1).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let mut waits = Vec::new();
    for _ in 0..10 {
        user.sync_all(&json!({})).await;
        let wait: f64 = sqlx::query_scalar(
            "select extract(epoch from started_at - created_at)::float8 from paceline.sync_history order by created_at desc limit 1",
        )
        .fetch_one(&*stack.db)
        .await
        .unwrap();
        waits.push(wait);
    }
    waits.sort_by(f64::total_cmp);
    assert!(waits[5] < 0.5, "half a second is less than a poll: {waits:?}");
}

#[tokio::test]
async fn a_child_ends_with_its_parent() {
    let mut stack = Stack::new().await;
    let mut worker = stack.worker().await;
    worker.close_stdin();
    assert_eq!(worker.wait(DRAINED).await.code(), Some(0));
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_costs_its_sync_neither_a_lease_nor_a_crash() {
    let mut stack = Stack::new().await;
    let proxy = Proxy::start(stack.db.url()).await;
    let user = stack.user("ann", 30).await;
    let id = user.client.start_sync(&json!({})).await;
    proxy.set(Conditions { statements_lost: 1.0, ..Conditions::default() });
    stack.reroute(&proxy.url());
    let worker = stack.worker().await;
    until("it is claimed, and nobody knows", SOON, async || {
        rows::run(&stack.db, id).await.unwrap().worker.is_some()
    })
    .await;
    proxy.set(Conditions::default());
    let began = Instant::now();
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!(done.attempt, 1);
    assert!(began.elapsed() < Duration::from_secs(8), "less than a lease: {:?}", began.elapsed());
    assert!(worker.log().contains("handing back a job whose claim was not answered"));
    let crashed = "select count(*) from paceline.sync_history where crashes > 0";
    assert_eq!(rows::number(&stack.db, crashed).await, 0);
}

#[tokio::test]
async fn a_worker_whose_connections_all_fell_silent_works_again_on_others() {
    let mut stack = Stack::new().await;
    let proxy = Proxy::start(stack.db.url()).await;
    stack.reroute(&proxy.url());
    let mut worker = stack.worker().await;
    let user = stack.user("ann", 30).await;
    user.sync_all(&json!({})).await;
    let silenced = proxy.links();
    assert!(silenced.len() >= 3, "{}", silenced.len());
    for link in &silenced {
        link.silence();
    }
    let began = Instant::now();
    let id = user.client.start_sync(&json!({})).await;
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!(done.attempt, 1);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert!(worker.is_running());
}
