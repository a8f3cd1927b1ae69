//! Budgets: what the fleet may ask is shared out, kept for whoever needs it most, and never overrun,
//! whoever dies with a part of it in hand.

use chrono::{TimeDelta, Utc};
use futures::future::join_all;
use paceline_shared::{
    JobId, JobType, Provider, WorkerId,
    db::{
        budgets::{self, Entry, Reserved, Slot, Standing, Told, Window},
        sync_jobs::{self, Enqueued, NewSync, WhenLive},
    },
    sync_spec::{Class, SyncOptions},
};
use paceline_simulator::{Allowance, Config, StravaQuota, StravaWindows};
use paceline_tests::{
    database::TestDb,
    rows,
    stack::{SOON, Stack, User, WorkerSetup},
    truth::WHOLE,
    wait::until,
};
use serde_json::json;
use sqlx::postgres::types::PgRange;
use std::{
    ops::Bound,
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

const DAY_S: i32 = 86_400;
const ALL_OF_IT: u8 = 100;
const CALL_LASTS: Duration = Duration::from_secs(30);

/// A window in the middle of which we are.
fn window(scope: &str, limit: i32) -> Window {
    let middle = (Utc::now().timestamp() + i64::from(DAY_S / 2)).rem_euclid(i64::from(DAY_S));
    let border_s = i32::try_from(middle).unwrap();
    Window { scope: scope.to_owned(), window_s: DAY_S, border_s, limit }
}

async fn known(windows: &[Window]) -> TestDb {
    let db = TestDb::new().await;
    budgets::ensure(&db, windows).await.unwrap();
    db
}

async fn take(db: &TestDb, worker: WorkerId, windows: &[Window], want: u32) -> Reserved {
    budgets::reserve(db, (worker, next()), windows, want, ALL_OF_IT).await.unwrap()
}

/// How many were granted, and in which windows.
fn granted(reserved: Reserved) -> (u32, Vec<Slot>) {
    let Reserved::Granted { calls, slots, .. } = reserved else { panic!("{reserved:?}") };
    (calls, slots)
}

fn made(slot: &Slot, made: i32, told: Option<Told>) -> Entry {
    let unheard = if told.is_none() { made } else { 0 };
    Entry { slot: slot.clone(), made, open: 0, unheard, refused: 0, told }
}

fn told(used: i32, limit: i32) -> Told {
    Told { used, limit, sent_at: Utc::now() }
}

/// The number of a message that is newer than all before it.
fn next() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// What was not made of a reservation stays open.
async fn account(db: &TestDb, worker: WorkerId, entry: Entry) -> Vec<Standing> {
    let reserved: Option<i32> = sqlx::query_scalar(
        "select calls from paceline.budget_reservations where worker = $1 and scope = $2 and window_start = $3",
    )
    .bind(worker.0)
    .bind(&entry.slot.scope)
    .bind(entry.slot.start)
    .fetch_optional(&**db)
    .await
    .unwrap();
    let entry = Entry { open: (reserved.unwrap_or(0) - entry.made).max(0), ..entry };
    budgets::account(db, (worker, next()), &[entry], CALL_LASTS).await.unwrap()
}

#[tokio::test]
async fn calls_are_taken_from_all_their_windows_or_from_none() {
    let windows = [window("x:all", 10), window("x:read", 4)];
    let db = known(&windows).await;
    let worker = WorkerId::fresh();
    let mut sum = 0;
    while let Reserved::Granted { calls, .. } = take(&db, worker, &windows, 100).await {
        sum += calls;
    }
    assert_eq!(sum, 4, "what the narrower window has");
    let left = take(&db, worker, &windows[..1], 100).await;
    assert_eq!(granted(left).0, 3, "half of the six that the wider one still has");
    assert!(
        matches!(take(&db, worker, &windows, 1).await, Reserved::Held { scope, .. } if scope == "x:read")
    );
}

#[tokio::test]
async fn a_crowd_that_takes_all_it_can_get_takes_no_more_than_there_is() {
    let windows = [window("x:all", 200), window("x:read", 200)];
    let db = known(&windows).await;
    let taken = join_all((0..32).map(|_| async {
        let (worker, mut sum) = (WorkerId::fresh(), 0);
        while let Reserved::Granted { calls, .. } = take(&db, worker, &windows, 40).await {
            sum += calls;
        }
        sum
    }));
    assert_eq!(taken.await.iter().sum::<u32>(), 200);
}

#[tokio::test]
async fn what_is_left_is_shared_out_among_the_workers_that_live() {
    let windows = [window("x:all", 160)];
    let db = known(&windows).await;
    let alone = granted(take(&db, WorkerId::fresh(), &windows, 1_000).await).0;
    assert_eq!(alone, 80);
    rows::change(
        &db,
        "insert into paceline.workers (id, version, slots, beat_at, draining)
         select gen_random_uuid(), '1', 4, clock_timestamp() - make_interval(mins => n / 5), n = 4
           from generate_series(0, 9) n",
    )
    .await;
    assert_eq!(
        granted(take(&db, WorkerId::fresh(), &windows, 1_000).await).0,
        80 / 8,
        "of ten, four live and work"
    );
}

#[tokio::test]
async fn what_nobody_waits_for_leaves_a_part_to_those_who_wait() {
    let windows = [window("x:all", 100)];
    let db = known(&windows).await;
    let worker = WorkerId::fresh();
    let mut left = Vec::new();
    for percent in [80, 95, 100] {
        let mut sum = 0;
        while let Reserved::Granted { calls, slots, .. } =
            budgets::reserve(&db, (worker, next()), &windows, 100, percent).await.unwrap()
        {
            sum += calls;
            account(&db, worker, made(&slots[0], i32::try_from(calls).unwrap(), None)).await;
        }
        left.push(sum);
    }
    assert_eq!(left, [80, 15, 5]);
    let spent = take(&db, worker, &windows, 1).await;
    let Reserved::Spent { scope, window_s, until, .. } = spent else { panic!("{spent:?}") };
    assert_eq!((scope.as_str(), window_s), ("x:all", DAY_S));
    assert!(until > Utc::now() + TimeDelta::hours(11), "the next border, and a moment more");
}

#[tokio::test]
async fn a_new_window_begins_with_nothing_used_or_reserved() {
    let windows = [window("x:all", 10)];
    let db = known(&windows).await;
    let worker = WorkerId::fresh();
    let (calls, slots) = granted(take(&db, worker, &windows, 3).await);
    assert_eq!(calls, 3);
    account(&db, worker, made(&slots[0], 2, Some(told(9, 10)))).await;
    // As if that had been yesterday.
    rows::change(
        &db,
        "update paceline.budgets set window_start = window_start - interval '1 day';
         update paceline.budget_reservations set window_start = window_start - interval '1 day'",
    )
    .await;
    assert_eq!(granted(take(&db, worker, &windows, 100).await).0, 5);
    let old = Slot { start: slots[0].start - TimeDelta::days(1), ..slots[0].clone() };
    let [standing] =
        account(&db, worker, made(&old, 1, Some(told(10, 10)))).await.try_into().unwrap();
    assert_eq!((standing.used, standing.reserved), (0, 5), "a late answer is about its own window");
}

#[tokio::test]
async fn nothing_is_reserved_near_a_border() {
    let db = TestDb::new().await;
    let soon = i32::try_from((Utc::now().timestamp() + 1).rem_euclid(i64::from(DAY_S))).unwrap();
    let windows = [Window { border_s: soon, ..window("x:all", 10) }];
    budgets::ensure(&db, &windows).await.unwrap();
    let reserved = take(&db, WorkerId::fresh(), &windows, 1).await;
    let Reserved::Border { wait } = reserved else { panic!("{reserved:?}") };
    assert!(wait > Duration::ZERO && wait <= Duration::from_secs(2), "{wait:?}");
}

#[tokio::test]
async fn the_provider_knows_best_what_is_used_and_allowed() {
    let windows = [window("x:all", 100)];
    let db = known(&windows).await;
    let worker = WorkerId::fresh();
    let (_, slots) = granted(take(&db, worker, &windows, 2).await);
    let [standing] =
        account(&db, worker, made(&slots[0], 1, Some(told(60, 80)))).await.try_into().unwrap();
    assert_eq!((standing.limit, standing.used, standing.reserved), (80, 60, 1));
    // One whose answer was lost is one more than was told.
    let [standing] = account(&db, worker, made(&slots[0], 1, None)).await.try_into().unwrap();
    assert_eq!((standing.used, standing.reserved), (61, 0));
    // What is only configured does not take the place of what was told.
    budgets::ensure(&db, &windows).await.unwrap();
    assert_eq!(granted(take(&db, worker, &windows, 100).await).0, 19 / 2);
    let late = Told { sent_at: Utc::now() - TimeDelta::minutes(1), ..told(50, 1_000) };
    let [standing] = account(&db, worker, made(&slots[0], 0, Some(late))).await.try_into().unwrap();
    assert_eq!((standing.limit, standing.used), (80, 61), "an older answer is older news");
}

#[tokio::test]
async fn what_a_lost_worker_reserved_counts_until_an_answer_has_all_of_it() {
    let windows = [window("x:all", 10)];
    let db = known(&windows).await;
    let (lost, alive) = (WorkerId::fresh(), WorkerId::fresh());
    assert_eq!(granted(take(&db, lost, &windows, 100).await).0, 5);
    let (calls, slots) = granted(take(&db, alive, &windows, 2).await);
    assert_eq!(calls, 2);
    let reserved = |standings: Vec<Standing>| standings[0].reserved;
    // It fell silent, but a call of its may still be under way when this one was sent.
    let silent = "update paceline.budget_reservations set updated_at = updated_at - interval '40 seconds' where calls = 5";
    assert_eq!(rows::change(&db, silent).await, 1);
    assert_eq!(reserved(account(&db, alive, made(&slots[0], 1, Some(told(3, 10)))).await), 6);
    rows::change(&db, silent).await;
    // An answer that says nothing of the quota proves nothing.
    assert_eq!(reserved(account(&db, alive, made(&slots[0], 0, None)).await), 6);
    let standings = account(&db, alive, made(&slots[0], 1, Some(told(4, 10)))).await;
    assert_eq!((standings[0].used, standings[0].reserved), (4, 0), "two of the five were made");
}

#[tokio::test]
async fn an_account_that_is_told_twice_or_late_counts_once() {
    let windows = [window("x:all", 100)];
    let db = known(&windows).await;
    let worker = WorkerId::fresh();
    let (calls, slots) = granted(take(&db, worker, &windows, 25).await);
    assert_eq!(calls, 25);
    let told = |seq, entry: Entry| {
        let db = &db;
        async move {
            let stands = budgets::account(db, (worker, seq), &[entry], CALL_LASTS).await.unwrap();
            (stands[0].used, stands[0].reserved)
        }
    };
    let (seq, entry) = (next(), Entry { open: 13, ..made(&slots[0], 2, None) });
    assert_eq!(told(seq, entry.clone()).await, (2, 13), "ten were given back");
    rows::change(
        &db,
        "update paceline.budget_reservations set updated_at = updated_at - interval '1 hour'",
    )
    .await;
    assert_eq!(told(seq, entry.clone()).await, (2, 13));
    let renewed = "select count(*) from paceline.budget_reservations where updated_at > clock_timestamp() - interval '1 minute'";
    assert_eq!(rows::number(&db, renewed).await, 1, "it says that its worker lives");
    assert_eq!(granted(take(&db, worker, &windows, 4).await).0, 4);
    assert_eq!(told(seq, entry).await, (2, 17), "what was granted since is not undone");
    assert_eq!(told(next(), Entry { open: 16, ..made(&slots[0], 1, None) }).await, (3, 16));
}

#[tokio::test]
async fn what_was_granted_and_never_heard_of_is_taken_back() {
    let windows = [window("x:all", 100), window("x:read", 100)];
    let db = known(&windows).await;
    let worker = WorkerId::fresh();
    let (_, slots) = granted(take(&db, worker, &windows[..1], 6).await);
    let early = next();
    assert_eq!(granted(take(&db, worker, &windows, 30).await).0, 30);
    let doubt = |window: &Window| Entry::nothing_else(window.scope.clone(), window.window_s);
    let known = Entry { open: 6, ..made(&slots[0], 0, None) };
    let entries = [known, doubt(&windows[0]), doubt(&windows[1])];
    let stands = budgets::account(&db, (worker, next()), &entries, CALL_LASTS).await.unwrap();
    let mut reserved: Vec<i64> = stands.iter().map(|standing| standing.reserved).collect();
    reserved.sort_unstable();
    assert_eq!(reserved, [0, 6]);
    // A wish that Postgres sees after it was given up takes nothing.
    budgets::reserve(&db, (worker, early), &windows, 9, ALL_OF_IT).await.unwrap();
    let left = "select sum(calls)::bigint from paceline.budget_reservations";
    assert_eq!(rows::number(&db, left).await, 6);
}

#[tokio::test]
async fn a_users_own_quota_is_known_from_its_first_use() {
    let db = TestDb::new().await;
    let windows = [window("fitbit:user:7", 150)];
    assert_eq!(take(&db, WorkerId::fresh(), &windows, 1).await, Reserved::Unknown);
    budgets::ensure(&db, &windows).await.unwrap();
    assert_eq!(granted(take(&db, WorkerId::fresh(), &windows, 1).await).0, 1);
}

/// A day's window is long enough that no border comes in between.
fn ten_reads() -> (Config, WorkerSetup) {
    let of = |reads| Allowance { quarter_hour: reads, day: 1_000 };
    let world = Config {
        short_page_every: 0,
        strava_quota: StravaQuota { overall: of(500), read: of(10) },
        strava_windows: StravaWindows { quarter_hour_s: 43_200, day_s: 86_400, border_s: 0 },
        ..Config::default()
    };
    let limits = "all:500/12h,all:1000/24h,read:10/12h,read:1000/24h";
    let setup = WorkerSetup {
        options: ["--strava-limits", limits].map(str::to_owned).to_vec(),
        ..WorkerSetup::default()
    };
    (world, setup)
}

async fn backfill(stack: &Stack, user: &User) -> JobId {
    let sync = NewSync {
        user: user.id,
        connection: user.connection,
        provider: Provider::Strava,
        job_type: JobType::Activities,
        class: Class::Backfill,
        range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
        options: SyncOptions::default(),
        trace: None,
        requested_by: None,
    };
    let mut tx = stack.db.begin().await.unwrap();
    let queued = sync_jobs::enqueue(&mut tx, &sync, WhenLive::Refuse).await.unwrap();
    tx.commit().await.unwrap();
    let Enqueued::New(id) = queued else { panic!("{queued:?}") };
    id
}

#[tokio::test]
async fn a_backfill_leaves_calls_to_a_user_who_waits() {
    let (world, setup) = ten_reads();
    let mut stack = Stack::in_world(world).await;
    let ann = stack.user("ann", 3_000).await;
    let bob = stack.user("bob", 100).await;
    let eve = stack.user("eve", 100).await;
    // To connect an account costs a read.
    stack.world().forget_strava_usage();
    let connecting = stack.world().strava_calls().counted;
    let _worker = stack.worker_with(setup.clone()).await;
    let _another = stack.worker_with(setup).await;
    let history = backfill(&stack, &ann).await;
    let (_, waiting) = ann.client.wait_parked(history.0, SOON).await;
    assert_eq!(waiting.reason, "rate_limit");
    assert_eq!(stack.page_requests(ann.athlete).len(), 8, "eight of ten");
    let blocked = "select blocked_below from paceline.lanes where lane = 'strava' and blocked_until > clock_timestamp()";
    until("the lane is blocked for what nobody waits for", SOON, async || {
        sqlx::query_scalar::<_, i16>(blocked).fetch_optional(&*stack.db).await.unwrap() == Some(3)
    })
    .await;

    bob.sync_all(&json!({})).await;
    stack.assert_true(&bob, WHOLE).await;
    let eves = eve.client.start_sync(&json!({})).await;
    let (_, waiting) = eve.client.wait_parked(eves, SOON).await;
    assert_eq!(waiting.reason, "rate_limit");
    let calls = stack.world().strava_calls();
    assert_eq!((calls.counted - connecting, calls.over_limit), (10, 0));
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_attempts").await, 0);
}

#[tokio::test]
async fn a_worker_that_ends_gives_back_what_it_reserved() {
    let mut stack = Stack::new().await;
    let ann = stack.user("ann", 600).await;
    let mut worker = stack.worker().await;
    ann.sync_all(&json!({})).await;
    worker.sigterm();
    worker.wait(SOON).await;
    let left = "select coalesce(sum(calls), 0)::bigint from paceline.budget_reservations";
    assert_eq!(rows::number(&stack.db, left).await, 0);
    let spent = "select spent::bigint from paceline.budgets where scope = 'strava:read' and window_s = 86400";
    let asked = i64::try_from(stack.page_requests(ann.athlete).len()).unwrap();
    assert_eq!(rows::number(&stack.db, spent).await, asked);
    let limit = "select call_limit::bigint from paceline.budgets where scope = 'strava:all' and window_s = 900";
    assert_eq!(rows::number(&stack.db, limit).await, 1_000_000_000, "as Strava told");
}
