//! The pipeline's speed, memory and waiting.
//!
//! Speed is a ratio: activities a second through fetch, enrich and store, with a simulator that answers at
//! once and one worker, over rows a second of a plain COPY of the same rows into the same table, in the
//! same run. Memory is the worker's peak for a long history less that for a short one. Waiting is the
//! time of a sync with 200 ms a request over what its critical path alone must wait.

use super::{
    report::{Bound, Report},
    usage,
};
use anyhow::{Result, ensure};
use clap::Args;
use futures::{TryStreamExt, future::join_all};
use paceline_simulator::{Config, FULL_SCOPE, Population, StartRange};
use paceline_tests::stack::{Stack, User, WorkerSetup};
use serde_json::json;
use sqlx::{PgPool, postgres::PgPoolCopyExt};
use std::time::{Duration, Instant};

const LATENCY: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_mins(10);
/// The shorter history of the memory figure.
const SHORT_HISTORY: u32 = 1_000;
/// COPY is timed so often; the fastest counts, so that noise does not flatter the ratio.
const COPIES: usize = 3;

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Activities for the speed figure, over four users.
    #[arg(long, default_value_t = 40_000)]
    rows: u32,
    /// Activities of the longer history of the memory figure.
    #[arg(long, default_value_t = 100_000)]
    long_history: u32,
    /// A small run with loose floors, for a shared machine.
    #[arg(long, conflicts_with_all = ["rows", "long_history"])]
    short: bool,
    /// Go on measuring the speed for so long; the round with the median ratio counts.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Seed of the simulated histories.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Sizes and floors of a run.
struct Plan {
    rows: u32,
    long_history: u32,
    latency_history: u32,
    ratio: f64,
    memory_mib: f64,
    waiting: f64,
}

impl Options {
    fn plan(&self) -> Plan {
        if self.short {
            let (ratio, memory_mib, waiting) = (0.1, 32.0, 1.6);
            return Plan {
                rows: 8_000,
                long_history: 10_000,
                latency_history: 1_000,
                ratio,
                memory_mib,
                waiting,
            };
        }
        let Self { rows, long_history, .. } = *self;
        Plan {
            rows,
            long_history,
            latency_history: 4_000,
            ratio: 0.25,
            memory_mib: 16.0,
            waiting: 1.15,
        }
    }
}

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let plan = options.plan();
    let mut report = Report::new("pipeline");
    speed(&mut report, &plan, options).await?;
    memory(&mut report, &plan, options.seed).await?;
    waiting(&mut report, &plan, options.seed).await?;
    Ok(report)
}

async fn user(stack: &Stack, name: &str, activities: u32, seed: u64) -> User {
    let population =
        Population { activities, years: 10, seed: Some(seed), ..Population::default() };
    stack.user_with(name, &population, FULL_SCOPE).await
}

/// Starts all users' syncs and waits for their ends; answers the seconds in between.
async fn sync_all(users: &[User]) -> f64 {
    let began = Instant::now();
    let options = json!({});
    let ids = join_all(users.iter().map(|user| user.client.start_sync(&options))).await;
    join_all(users.iter().zip(ids).map(|(user, id)| user.client.wait_done(id, LIMIT))).await;
    began.elapsed().as_secs_f64()
}

/// One measurement of the speed, in seconds.
struct Round {
    pipeline: f64,
    copy: f64,
    /// Of the worker, Postgres, the simulator with this program, and the API.
    cpu: [f64; 4],
}

impl Round {
    fn ratio(&self) -> f64 {
        self.copy / self.pipeline
    }
}

async fn speed(report: &mut Report, plan: &Plan, options: &Options) -> Result<()> {
    let began = Instant::now();
    let mut rounds = vec![measure(plan, options.seed).await?];
    while began.elapsed() < Duration::from_secs(options.seconds) {
        rounds.push(measure(plan, options.seed).await?);
    }
    let measured = f64::from(u32::try_from(rounds.len())?);
    rounds.sort_unstable_by(|a, b| a.ratio().total_cmp(&b.ratio()));
    let round = rounds.swap_remove(rounds.len() / 2);
    let rows = f64::from(plan.rows / 4 * 4);
    report.figure("rounds measured", measured, "", Bound::None);
    report.figure("activities a round", rows, "", Bound::None);
    report.figure("activities/s through the pipeline", rows / round.pipeline, "1/s", Bound::None);
    report.figure("rows/s of COPY", rows / round.copy, "1/s", Bound::None);
    report.figure("pipeline over COPY", round.ratio(), "", Bound::AtLeast(plan.ratio));
    let names = ["CPU of the worker", "CPU of Postgres", "CPU of the simulator", "CPU of the api"];
    for (name, seconds) in names.into_iter().zip(round.cpu) {
        report.figure(name, seconds, "s", Bound::None);
    }
    Ok(())
}

