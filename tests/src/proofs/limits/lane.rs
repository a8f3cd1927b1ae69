//! A lane that lets three jobs run, and 64 slots that want them. What ran beside what is told by the
//! database: each job's claim and end, in its history.

use super::{
    super::{
        noop,
        report::{Bound, Report},
    },
    Options,
};
use anyhow::Result;
use paceline_shared::{Provider, db::lanes};
use paceline_tests::stack::{Stack, WorkerSetup};
use sqlx::PgPool;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

const LIMIT: i32 = 3;
const WORKERS: u16 = 8;
const SLOTS: u16 = 8;
/// How long a job holds its place.
const HOLD: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(super) async fn prove(report: &mut Report, options: &Options) -> Result<()> {
    let mut stack = Stack::new().await;
    let db = stack.db.pool().clone();
    let mut tx = stack.db.begin().await?;
    lanes::set_limit(&mut tx, Provider::Strava, Some(LIMIT)).await?;
    tx.commit().await?;
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let setup = WorkerSetup { slots: SLOTS, ..WorkerSetup::default() };
        workers.push(stack.worker_with(setup).await);
    }
    let rounds = Duration::from_secs(options.seconds).as_millis() / HOLD.as_millis();
    let jobs = LIMIT * i32::try_from(rounds)?;
    let began = noop::fill(&db, jobs, HOLD).await?;
    let watch = AbortOnDropHandle::new(tokio::spawn(most_seen(db.clone())));
    let limit = Duration::from_secs(options.seconds * 3 + 60);
    noop::drained(&db, jobs, began, limit).await?;
    let seen = watch.await??;
    let (overlap, took): (i64, f64) = sqlx::query_as(
        "select max(running), extract(epoch from max(at) - min(at))::float8
           from (select at, sum(step) over (order by at, step) as running
                   from (select started_at as at, 1 as step from paceline.sync_history
                         union all select finished_at, -1 from paceline.sync_history) moves) ran",
    )
    .fetch_one(&db)
    .await?;
    let ideal = f64::from(jobs / LIMIT) * HOLD.as_secs_f64();
    let most = Bound::AtMost(f64::from(LIMIT));
    report.figure("slots that claim", f64::from(WORKERS * SLOTS), "", Bound::None);
    report.figure("jobs run in the limited lane", f64::from(jobs), "", Bound::None);
    report.figure("most at once, by the jobs' own times", count(overlap), "", most);
    report.figure("most at once, as looked at", count(seen), "", most);
    report.figure("throughput over the ideal", ideal / took, "", Bound::AtLeast(0.95));
    Ok(())
}

/// The most jobs that were seen running, until there are none left.
async fn most_seen(db: PgPool) -> Result<i64> {
    let mut most = 0;
    loop {
        let (running, left): (i64, i64) = sqlx::query_as(
            "select count(*) filter (where worker is not null), count(*) from paceline.sync_jobs",
        )
        .fetch_one(&db)
        .await?;
        most = most.max(running);
        if left == 0 {
            return Ok(most);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of jobs that run")]
const fn count(n: i64) -> f64 {
    n as f64
}
