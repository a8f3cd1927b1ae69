//! Processes killed or frozen at every place: nothing lost, nothing twice, at most one page again.

use paceline_simulator::{Config, FULL_SCOPE, Fault, FaultRule, Population, Provider, StartRange};
use paceline_tests::{
    process::Process,
    rows,
    stack::{ACTIVITIES, SOON, Stack, User},
    truth::WHOLE,
    wait::until,
};
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

const STALL: Fault = Fault::Stall { seconds: 60.0 };
/// A worker that is lost delays its syncs by no more than this.
const RECLAIM_BOUND: Duration = Duration::from_secs(20);

/// Another worker takes over from the killed one, as soon as its leases have run out.
async fn taken_over(stack: &mut Stack, user: &User, id: Uuid) -> Process {
    rows::age_leases(&stack.db).await;
    let second = stack.worker().await;
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!(done.attempt, 1, "a lost worker costs no attempt");
    assert_eq!(done.results.unwrap().store.failed, 0);
    let world = stack.world().athlete(user.athlete, StartRange::default()).unwrap();
    assert_eq!(stack.assert_true(user, WHOLE).await.records, world.activities);
    second
}

async fn phase(stack: &Stack, id: Uuid) -> String {
    rows::run(&stack.db, id).await.unwrap().phase
}

/// Lets statements of this kind hang in their transaction until the gate is opened.
///
/// `when` names table and event; the `guard` says from which statement on.
async fn gate(stack: &Stack, when: &'static str, guard: &'static str) -> sqlx::PgConnection {
    let mut gate = <sqlx::PgConnection as sqlx::Connection>::connect(stack.db.url()).await.unwrap();
    sqlx::query("select pg_advisory_lock(4711)").execute(&mut gate).await.unwrap();
    let make = format!(
        "create function public.gate() returns trigger language plpgsql as $$ begin
           if {guard} then perform pg_advisory_xact_lock_shared(4711); end if; return null; end $$;
         create trigger gate before {when} for each statement execute function public.gate()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(make)).execute(&*stack.db).await.unwrap();
    gate
}

async fn somebody_hangs_at_the_gate(stack: &Stack) {
    let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted
                     and database = (select oid from pg_database where datname = current_database())";
    until("a worker is in the middle of its transaction", SOON, async || {
        rows::number(&stack.db, waiting).await > 0
    })
    .await;
}

#[tokio::test]
async fn a_worker_killed_in_fetch_costs_at_most_one_repeated_page() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 700).await;
    let third = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(3),
        count: Some(1),
        ..FaultRule::new(STALL)
    };
    let third = stack.world().add_fault(third).unwrap();
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(third, 1).await;
    assert_eq!(
        (phase(&stack, id).await.as_str(), rows::run(&stack.db, id).await.unwrap().last_page),
        ("fetch", 2)
    );
    first.kill_9();
    taken_over(&mut stack, &user, id).await;
    assert_eq!(stack.repeated_pages(user.athlete), 1, "the one that was under way");
}

#[tokio::test]
async fn a_worker_killed_before_its_first_page_costs_nothing_but_that_page() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 210).await;
    let first_page =
        FaultRule { path: Some(ACTIVITIES.to_owned()), count: Some(1), ..FaultRule::new(STALL) };
    let stalled = stack.world().add_fault(first_page).unwrap();
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stalled, 1).await;
    first.kill_9();
    taken_over(&mut stack, &user, id).await;
    assert_eq!(stack.repeated_pages(user.athlete), 1);
}

#[tokio::test]
async fn a_worker_killed_while_it_commits_a_page_repeats_that_page_and_no_other() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 650).await;
    let gate = gate(
        &stack,
        "insert on paceline.staged_pages",
        "(select count(*) from paceline.staged_pages where page > 0) = 2",
    )
    .await;
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    somebody_hangs_at_the_gate(&stack).await;
    first.kill_9();
    drop(gate);
    taken_over(&mut stack, &user, id).await;
    assert!(stack.repeated_pages(user.athlete) <= 1);
}

#[tokio::test]
async fn a_worker_killed_in_enrich_costs_no_page() {
    let mut stack = Stack::new().await;
    // Few and long over, so that the weather of each page is one call to the archive.
    let until = Some((chrono::Utc::now() - chrono::Duration::days(200)).date_naive());
    let population = Population { activities: 90, until, ..Population::default() };
    let user = stack.user_with("ann", &population, FULL_SCOPE).await;
    let pages = stack.world().athlete(user.athlete, StartRange::default()).unwrap().pages_of_200;
    let weather = |fault, count| FaultRule {
        provider: Some(Provider::OpenMeteo),
        count: Some(count),
        ..FaultRule::new(fault)
    };
    // Each page's warming is refused once, so that enrich has something left to ask for.
    let refused = Fault::Status { code: 400, html: false, day: false };
    stack.world().add_fault(weather(refused, pages as u64)).unwrap();
    let stalled = stack.world().add_fault(weather(STALL, 1)).unwrap();
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stalled, 1).await;
    assert_eq!(phase(&stack, id).await, "enrich");
    first.kill_9();
    taken_over(&mut stack, &user, id).await;
    assert_eq!(stack.repeated_pages(user.athlete), 0);
}

