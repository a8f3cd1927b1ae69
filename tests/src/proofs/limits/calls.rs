//! A quota in the shape of Strava's, and more workers than calls. Some of them are killed with calls
//! reserved. The provider counts.

use super::{
    super::{
        noop,
        report::{Bound, Report},
    },
    Options,
};
use anyhow::Result;
use chrono::Utc;
use paceline_shared::{
    JobType, Provider, UserId,
    db::sync_jobs::{self, NewSync, WhenLive},
    sync_spec::{Class, SyncOptions},
};
use paceline_simulator::{
    Allowance, Config, FULL_SCOPE, Population, StravaCalls, StravaQuota, StravaWindows,
};
use paceline_tests::{
    process::Process,
    stack::{Stack, User, WorkerSetup},
};
use sqlx::postgres::types::PgRange;
use std::{
    collections::HashSet,
    ops::Bound as End,
    time::{Duration, Instant},
};

/// A sync of each costs two calls.
const ACTIVITIES: u32 = 20;
/// Syncs under way or queued: more than the slots of all workers.
const USERS: u16 = 160;
const SLOTS: u16 = 4;
const FEED_EVERY: Duration = Duration::from_millis(250);

pub(super) async fn prove(report: &mut Report, options: &Options) -> Result<()> {
    let mut stack = Stack::in_world(world(options)).await;
    let mut users = Vec::new();
    for n in 0..u64::from(USERS) {
        let population = Population {
            activities: ACTIVITIES,
            years: 1,
            seed: Some(options.seed + n),
            ..Population::default()
        };
        users.push(stack.user_with(&format!("limits-{n}"), &population, FULL_SCOPE).await);
    }
    let mut workers = Vec::new();
    for _ in 0..options.workers {
        workers.push(stack.worker_with(setup(options)).await);
    }
    // Days are measured whole.
    let begins = next_border(options.day);
    feed_until(&stack, &users, begins).await?;
    let before = stack.world().strava_calls();
    let days = (options.seconds / u64::from(options.day)).max(1);
    let ends = begins + Duration::from_secs(days * u64::from(options.day));
    let (mut kills, mut lost) = (0_u32, 0_i64);
    let mut chance = fastrand::Rng::with_seed(options.seed);
    while Instant::now() < ends {
        let pause = Duration::from_secs(options.kill_every);
        let next = if pause.is_zero() { ends } else { ends.min(Instant::now() + pause) };
        feed_until(&stack, &users, next).await?;
        if Instant::now() >= ends {
            break;
        }
        if let Some((victim, calls)) = holder(&stack, &workers, &mut chance).await? {
            workers[victim].kill_9();
            (kills, lost) = (kills + 1, lost + calls);
            workers[victim] = stack.worker_with(setup(options)).await;
        }
    }
    let after = stack.world().strava_calls();
    judge(report, options, days, before, after);
    let at_least = Bound::AtLeast(f64::from(u8::from(options.kill_every > 0)));
    report.figure("workers killed with calls reserved", f64::from(kills), "", at_least);
    report.figure("calls reserved by them", count(u64::try_from(lost)?), "", Bound::None);
    let failed: i64 = sqlx::query_scalar("select count(*) from paceline.sync_attempts")
        .fetch_one(&*stack.db)
        .await?;
    report.figure("attempts that failed", count(u64::try_from(failed)?), "", Bound::AtMost(0.0));
    Ok(())
}

fn judge(
    report: &mut Report,
    options: &Options,
    days: u64,
    before: StravaCalls,
    after: StravaCalls,
) {
    let in_windows = u64::from(options.limit) * u64::from(options.day / options.window);
    let allowed = days * in_windows.min(u64::from(options.day_limit));
    let over = after.over_limit - before.over_limit;
    let used = after.counted - before.counted - over;
    report.figure("workers", f64::from(options.workers), "", Bound::None);
    report.figure("calls allowed", count(allowed), "", Bound::None);
    report.figure("calls made", count(used), "", Bound::None);
    report.figure("calls over the limit", count(after.over_limit), "", Bound::AtMost(0.0));
    report.figure(
        "calls made of those allowed",
        count(used) / count(allowed),
        "",
        Bound::AtLeast(0.95),
    );
}

