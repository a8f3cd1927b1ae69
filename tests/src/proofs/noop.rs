//! Jobs that do nothing, by the ten thousand: put into the tables by one statement, with their progress rows,
//! and watched until real workers have done them. The clock is Postgres's.

use anyhow::{Result, ensure};
use paceline_shared::notify::JOBS;
use paceline_tests::{
    process::Process,
    stack::{Stack, WorkerSetup},
};
use sqlx::{AssertSqlSafe, PgPool, types::Uuid};
use std::time::{Duration, Instant};

/// So many claimed jobs may be in one worker's hands.
pub(crate) const SLOTS: u16 = 1_000;
/// Between two looks at the tables: a look costs a little.
const AGAIN: Duration = Duration::from_millis(50);

/// As an enqueue leaves them, each of another user. `$1`: how many; `$2`: class; `$3`: what they hold, in ms.
const FILL: &str = "
    with job as (
      insert into paceline.sync_jobs
        (id, user_id, connection_id, provider, kind, job_type, class, time_range, run_at, sort_at,
         max_retries, payload, payload_version)
      select (lpad(to_hex((extract(epoch from t.now) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n / 65536), 3, '0')
               || '8' || substr(md5(random()::text), 1, 3) || lpad(to_hex(n % 65536), 4, '0')
               || substr(md5(random()::text), 1, 8))::uuid,
             gen_random_uuid(), gen_random_uuid(), 'strava', 'noop', 'activities', $2, '(,)', t.now,
             t.now - $2 * interval '30 minutes' + n * interval '1 microsecond', 5,
             jsonb_build_object('holdMs', $3), 1
        from generate_series(1, $1) n, (select clock_timestamp() as now) t
      returning id, user_id, created_at)
    insert into public.sync_progress (id, uid, external_id, provider, job_type, created_at, updated_at)
    select id, user_id, user_id::text, 'strava', 'activities', created_at, created_at from job";

/// Empties what earlier rounds left, so that each begins alike. A table at a time: workers hold several.
pub(crate) async fn clear(db: &PgPool) -> Result<()> {
    for statement in [
        "truncate paceline.sync_jobs",
        "truncate paceline.sync_runs",
        "truncate paceline.sync_history",
        "truncate paceline.sync_attempts",
        "truncate public.sync_progress",
        "checkpoint",
    ] {
        sqlx::raw_sql(statement).execute(db).await?;
    }
    Ok(())
}

/// Two workers with many slots, as the figures are meant.
pub(crate) async fn fleet(stack: &mut Stack) -> Vec<Process> {
    let mut workers = Vec::new();
    for _ in 0..2 {
        let setup = WorkerSetup { slots: SLOTS, ..WorkerSetup::default() };
        workers.push(stack.worker_with(setup).await);
    }
    workers
}

/// Queues so many jobs of class `scheduled`, each of another user, and says so; answers when they were there, in seconds since 1970.
pub(crate) async fn fill(db: &PgPool, jobs: i32, hold: Duration) -> Result<f64> {
    let mut tx = db.begin().await?;
    sqlx::query(FILL)
        .bind(jobs)
        .bind(2_i16)
        .bind(i32::try_from(hold.as_millis())?)
        .execute(&mut *tx)
        .await?;
    // What autovacuum would do for a table that grows slowly.
    sqlx::raw_sql("analyze paceline.sync_jobs, public.sync_progress").execute(&mut *tx).await?;
    tx.commit().await?;
    wake(db).await
}

/// Tells the workers that there is work; answers when, in seconds since 1970.
pub(crate) async fn wake(db: &PgPool) -> Result<f64> {
    let (at, ()) = sqlx::query_as::<_, (f64, ())>(
        "select extract(epoch from clock_timestamp())::float8, pg_notify($1, 'strava')",
    )
    .bind(JOBS)
    .fetch_one(db)
    .await?;
    Ok(at)
}

/// Waits until no job is left, all of them completed; answers the seconds from `began` to the last end.
pub(crate) async fn drained(db: &PgPool, jobs: i32, began: f64, limit: Duration) -> Result<f64> {
    let asked = Instant::now();
    // By the key, from its end: the last one queued is the last to go, and dead rows are not read.
    while sqlx::query("select from paceline.sync_jobs order by id desc limit 1")
        .fetch_optional(db)
        .await?
        .is_some()
    {
        ensure!(asked.elapsed() < limit, "not drained within {limit:?}");
        tokio::time::sleep(AGAIN).await;
    }
    let (completed, attempts, ended): (i64, i64, f64) = sqlx::query_as(
        "select count(*) filter (where status = 'completed'), sum(attempt),
                extract(epoch from max(finished_at))::float8 from paceline.sync_history",
    )
    .fetch_one(db)
    .await?;
    ensure!(completed == i64::from(jobs), "{completed} of {jobs} jobs completed");
    ensure!(attempts == completed, "{jobs} jobs took {attempts} attempts");
    Ok(ended - began)
}

/// So many new users; their ids.
pub(crate) async fn users(db: &PgPool, count: i32) -> Result<Vec<Uuid>> {
    Ok(sqlx::query_scalar(
        "insert into paceline.users (id, external_id)
         select id, id::text from (select gen_random_uuid() as id from generate_series(1, $1)) new returning id",
    )
    .bind(count)
    .fetch_all(db)
    .await?)
}

/// From now on each job that is queued in this database does nothing, whatever it was meant to do.
pub(crate) async fn defuse(db: &PgPool, hold: Duration) -> Result<()> {
    let payload = serde_json::json!({ "holdMs": u32::try_from(hold.as_millis())? });
    sqlx::raw_sql(AssertSqlSafe(format!(
        "create or replace function defuse() returns trigger language plpgsql as
           $$ begin new.kind := 'noop'; new.payload := '{payload}'; return new; end $$;
         create or replace trigger defuse before insert on paceline.sync_jobs for each row execute function defuse()"
    )))
    .execute(db)
    .await?;
    Ok(())
}