async fn measure(plan: &Plan, seed: u64) -> Result<Round> {
    let mut stack = Stack::in_world(Config { log_capacity: 0, ..Config::default() }).await;
    let mut users = Vec::new();
    for n in 0..4_u64 {
        users.push(user(&stack, &format!("speed-{n}"), plan.rows / 4, seed + n).await);
    }
    let worker = stack.worker().await;
    let postmaster = usage::postmaster(stack.db.pool()).await?;
    let used = || -> Result<[f64; 4]> {
        let own = usage::cpu_s(std::process::id())?;
        let (worker, api) = (usage::cpu_s(worker.pid())?, usage::cpu_s(stack.api.pid())?);
        Ok([worker, usage::family_cpu_s(postmaster)?, own, api])
    };
    let before = used()?;
    let pipeline = sync_all(&users).await;
    let after = used()?;
    let cpu = std::array::from_fn(|n| after[n] - before[n]);
    drop(worker);
    let copy = copy_again(stack.db.pool()).await?;
    Ok(Round { pipeline, copy, cpu })
}

/// Copies the rows out, empties the table, and copies them in again; the seconds of the fastest way in.
async fn copy_again(db: &PgPool) -> Result<f64> {
    let rows: Vec<u8> = db
        .copy_out_raw("copy paceline.activities to stdout (format binary)")
        .await?
        .try_fold(Vec::new(), |mut all, chunk| async move {
            all.extend_from_slice(&chunk);
            Ok(all)
        })
        .await?;
    let before: i64 =
        sqlx::query_scalar("select count(*) from paceline.activities").fetch_one(db).await?;
    let mut fastest = f64::INFINITY;
    for _ in 0..COPIES {
        sqlx::raw_sql("truncate paceline.activities").execute(db).await?;
        let began = Instant::now();
        let mut copy =
            db.copy_in_raw("copy paceline.activities from stdin (format binary)").await?;
        copy.send(rows.as_slice()).await?;
        let copied = copy.finish().await?;
        fastest = fastest.min(began.elapsed().as_secs_f64());
        ensure!(u64::try_from(before)? == copied, "COPY brought {copied} of {before} rows");
    }
    Ok(fastest)
}

async fn memory(report: &mut Report, plan: &Plan, seed: u64) -> Result<()> {
    let mut peaks = [0.0; 2];
    let mut lost = 0;
    for (peak, activities) in peaks.iter_mut().zip([SHORT_HISTORY, plan.long_history]) {
        let mut stack = Stack::in_world(Config { log_capacity: 0, ..Config::default() }).await;
        let user = user(&stack, "memory", activities, seed).await;
        let worker = stack.worker().await;
        sync_all(&[user]).await;
        *peak = usage::peak_mib(worker.pid())?;
        let claims: i64 = sqlx::query_scalar("select max(lease_epoch) from paceline.sync_history")
            .fetch_one(&*stack.db)
            .await?;
        lost += u32::try_from(claims - 1)?;
    }
    report.figure("leases lost by a healthy worker", f64::from(lost), "", Bound::AtMost(0.0));
    report.figure("worker's peak memory, short history", peaks[0], "MiB", Bound::None);
    report.figure("worker's peak memory, long history", peaks[1], "MiB", Bound::None);
    report.figure(
        "more memory for the long one",
        peaks[1] - peaks[0],
        "MiB",
        Bound::AtMost(plan.memory_mib),
    );
    Ok(())
}

async fn waiting(report: &mut Report, plan: &Plan, seed: u64) -> Result<()> {
    let mut stack = Stack::new().await;
    let user = user(&stack, "waiting", plan.latency_history, seed).await;
    let pages = stack.world().athlete(user.athlete, StartRange::default())?.pages_of_200;
    let _worker = stack.worker_with(WorkerSetup { slots: 1, ..WorkerSetup::default() }).await;
    stack.world().set_latency(LATENCY);
    let seconds = sync_all(std::slice::from_ref(&user)).await;
    // A page cannot be asked for before the one in front of it is there, and an empty one ends the list.
    let requests = u32::try_from(pages)? + 1;
    let least = f64::from(requests) * LATENCY.as_secs_f64();
    let made = u32::try_from(stack.page_requests(user.athlete).len())?;
    ensure!(made == requests, "{made} page requests were made where {requests} are enough");
    report.figure(
        "requests on the critical path, 200 ms each",
        f64::from(requests),
        "",
        Bound::None,
    );
    report.figure("seconds of that sync", seconds, "s", Bound::None);
    for (name, phase) in
        [("of it in fetch", "fetch"), ("of it in enrich", "enrich"), ("of it in store", "store")]
    {
        report.figure(name, phase_s(stack.db.pool(), phase).await?, "s", Bound::None);
    }
    report.figure("over the critical path", seconds / least, "", Bound::AtMost(plan.waiting));
    Ok(())
}

/// Seconds between start and end of a phase of the one sync there is.
async fn phase_s(db: &PgPool, phase: &str) -> Result<f64> {
    let seconds = sqlx::query_scalar(
        "select extract(epoch from (phase_times -> $1 ->> 'end')::timestamptz
                                 - (phase_times -> $1 ->> 'start')::timestamptz)::float8
           from paceline.sync_history",
    );
    Ok(seconds.bind(phase).fetch_one(db).await?)
}