fn world(options: &Options) -> Config {
    let read = Allowance { quarter_hour: options.limit, day: options.day_limit };
    let overall = Allowance { quarter_hour: options.limit * 2, day: options.day_limit * 2 };
    Config {
        seed: options.seed,
        log_capacity: 0,
        short_page_every: 0,
        strava_quota: StravaQuota { overall, read },
        strava_windows: StravaWindows {
            quarter_hour_s: options.window,
            day_s: options.day,
            border_s: 0,
        },
        ..Config::default()
    }
}

fn setup(options: &Options) -> WorkerSetup {
    let Options { window, limit: reads, day, day_limit: reads_a_day, .. } = options;
    let (all, all_day) = (reads * 2, reads_a_day * 2);
    let told = format!(
        "all:{all}/{window}s,all:{all_day}/{day}s,read:{reads}/{window}s,read:{reads_a_day}/{day}s"
    );
    // What a lost worker reserved counts until its last call must have ended.
    let arguments = ["--strava-limits", &told, "--http-timeout", "3s"].map(str::to_owned).to_vec();
    WorkerSetup { slots: SLOTS, options: arguments, ..WorkerSetup::default() }
}

fn next_border(day_s: u32) -> Instant {
    let length_ms = i64::from(day_s) * 1_000;
    let left_ms = length_ms - Utc::now().timestamp_millis().rem_euclid(length_ms);
    Instant::now() + Duration::from_millis(left_ms.unsigned_abs())
}

/// Sees to it that every user has a sync queued or under way. Of the class for which a limit is there in full.
async fn feed_until(stack: &Stack, users: &[User], end: Instant) -> Result<()> {
    while Instant::now() < end {
        let live: HashSet<UserId> = sqlx::query_scalar("select user_id from paceline.sync_jobs")
            .fetch_all(&*stack.db)
            .await?
            .into_iter()
            .map(UserId)
            .collect();
        let mut tx = stack.db.begin().await?;
        for user in users.iter().filter(|user| !live.contains(&user.id)) {
            let sync = NewSync {
                user: user.id,
                connection: user.connection,
                provider: Provider::Strava,
                job_type: JobType::Activities,
                class: Class::Webhook,
                range: PgRange { start: End::Unbounded, end: End::Unbounded },
                options: SyncOptions {
                    skip_weather_enrichment: true,
                    include_geocoding: false,
                    ..SyncOptions::default()
                },
                trace: None,
                requested_by: None,
            };
            sync_jobs::enqueue(&mut tx, &sync, WhenLive::Refuse).await?;
        }
        tx.commit().await?;
        noop::wake(stack.db.pool()).await?;
        tokio::time::sleep(FEED_EVERY.min(end.saturating_duration_since(Instant::now()))).await;
    }
    Ok(())
}

/// A worker that has calls reserved, and how many.
async fn holder(
    stack: &Stack,
    workers: &[Process],
    chance: &mut fastrand::Rng,
) -> Result<Option<(usize, i64)>> {
    let mut holders: Vec<(i32, i64)> = sqlx::query_as(
        "select w.pid, max(r.calls)::bigint from paceline.budget_reservations r join paceline.workers w on w.id = r.worker
          where r.calls > 0 and r.updated_at > clock_timestamp() - interval '2 seconds' group by w.pid order by w.pid",
    )
    .fetch_all(&*stack.db)
    .await?;
    chance.shuffle(&mut holders);
    // One that was killed a moment ago is still in the tables.
    let ours = |pid| workers.iter().position(|worker| i64::from(worker.pid()) == i64::from(pid));
    Ok(holders.into_iter().find_map(|(pid, calls)| Some((ours(pid)?, calls))))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a proof's size")]
const fn count(n: u64) -> f64 {
    n as f64
}
