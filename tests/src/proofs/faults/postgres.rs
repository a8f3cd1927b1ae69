//! Postgres stopped without a word and started again, over and over; gone for longer than any lease;
//! and there, but without a connection to spare. On a cluster of the proof's own.

use super::{
    Options,
    fleet::{Fleet, drain},
    judge::{NONE, judge, percentile},
    witness,
};
use crate::proofs::report::{Bound, Report};
use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use paceline_postgres::Cluster;
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, PgConnection};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tokio::task::block_in_place;

const WORKERS: usize = 3;
const SLOTS: u16 = 4;
const BACKLOG: usize = 60;
/// Users who are made beforehand, for each second: while Postgres is away none can be.
const USERS_PER_S: u64 = 25;
/// Between a return and the next stop.
const UP: std::ops::Range<u64> = 1_500..5_000;
/// Between a stop and the start.
const DOWN: std::ops::Range<u64> = 0..1_500;
/// A lease and a little at least, a minute at most.
const OUTAGE: std::ops::RangeInclusive<u64> = 15..=60;
/// How long there is no connection to be had: longer than a lease.
const EXHAUSTED: Duration = Duration::from_secs(15);
/// Room that is easily taken.
const CONNECTIONS: u32 = 60;
const WORK_S: f64 = 5.0;
const SETTLE: Duration = Duration::from_mins(1);
const PATIENCE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(20);

/// The cluster that the proof stops, on both sides of its start.
pub(crate) fn cluster_options(home: &Path) -> paceline_postgres::Options {
    paceline_postgres::Options {
        max_connections: CONNECTIONS,
        ..paceline_postgres::Options::new(home.to_path_buf())
    }
}

/// What the mischief came to.
#[derive(Default)]
struct Outages {
    restarts: usize,
    /// From each return to the first thing that a worker did, in seconds.
    work: Vec<f64>,
    refused: usize,
}

pub(super) async fn prove(options: &Options) -> Result<Report> {
    let home = options.cluster_home.as_deref().context(
        "`faults postgres` stops its Postgres again and again, so it runs on one of its own: leave out --database-url",
    )?;
    let mut cluster = block_in_place(|| Cluster::start(&cluster_options(home)))?;
    let mut fleet = Fleet::new(options.seed).await?;
    let mut workers = fleet.spawn_all(WORKERS, SLOTS).await;
    let outage = Duration::from_secs(options.seconds.clamp(*OUTAGE.start(), *OUTAGE.end()));
    let length = Duration::from_secs(options.seconds);
    let whole = options.seconds + outage.as_secs() + EXHAUSTED.as_secs();
    fleet.prepare(usize::try_from(whole * USERS_PER_S)?).await;
    let mischief = trouble(&fleet, &mut cluster, options.seed, length, outage);
    let mut outages = fleet.under_load(BACKLOG, false, mischief).await?;
    let began = Instant::now();
    let stuck = fleet.settle(SETTLE).await;
    let settled = began.elapsed();
    let is_gone = |is_running: bool| usize::from(!is_running);
    let ended: usize = workers.iter_mut().map(|w| is_gone(w.process.is_running())).sum::<usize>()
        + is_gone(fleet.stack.api.is_running());
    let mut report = Report::new("faults postgres");
    report.count("immediate stops and restarts", outages.restarts, Bound::AtLeast(1.0));
    report.figure("the long outage", outage.as_secs_f64(), "s", Bound::None);
    report.count("connections refused while there were none", outages.refused, Bound::AtLeast(1.0));
    report.figure("from return to work, p50", percentile(&mut outages.work, 0.5), "s", Bound::None);
    let longest = percentile(&mut outages.work, 1.0);
    report.figure("from return to work, longest", longest, "s", Bound::AtMost(WORK_S));
    report.count("processes that ended", ended, NONE);
    report.count("syncs stuck a minute after the last", stuck, NONE);
    report.figure("until the backlog was done", settled.as_secs_f64(), "s", Bound::None);
    judge(&fleet, &mut report).await?;
    drain(workers).await;
    drop(fleet);
    block_in_place(|| cluster.release())?;
    Ok(report)
}

async fn trouble(
    fleet: &Fleet,
    cluster: &mut Cluster,
    seed: u64,
    length: Duration,
    outage: Duration,
) -> Result<Outages> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut outages = Outages::default();
    let end = Instant::now() + length;
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(chance.u64(UP))).await;
        let down = Duration::from_millis(chance.u64(DOWN));
        outages.work.push(stop_and_start(fleet, cluster, down).await?);
        outages.restarts += 1;
    }
    outages.work.push(stop_and_start(fleet, cluster, outage).await?);
    outages.restarts += 1;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (refused, work) = exhaust(fleet).await?;
    outages.refused = refused;
    outages.work.push(work);
    Ok(outages)
}

/// `pg_ctl -m immediate`, and a start after a while; answers how long workers took to go on.
async fn stop_and_start(fleet: &Fleet, cluster: &mut Cluster, down: Duration) -> Result<f64> {
    let pid = cluster.pid().context("a server that runs")?;
    let pid = Pid::from_raw(i32::try_from(pid)?).context("a process id")?;
    kill_process(pid, Signal::QUIT)?;
    tokio::time::sleep(down).await;
    let began = Instant::now();
    while cluster.pid().is_some() {
        ensure!(began.elapsed() < PATIENCE, "Postgres did not stop");
        tokio::time::sleep(AGAIN).await;
    }
    block_in_place(|| cluster.ensure_running())?;
    let back = back(fleet).await?;
    work_since(fleet, back).await
}

/// When Postgres answers again, by its own clock.
async fn back(fleet: &Fleet) -> Result<DateTime<Utc>> {
    let began = Instant::now();
    loop {
        // A connection of the pool may be one that the stop has cut.
        match witness::now(&fleet.stack.db).await {
            Ok(now) => return Ok(now),
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(_away) => tokio::time::sleep(AGAIN).await,
        }
    }
}

async fn work_since(fleet: &Fleet, since: DateTime<Utc>) -> Result<f64> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Ok(Some(seconds)) = witness::first_work_s(&fleet.stack.db, since).await {
            return Ok(seconds);
        }
        tokio::time::sleep(AGAIN).await;
    }
    Ok(PATIENCE.as_secs_f64())
}

/// Takes every connection there is, those that others have first; answers how often one was refused, and
/// how long workers took to go on when they could connect again.
async fn exhaust(fleet: &Fleet) -> Result<(usize, f64)> {
    const OTHERS: &str = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                           where datname = current_database() and starts_with(application_name, 'paceline-')
                             and application_name <> 'paceline-tests'";
    let url = fleet.stack.db.url();
    let (mut taken, mut refused) = (Vec::new(), 0);
    let end = Instant::now() + EXHAUSTED;
    while Instant::now() < end {
        match PgConnection::connect(url).await {
            Ok(connection) => taken.push(connection),
            Err(_none_left) => {
                refused += 1;
                // A number is all that it answers; the connections that it cuts become ours.
                if let Some(ours) = taken.first_mut() {
                    let _cut: i64 = sqlx::query_scalar(OTHERS).fetch_one(ours).await?;
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    for connection in taken {
        connection.close().await?;
    }
    let back = back(fleet).await?;
    Ok((refused, work_since(fleet, back).await?))
}
