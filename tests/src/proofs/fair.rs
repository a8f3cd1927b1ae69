//! One user with thousands of backfill slices, and many others who ask for a few in the same moment: how much longer
//! the others wait than they do without him. Jobs that do nothing for a while, real workers, one database and one
//! run; a wait is from the enqueue to the claim, by Postgres's clock.

use super::{
    noop,
    queue::new_sync,
    report::{Bound, Report},
};
use anyhow::Result;
use chrono::{DateTime, TimeDelta};
use clap::Args;
use futures::future::try_join_all;
use paceline_shared::{
    Provider, UserId,
    db::{Db, sync_jobs::enqueue_slices},
    notify::{JOBS, Notifier},
    slices::Slice,
    sync_spec::Class,
};
use paceline_tests::stack::{Stack, WorkerSetup};
use sqlx::types::Uuid;
use std::time::{Duration, Instant};

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// The one user's slices.
    #[arg(long, default_value_t = 50_000)]
    rows: i32,
    /// The others' slices, five each.
    #[arg(long, default_value_t = 5_000)]
    others: i32,
    /// Go on measuring for so long; the round with the median ratio counts.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Of everything random: in which order the others come.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A tenth of it.
    #[arg(long, conflicts_with_all = ["rows", "others"])]
    short: bool,
}

/// How long a job keeps its slot, and how many run at once in each of two workers.
const HOLD: Duration = Duration::from_millis(40);
const SLOTS: u16 = 40;
/// Slices of each of the others.
const EACH: i32 = 5;
/// Slices that a statement queues.
const BATCH: i32 = 5_000;
/// The others come in so many at a time.
const CLIENTS: usize = 4;
const LIMIT: Duration = Duration::from_mins(10);

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let (flood, others) = if options.short { (5_000, 500) } else { (options.rows, options.others) };
    let mut stack = Stack::new().await;
    noop::defuse(stack.db.pool(), HOLD).await?;
    let mut workers = Vec::new();
    for _ in 0..2 {
        workers
            .push(stack.worker_with(WorkerSetup { slots: SLOTS, ..WorkerSetup::default() }).await);
    }
    let began = Instant::now();
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let mut rounds = Vec::new();
    while rounds.is_empty() || began.elapsed() < Duration::from_secs(options.seconds) {
        let alone = waits(&stack.db, &mut chance, 0, others).await?;
        let beside = waits(&stack.db, &mut chance, flood, others).await?;
        rounds.push((alone, beside));
    }
    rounds.sort_by(|(a, one), (b, other)| (one.p95 / a.p95).total_cmp(&(other.p95 / b.p95)));
    let (alone, beside) = rounds.swap_remove(rounds.len() / 2);
    let mut report = Report::new("fair");
    report.figure("slices of the one user", f64::from(flood), "", Bound::None);
    report.figure("jobs of the others", f64::from(others), "", Bound::None);
    report.figure("others' wait alone, half of them", alone.p50, "s", Bound::None);
    report.figure("others' wait alone, 95 in 100", alone.p95, "s", Bound::None);
    report.figure("others' wait beside him, half of them", beside.p50, "s", Bound::None);
    report.figure("others' wait beside him, 95 in 100", beside.p95, "s", Bound::None);
    report.figure(
        "beside him over alone, 95 in 100",
        beside.p95 / alone.p95,
        "",
        Bound::AtMost(2.0),
    );
    Ok(report)
}

/// Seconds that the others waited.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
struct Waits {
    p50: f64,
    p95: f64,
}

/// The one user comes first, the others while his slices already run.
async fn waits(db: &Db, chance: &mut fastrand::Rng, flood: i32, others: i32) -> Result<Waits> {
    noop::clear(db.pool()).await?;
    let notifier = Notifier::start(db.clone());
    let one = noop::users(db.pool(), 1).await?;
    for first in (0..flood).step_by(usize::try_from(BATCH)?) {
        queue_slices(db, one[0], first..(first + BATCH).min(flood)).await?;
        notifier.say(JOBS, Provider::Strava.as_str());
    }
    let mut users = noop::users(db.pool(), others / EACH).await?;
    chance.shuffle(&mut users);
    let part = users.len().div_ceil(CLIENTS);
    try_join_all(users.chunks(part).map(async |users| -> Result<()> {
        for user in users {
            queue_slices(db, *user, 0..EACH).await?;
            notifier.say(JOBS, Provider::Strava.as_str());
        }
        Ok(())
    }))
    .await?;
    noop::drained(db.pool(), flood + others, 0.0, LIMIT).await?;
    Ok(sqlx::query_as(
        "select percentile_cont(0.5) within group (order by wait) as p50, percentile_cont(0.95) within group (order by wait) as p95
           from (select extract(epoch from started_at - created_at)::float8 as wait
                   from paceline.sync_history where user_id <> $1) waits",
    )
    .bind(one[0])
    .fetch_one(db)
    .await?)
}

/// Slices of a day each, newest first, in a transaction as the API has it.
async fn queue_slices(db: &Db, user: Uuid, days: std::ops::Range<i32>) -> Result<()> {
    let day = |n: i32| DateTime::UNIX_EPOCH + TimeDelta::days(n.into());
    let slices: Vec<Slice> =
        days.rev().map(|n| Slice { slot: n + 1, after: day(n), before: day(n + 1) }).collect();
    let mut tx = db.begin().await?;
    enqueue_slices(&mut tx, &new_sync(UserId(user), Class::Backfill), &slices).await?;
    tx.commit().await?;
    Ok(())
}
