//! How soon a job is in a worker's hands: at a quiet rate, as users ask; and how long a claim takes in tables that are
//! full of jobs that ended, wait or are ready.

use super::{Plan, enqueue::new_sync, looks::looks};
use crate::proofs::{
    noop,
    report::{Bound, Report},
};
use anyhow::{Result, ensure};
use paceline_shared::{
    Provider, UserId, WorkerId,
    db::{
        sync_jobs::{Cursor, WhenLive, claim, enqueue},
        sync_outcomes::{Lease, Outcome, settle},
    },
    notify::{JOBS, Notifier},
    sync_spec::Class,
};
use paceline_tests::{database::TestDb, stack::Stack};
use std::time::{Duration, Instant};

/// Between two jobs: 50 a second.
const EVERY: Duration = Duration::from_millis(20);
/// A claim's batch is any number up to this.
const MOST: i64 = 20;
/// A worker's cursor lives a second; so it starts anew after so many claims.
const CURSOR_CLAIMS: usize = 50;

/// Jobs that ended. `$1`: how many, over the last year.
const FINISHED: &str = "
    insert into paceline.sync_history
      (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase, checkpoint, attempt,
       max_retries, crashes, payload, payload_version, lease_epoch, counts, phase_times, error_count, retries, last_page,
       created_at, started_at, finished_at)
    select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'strava', 0, 'noop', 'activities', 2, '(,)',
           'completed', 'done', '{\"phase\": \"done\"}', 1, 5, 0, '{}', 1, 1, '{}', '{}', 0, 0, 0, at, at, at
      from (select clock_timestamp() - random() * interval '20 days' as at from generate_series(1, $1)) t";

/// Adds the figures of a quiet rate.
pub(crate) async fn quiet(report: &mut Report, plan: &Plan) -> Result<()> {
    let mut stack = Stack::new().await;
    noop::defuse(stack.db.pool(), Duration::ZERO).await?;
    let _workers = noop::fleet(&mut stack).await;
    let notifier = Notifier::start(stack.db.clone());
    let jobs = i32::try_from(plan.pickup_for.as_millis() / EVERY.as_millis())?;
    let users = noop::users(stack.db.pool(), jobs).await?;
    let mut every = tokio::time::interval(EVERY);
    for user in users {
        every.tick().await;
        let mut tx = stack.db.begin().await?;
        enqueue(&mut tx, &new_sync(UserId(user), Class::Interactive), WhenLive::Refuse).await?;
        tx.commit().await?;
        notifier.say(JOBS, Provider::Strava.as_str());
    }
    noop::drained(stack.db.pool(), jobs, 0.0, Duration::from_mins(1)).await?;
    // From the insert to the claim's stamp: what is asked for, and the commit before it.
    let (p50, p99): (f64, f64) = sqlx::query_as(
        "select percentile_cont(0.5) within group (order by wait_ms), percentile_cont(0.99) within group (order by wait_ms)
           from (select extract(epoch from started_at - created_at)::float8 * 1000 as wait_ms
                   from paceline.sync_history) waits",
    )
    .fetch_one(&*stack.db)
    .await?;
    report.figure(
        "pick-up at 50 jobs/s, half of them",
        p50,
        "ms",
        Bound::AtMost(plan.floors.pickup_ms[0]),
    );
    report.figure(
        "pick-up at 50 jobs/s, 99 in 100",
        p99,
        "ms",
        Bound::AtMost(plan.floors.pickup_ms[1]),
    );
    Ok(())
}

/// Adds the figures of large tables.
pub(crate) async fn large(report: &mut Report, plan: &Plan) -> Result<()> {
    let db = TestDb::new().await;
    // Past the limits that the application has for its statements.
    let pool = db.pool();
    sqlx::query(FINISHED).bind(plan.finished).execute(pool).await?;
    noop::fill(pool, plan.waiting, Duration::ZERO).await?;
    sqlx::raw_sql(
        "update paceline.sync_jobs set waiting_for = 'quota_exceeded', run_at = clock_timestamp() + interval '1 day'",
    )
    .execute(pool)
    .await?;
    noop::fill(pool, plan.ready, Duration::ZERO).await?;
    for statement in ["vacuum analyze paceline.sync_jobs", "analyze paceline.sync_history"] {
        sqlx::raw_sql(statement).execute(pool).await?;
    }
    let worker = WorkerId::fresh();
    let (mut took, mut jobs, mut cursor) = (Vec::new(), 0, Cursor::START);
    let mut chance = fastrand::Rng::with_seed(plan.seed);
    for n in 0..plan.claims {
        if n % CURSOR_CLAIMS == 0 {
            cursor = Cursor::START;
        }
        let began = Instant::now();
        let taken = claim(&db, worker, Provider::Strava, chance.i64(1..=MOST), cursor).await?.jobs;
        took.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(!taken.is_empty(), "the {} ready jobs are too few for this", plan.ready);
        cursor = taken.last().map_or(Cursor::START, Cursor::behind);
        let ends: Vec<_> = taken
            .iter()
            .map(|one| (Lease { job: one.id, epoch: one.epoch, worker }, Outcome::Completed))
            .collect();
        jobs += settle(&db, &ends).await?.held.len();
    }
    took.sort_by(f64::total_cmp);
    report.count("jobs ended, in the large tables", usize::try_from(plan.finished)?, Bound::None);
    report.count("jobs that wait", usize::try_from(plan.waiting)?, Bound::None);
    report.count("jobs that are ready", usize::try_from(plan.ready)?, Bound::None);
    report.count("jobs claimed there, in small batches", jobs, Bound::AtLeast(1.0));
    report.figure("claim, half of them", took[took.len() / 2], "ms", Bound::None);
    report.figure(
        "claim, 99 in 100",
        took[took.len() * 99 / 100],
        "ms",
        Bound::AtMost(plan.floors.claim_ms),
    );
    looks(report, plan, &db).await
}