#[tokio::test]
async fn a_worker_killed_in_store_stores_nothing_twice() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 450).await;
    let gate = gate(
        &stack,
        "insert on paceline.activities",
        "(select count(*) from paceline.activities) >= 120",
    )
    .await;
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({ "batchSize": 50 })).await;
    somebody_hangs_at_the_gate(&stack).await;
    assert_eq!(phase(&stack, id).await, "store");
    first.kill_9();
    drop(gate);
    taken_over(&mut stack, &user, id).await;
    assert_eq!(stack.repeated_pages(user.athlete), 0);
    let results = user.client.sync(id).await.results.unwrap();
    assert_eq!((results.store.saved, results.store.skipped), (450, 0), "no batch was done twice");
    let versions = "select max(version)::bigint from paceline.activities";
    assert_eq!(rows::number(&stack.db, versions).await, 1);
}

#[tokio::test]
async fn a_worker_killed_while_it_acknowledges_ends_the_sync_once() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 120).await;
    let gate = gate(&stack, "insert on paceline.sync_history", "true").await;
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    somebody_hangs_at_the_gate(&stack).await;
    assert_eq!(phase(&stack, id).await, "done");
    first.kill_9();
    drop(gate);
    taken_over(&mut stack, &user, id).await;
    assert_eq!(stack.repeated_pages(user.athlete), 0);
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_history").await, 1);
}

#[tokio::test]
async fn without_any_help_a_lost_workers_sync_goes_on_elsewhere_within_twenty_seconds() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 210).await;
    let rule = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(2),
        count: Some(1),
        ..FaultRule::new(STALL)
    };
    let stalled = stack.world().add_fault(rule).unwrap();
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stalled, 1).await;
    let lost = rows::run(&stack.db, id).await.unwrap().worker;
    let _second = stack.worker().await;
    first.kill_9();
    let killed = Instant::now();
    until("another worker has it", RECLAIM_BOUND, async || {
        rows::run(&stack.db, id).await.is_some_and(|run| {
            run.state == "completed" || (run.worker.is_some() && run.worker != lost)
        })
    })
    .await;
    assert!(killed.elapsed() > Duration::from_secs(5), "not before its lease could have run out");
    user.client.wait_done(id, SOON).await;
    stack.assert_true(&user, WHOLE).await;
    assert_eq!(stack.repeated_pages(user.athlete), 1);
}

#[tokio::test]
async fn a_frozen_worker_that_wakes_up_writes_nothing_for_the_sync_it_lost() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 450).await;
    let rule = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(2),
        count: Some(1),
        ..FaultRule::new(Fault::Stall { seconds: 1.0 })
    };
    let stalled = stack.world().add_fault(rule).unwrap();
    let first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stalled, 1).await;
    first.sigstop();
    let _second = taken_over(&mut stack, &user, id).await;
    let everything = "select count(*) + coalesce(sum(('x' || left(md5(a::text), 8))::bit(32)::bigint), 0)::bigint from paceline.activities a";
    let before = rows::number(&stack.db, everything).await;
    first.sigcont();
    // It works again when it has noticed: then it takes part in the next sync's lease, or the other does.
    until("it has noticed", SOON, async || first.log().contains("lease")).await;
    assert_eq!(rows::number(&stack.db, everything).await, before);
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_history").await, 1);
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.staged_pages").await, 0);
    assert_eq!(user.client.sync(id).await.status, "COMPLETED");
}

#[tokio::test]
async fn a_frozen_worker_that_wakes_up_while_another_has_its_sync_is_refused() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 650).await;
    let slow = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(2),
        count: Some(2),
        ..FaultRule::new(Fault::Stall { seconds: 1.0 })
    };
    let slow = stack.world().add_fault(slow).unwrap();
    let first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(slow, 1).await;
    first.sigstop();
    rows::age_leases(&stack.db).await;
    let second = stack.worker().await;
    stack.struck(slow, 2).await;
    second.sigstop();
    let owned = rows::run(&stack.db, id).await.unwrap();
    assert_eq!((owned.last_page, owned.state.as_str()), (1, "running"));

    // Whatever is written now is written by the one that has lost the sync.
    first.sigcont();
    until("it has noticed", SOON, async || first.log().contains("lease")).await;
    assert_eq!(rows::run(&stack.db, id).await.unwrap(), owned);
    assert_eq!(
        rows::number(&stack.db, "select count(*) from paceline.staged_pages where page > 0").await,
        1
    );

    second.sigcont();
    user.client.wait_done(id, SOON).await;
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn the_api_may_die_and_come_back_while_a_sync_runs() {
    let mut stack =
        Stack::in_world(Config { latency: Duration::from_millis(20), ..Config::default() }).await;
    let user = stack.user("ann", 450).await;
    let _worker = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.api.kill_9();
    until("the sync ends without an API", SOON, async || {
        rows::run(&stack.db, id).await.is_some_and(|run| run.state == "completed")
    })
    .await;
    stack.api = stack.another_api("api-2", &["--allow-local-issuer"]).await;
    assert_eq!(stack.client("ann").sync(id).await.status, "COMPLETED");
    stack.assert_true(&user, WHOLE).await;
}
