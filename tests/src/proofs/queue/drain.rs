//! How fast real workers drain jobs that do nothing, beside the raw loop; what that costs; and whether a backlog
//! or an old snapshot slows it.

use super::{
    Plan, raw,
    statements::{self, Spent},
};
use crate::proofs::{
    noop,
    report::{Bound, Report},
    usage,
};
use anyhow::Result;
use paceline_tests::{process::Process, stack::Stack};
use sqlx::PgPool;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_mins(10);
/// The small backlog, to which the large one is compared.
const SMALL: i32 = 20_000;
/// Of the small backlog, which is drained in a moment, so many are measured.
const SMALL_ROUNDS: usize = 5;

/// What one drain came to.
struct Drain {
    rate: f64,
    /// Bytes of write-ahead log a job: its enqueue, and all that followed.
    wal: [f64; 2],
    /// Microseconds of processor time a job: of both workers, of Postgres.
    cpu: [f64; 2],
    /// Claims, ends, notifications, and everything else.
    statements: [Spent; 4],
}

/// Adds the figures.
pub(crate) async fn prove(report: &mut Report, plan: &Plan) -> Result<()> {
    let mut stack = Stack::new().await;
    let workers = noop::fleet(&mut stack).await;
    let db = stack.db.pool().clone();
    once(&db, &workers, SMALL).await?;
    let began = Instant::now();
    let mut rounds = Vec::new();
    while rounds.is_empty() || began.elapsed() < Duration::from_secs(plan.seconds) {
        // Loops in the same number as there are workers, and a single one: the better counts.
        let raw = raw::drain(&db, plan.rows, 2).await?.max(raw::drain(&db, plan.rows, 1).await?);
        rounds.push((raw, once(&db, &workers, plan.rows).await?));
    }
    rounds.sort_by(|(a, one), (b, other)| (one.rate / a).total_cmp(&(other.rate / b)));
    let (raw, round) = rounds.swap_remove(rounds.len() / 2);
    let ratio = round.rate / raw;
    report.figure("jobs/s of the raw loop", raw, "1/s", Bound::None);
    report.figure("jobs/s drained by two workers", round.rate, "1/s", Bound::None);
    report.figure("drained over raw", ratio, "", Bound::AtLeast(plan.floors.drained));
    report.figure("CPU of the workers a job", round.cpu[0], "µs", Bound::None);
    report.figure("CPU of Postgres a job", round.cpu[1], "µs", Bound::None);
    let names = [
        ["Postgres in claims, a job", "jobs a claim"],
        ["Postgres in ends, a job", "jobs an end"],
        ["Postgres in notifications, a job", "jobs a notification"],
        ["Postgres in other statements, a job", "jobs another statement"],
    ];
    let jobs = f64::from(plan.rows);
    for ([cost, batch], spent) in names.into_iter().zip(round.statements) {
        report.figure(cost, spent.ms * 1e3 / jobs, "µs", Bound::None);
        report.figure(batch, jobs / spent.calls, "", Bound::None);
    }
    report.figure("WAL of an enqueue, a job", round.wal[0], "B", Bound::None);
    report.figure("WAL from claim to end, a job", round.wal[1], "B", Bound::AtMost(2_500.0));

    let mut small = Vec::new();
    for _ in 0..SMALL_ROUNDS {
        small.push(once(&db, &workers, SMALL).await?.rate);
    }
    small.sort_by(f64::total_cmp);
    let small = small[SMALL_ROUNDS / 2];
    let large = once(&db, &workers, plan.rows).await?.rate.max(round.rate);
    let mut reader = db.acquire().await?;
    sqlx::raw_sql("begin isolation level repeatable read; select count(*) from paceline.lanes")
        .execute(&mut *reader)
        .await?;
    let held = once(&db, &workers, plan.rows).await?.rate;
    sqlx::raw_sql("rollback").execute(&mut *reader).await?;
    report.figure("jobs/s at a backlog of 20,000", small, "1/s", Bound::None);
    report.figure("jobs/s at the large backlog", large, "1/s", Bound::None);
    report.figure("large over small", large / small, "", Bound::AtLeast(plan.floors.backlog));
    let over = held / large;
    report.figure("with an old snapshot over without", over, "", Bound::AtLeast(plan.floors.held));
    Ok(())
}

/// A drain of so many jobs, in empty tables.
async fn once(db: &PgPool, workers: &[Process], jobs: i32) -> Result<Drain> {
    noop::clear(db).await?;
    let lsn = async || -> Result<f64> {
        let lsn = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8";
        Ok(sqlx::query_scalar(lsn).fetch_one(db).await?)
    };
    let lsn_empty = lsn().await?;
    let postmaster = usage::postmaster(db).await?;
    let used = || -> Result<[f64; 2]> {
        let mut own = 0.0;
        for worker in workers {
            own += usage::cpu_s(worker.pid())?;
        }
        Ok([own, usage::family_cpu_s(postmaster)?])
    };
    let began = noop::fill(db, jobs, Duration::ZERO).await?;
    statements::reset(db).await?;
    let (at_first, lsn_filled) = (used()?, lsn().await?);
    let seconds = noop::drained(db, jobs, began, LIMIT).await?;
    let at_last = used()?;
    let wal = [lsn_filled - lsn_empty, lsn().await? - lsn_filled];
    let known = [statements::CLAIM, statements::SETTLE, statements::NOTIFY];
    let mut of = [Spent::default(); 4];
    for (place, like) in of.iter_mut().zip(known) {
        *place = statements::spent(db, like, "^$").await?;
    }
    of[3] = statements::spent(db, "", &known.join("|")).await?;
    let jobs = f64::from(jobs);
    let cpu = std::array::from_fn(|n| (at_last[n] - at_first[n]) * 1e6 / jobs);
    Ok(Drain { rate: jobs / seconds, wal: wal.map(|bytes| bytes / jobs), cpu, statements: of })
}
