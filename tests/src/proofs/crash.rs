//! Workers killed at random instants while syncs run: every accepted sync completes, no record is lost or
//! doubled, no attempt is burnt, and a kill repeats a page at most.

use super::report::{Bound, Report};
use anyhow::Result;
use clap::Args;
use futures::future::join_all;
use paceline_simulator::{Config, FULL_SCOPE, Population};
use paceline_tests::{
    process::Process,
    stack::{Stack, User, WorkerSetup},
    truth,
};
use serde_json::json;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How long workers are killed.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seed of the histories and of the instants.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Workers, each with one slot, so that a kill meets one sync.
    #[arg(long, default_value_t = 4)]
    workers: u16,
}

/// After the last kill a lease runs out and the rest is done.
const SETTLE: Duration = Duration::from_mins(3);
/// A request takes so long, so that kills meet syncs in every phase.
const LATENCY: Duration = Duration::from_millis(15);
const ACTIVITIES: u32 = 1_500;
/// Between two kills.
const PAUSE: std::ops::Range<u64> = 400..2_500;

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let mut chance = fastrand::Rng::with_seed(options.seed);
    let world = Config {
        seed: options.seed,
        log_capacity: 1_000_000,
        latency: LATENCY,
        ..Config::default()
    };
    let mut stack = Stack::in_world(world).await;
    let setup = WorkerSetup { slots: 1, ..WorkerSetup::default() };
    let mut workers = Vec::new();
    for _ in 0..options.workers {
        workers.push(stack.worker_with(setup.clone()).await);
    }
    let mut syncs: Vec<(User, Uuid)> = Vec::new();
    let mut kills = 0_u32;
    let end = Instant::now() + Duration::from_secs(options.seconds);
    while Instant::now() < end {
        keep_busy(&stack, &mut syncs, usize::from(options.workers) * 3, options.seed).await;
        tokio::time::sleep(Duration::from_millis(chance.u64(PAUSE))).await;
        let victim = chance.usize(..workers.len());
        workers[victim].kill_9();
        kills += 1;
        workers[victim] = stack.worker_with(setup.clone()).await;
    }
    let ends = join_all(syncs.iter().map(|(user, id)| user.client.wait_over(*id, SETTLE))).await;
    let report = judge(&stack, &syncs, &ends, kills).await?;
    drain(&mut workers).await;
    Ok(report)
}

/// Sees to it that so many syncs are under way: each of another user's whole history.
async fn keep_busy(stack: &Stack, syncs: &mut Vec<(User, Uuid)>, wanted: usize, seed: u64) {
    let live: i64 = sqlx::query_scalar("select count(*) from paceline.sync_jobs")
        .fetch_one(&*stack.db)
        .await
        .expect("counting syncs");
    for _ in usize::try_from(live).unwrap_or(0)..wanted {
        let n = syncs.len() as u64;
        let population = Population {
            activities: ACTIVITIES,
            years: 5,
            seed: Some(seed + n),
            ..Population::default()
        };
        let user = stack.user_with(&format!("crash-{n}"), &population, FULL_SCOPE).await;
        let id = user.client.start_sync(&json!({})).await;
        syncs.push((user, id));
    }
}

async fn judge(
    stack: &Stack,
    syncs: &[(User, Uuid)],
    ends: &[paceline_tests::client::Sync],
    kills: u32,
) -> Result<Report> {
    let mut report = Report::new("crash");
    let completed = ends.iter().filter(|sync| sync.status == "COMPLETED").count();
    let (mut records, mut lost, mut doubled, mut repeated) = (0, 0, 0, 0);
    for ((user, _), end) in syncs.iter().zip(ends) {
        repeated += stack.repeated_pages(user.athlete);
        let counted = end.results.as_ref().map_or(0, |results| results.store.saved);
        let held = stack
            .world()
            .athlete(user.athlete, paceline_simulator::StartRange::default())?
            .activities;
        let stored: i64 =
            sqlx::query_scalar("select count(*) from paceline.activities where user_id = $1")
                .bind(user.id.0)
                .fetch_one(&*stack.db)
                .await?;
        let stored = usize::try_from(stored)?;
        lost += held.saturating_sub(stored);
        // A batch that committed twice would count its records twice, though it stores them once.
        doubled += stored.saturating_sub(held) + counted.saturating_sub(held);
        records += stored;
    }
    let changed: i64 =
        sqlx::query_scalar("select count(*) from paceline.activities where version > 1")
            .fetch_one(&*stack.db)
            .await?;
    let burnt: i64 = sqlx::query_scalar(
        "select coalesce(sum(attempt - 1), 0)::bigint + (select count(*) from paceline.sync_attempts)
           from paceline.sync_history",
    )
    .fetch_one(&*stack.db)
    .await?;
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from paceline.sync_jobs) + (select count(*) from paceline.sync_runs)
              + (select count(*) from paceline.staged_pages)",
    )
    .fetch_one(&*stack.db)
    .await?;
    // Panics at the first field that differs.
    if let Some((user, _)) = syncs.last() {
        stack.assert_true(user, truth::WHOLE).await;
    }
    let none = Bound::AtMost(0.0);
    report.figure("kills", f64::from(kills), "", Bound::AtLeast(1.0));
    report.figure("syncs accepted", count(syncs.len()), "", Bound::AtLeast(1.0));
    report.figure("syncs not completed", count(syncs.len() - completed), "", none);
    report.figure("records stored", count(records), "", Bound::None);
    report.figure("records lost", count(lost), "", none);
    report.figure("records doubled", count(doubled) + signed(changed), "", none);
    report.figure("pages repeated", count(repeated), "", Bound::AtMost(f64::from(kills)));
    report.figure("attempts burnt", signed(burnt), "", none);
    report.figure("rows left in the hot tables", signed(left), "", none);
    Ok(report)
}

async fn drain(workers: &mut [Process]) {
    for worker in workers.iter() {
        worker.sigterm();
    }
    for worker in workers {
        worker.wait(Duration::from_secs(30)).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a proof's size")]
const fn count(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of a proof's size")]
const fn signed(n: i64) -> f64 {
    n as f64
}
