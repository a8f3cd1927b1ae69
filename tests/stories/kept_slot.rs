//! Codes have slots of their own, go past everything that holds syncs back, and are sent once: whatever happens to the
//! answer, to the provider, or to the worker meanwhile.

use paceline_simulator::{Fault, FaultRule, Population};
use paceline_tests::{
    browser::{Browser, Shown},
    rows,
    stack::{SOON, Stack, WorkerSetup},
    wait::until,
};
use serde_json::json;
use std::time::{Duration, Instant};

const TOKEN: &str = "/strava/oauth/token";

/// A user who has consented and comes back with a code; the page he sees then, and his browser.
async fn came_back(stack: &Stack) -> (Browser, Shown) {
    let population = Population { activities: 3, years: 1, ..Population::default() };
    let athlete = stack.world().add_athlete(&population).unwrap().to_string();
    let answer = stack.client("ann").post("/api/v1/connections/strava/authorize", &json!({})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let mut browser = Browser::default();
    let link = answer.body["url"].as_str().unwrap();
    let callback = browser.consent(link, &[("auto", &athlete)]).await;
    let page = browser.come_back(&callback).await;
    (browser, page)
}

/// How often a code was sent.
fn sent(stack: &Stack) -> usize {
    stack.world().log(0, usize::MAX).iter().filter(|entry| entry.path == TOKEN).count()
}

fn token_fault(fault: Fault, count: u64) -> FaultRule {
    FaultRule { path: Some(TOKEN.to_owned()), count: Some(count), ..FaultRule::new(fault) }
}

/// How the only authorization ended.
async fn outcome(stack: &Stack) -> Option<String> {
    sqlx::query_scalar("select outcome from paceline.authorizations")
        .fetch_one(&*stack.db)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_code_goes_past_full_slots_a_pause_and_an_open_breaker() {
    let mut stack = Stack::new().await;
    rows::change(
        &stack.db,
        "insert into paceline.sync_jobs
           (id, user_id, connection_id, provider, kind, job_type, class, time_range, run_at, sort_at, max_retries,
            payload, payload_version)
         values (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'strava', 'noop', 'activities', 3, '(,)',
                 now(), now(), 5, '{\"holdMs\": 600000}', 1)",
    )
    .await;
    let _worker = stack.worker_with(WorkerSetup { slots: 1, ..WorkerSetup::default() }).await;
    until("the only slot is taken", SOON, async || {
        rows::number(&stack.db, "select count(*) from paceline.sync_runs where worker is not null")
            .await
            == 1
    })
    .await;
    rows::change(
        &stack.db,
        "update paceline.lanes
            set paused_until = 'infinity', paused_at = now(), paused_by = 'ada', pause_reason = 'a test',
                breaker = 'open', breaker_until = now() + interval '1 hour',
                blocked_until = now() + interval '1 hour', blocked_reason = 'rate_limit'
          where lane = 'strava'",
    )
    .await;
    let began = Instant::now();
    let (mut browser, page) = came_back(&stack).await;
    let page = browser.watch(&page, SOON).await;
    assert!(page.html.contains("Strava is connected"), "{}", page.html);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let waits = "select count(*) from paceline.sync_jobs where kind = 'sync' and worker is null";
    assert_eq!(rows::number(&stack.db, waits).await, 1, "the first sync waits in its lane");
    let view = stack.client("ann").get("/api/v1/syncs").await;
    assert_eq!(view.body["items"].as_array().unwrap().len(), 1, "users see syncs alone");
}

#[tokio::test]
async fn the_first_sync_begins_when_another_one_has_left_its_place() {
    let mut stack = Stack::new().await;
    let (mut browser, page) = came_back(&stack).await;
    rows::change(
        &stack.db,
        "insert into paceline.sync_jobs
           (id, user_id, connection_id, provider, kind, job_type, class, time_range, waiting_for, run_at, sort_at,
            max_retries, payload, payload_version)
         select gen_random_uuid(), id, gen_random_uuid(), 'strava', 'sync', 'activities', 3, '(,)', 'rate_limit',
                'infinity', now(), 5, '{}', 1 from paceline.users",
    )
    .await;
    let _worker = stack.worker().await;
    let page = browser.watch(&page, SOON).await;
    assert!(page.html.contains("Strava is connected"), "{}", page.html);
    let waits = "select count(*) from paceline.sync_jobs where kind = 'exchange' and waiting_for = 'sync_under_way'";
    until("the exchange waits for the place", SOON, async || {
        rows::number(&stack.db, waits).await == 1
    })
    .await;
    let look = "update paceline.sync_jobs set run_at = now() where kind = 'exchange'";
    rows::change(&stack.db, look).await;
    let again = "select count(*) from paceline.sync_jobs where waiting_for = 'sync_under_way' and lease_epoch = 2";
    until("it waits again", SOON, async || rows::number(&stack.db, again).await == 1).await;
    rows::change(&stack.db, "delete from paceline.sync_jobs where kind = 'sync'").await;
    rows::change(&stack.db, look).await;
    until("the history is read", SOON, async || {
        let done = "select count(*) from paceline.sync_history where kind = 'sync' and status = 'completed'";
        rows::number(&stack.db, done).await == 1
    })
    .await;
    let left = "select count(*) from paceline.sync_jobs";
    until("nothing is left to do", SOON, async || rows::number(&stack.db, left).await == 0).await;
    assert_eq!(sent(&stack), 1);
}

#[tokio::test]
async fn a_code_that_was_not_looked_at_is_sent_again() {
    let mut stack = Stack::new().await;
    let away = Fault::Status { code: 503, html: true, day: false };
    stack.world().add_fault(token_fault(away, 2)).unwrap();
    let _worker = stack.worker().await;
    let (mut browser, page) = came_back(&stack).await;
    let page = browser.watch(&page, SOON).await;
    assert!(page.html.contains("Strava is connected"), "{}", page.html);
    assert_eq!(sent(&stack), 3);
}

#[tokio::test]
async fn a_code_whose_answer_was_lost_is_not_sent_twice() {
    let mut stack = Stack::new().await;
    stack.world().add_fault(token_fault(Fault::LoseAnswer, 1)).unwrap();
    let _worker = stack.worker().await;
    let (mut browser, page) = came_back(&stack).await;
    let page = browser.watch(&page, SOON).await;
    assert_eq!(outcome(&stack).await.as_deref(), Some("failed"), "{}", page.html);
    assert_eq!(sent(&stack), 1);
    let links = rows::number(&stack.db, "select count(*) from paceline.connections").await;
    assert_eq!(links, 0);
}

#[tokio::test]
async fn a_worker_that_shall_end_stores_what_its_code_bought() {
    let mut stack = Stack::new().await;
    let slow = Fault::Stall { seconds: 2.0 };
    stack.world().add_fault(token_fault(slow, 1)).unwrap();
    let mut worker = stack.worker().await;
    let (_browser, _page) = came_back(&stack).await;
    until("the code is on its way", SOON, async || {
        let sent = "select count(*) from paceline.authorizations where sent_at is not null";
        rows::number(&stack.db, sent).await == 1
    })
    .await;
    worker.sigterm();
    worker.wait(SOON).await;
    // The provider reset the connection in the end: that is an end as well, and it is written down.
    assert_eq!(outcome(&stack).await.as_deref(), Some("failed"));
    assert_eq!(sent(&stack), 1);
}

#[tokio::test]
async fn a_code_that_a_lost_worker_had_sent_is_not_sent_by_another() {
    let mut stack = Stack::new().await;
    stack.world().add_fault(token_fault(Fault::Stall { seconds: 60.0 }, 1)).unwrap();
    let mut worker = stack.worker().await;
    let (mut browser, page) = came_back(&stack).await;
    until("the code is on its way", SOON, async || {
        let sent = "select count(*) from paceline.authorizations where sent_at is not null";
        rows::number(&stack.db, sent).await == 1
    })
    .await;
    worker.kill_9();
    rows::age_leases(&stack.db).await;
    rows::change(
        &stack.db,
        "update paceline.authorizations set sent_at = sent_at - interval '2 minutes'",
    )
    .await;
    let _another = stack.worker().await;
    let page = browser.watch(&page, SOON).await;
    assert_eq!(outcome(&stack).await.as_deref(), Some("failed"), "{}", page.html);
    assert!(sent(&stack) <= 1, "{}", sent(&stack));
}

#[tokio::test]
async fn a_new_key_seals_a_fleets_tokens_while_it_runs() {
    let mut stack = Stack::new().await;
    let _worker = stack.worker().await;
    let (mut browser, page) = came_back(&stack).await;
    browser.watch(&page, SOON).await;
    let new = paceline_shared::sealing::Keyring::generate("next").unwrap();
    let rotate = |keys: &str| {
        std::process::Command::new(paceline_tests::binary::paceline())
            .args([
                "connections",
                "rotate-key",
                "--database-url",
                stack.db.url(),
                "--sealing-keys",
                keys,
            ])
            .output()
            .unwrap()
    };
    let alone = rotate(&new);
    assert_eq!(alone.status.code(), Some(1));
    let said = String::from_utf8(alone.stderr).unwrap();
    assert!(said.contains("an old key is missing") && said.contains("test"), "{said}");
    let both = format!("{new},{}", stack.keys());
    for pairs in [1, 0] {
        let done = rotate(&both);
        let said = String::from_utf8(done.stdout).unwrap();
        assert!(said.contains(&format!("sealed {pairs} token pairs")), "{said}");
    }
}
