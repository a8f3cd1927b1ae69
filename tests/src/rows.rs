//! What the tables say, read with statements that share nothing with the application's; and hands that
//! move time: a lease or a waiting job is made older, so that no test has to wait for it.

use paceline_shared::db::Db;
use std::time::Duration;
use uuid::Uuid;

/// A sync in the worker's own tables.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Run {
    /// `queued`, `waiting`, `running`, or how it ended.
    pub state: String,
    /// `fetch`, `enrich`, `store` or `done`.
    pub phase: String,
    /// Attempts begun, less those given back.
    pub attempt: i16,
    /// Who has it.
    pub worker: Option<Uuid>,
    /// Pages staged.
    pub last_page: i32,
    /// Records that store is through with.
    pub stored: i32,
}

/// A sync, live or ended; `None` when there is none.
pub async fn run(db: &Db, sync: Uuid) -> Option<Run> {
    sqlx::query_as(
        "select s.state, s.phase, s.attempt, j.worker, s.last_page,
                coalesce((s.counts ->> 'saved')::int, 0) + coalesce((s.counts ->> 'updated')::int, 0)
                  + coalesce((s.counts ->> 'unchanged')::int, 0) as stored
           from paceline.syncs s left join paceline.sync_jobs j on j.id = s.id where s.id = $1",
    )
    .bind(sync)
    .fetch_optional(db)
    .await
    .expect("reading a sync")
}

/// Makes the owner of every running sync look silent for longer than any lease.
pub async fn age_leases(db: &Db) {
    change(db, "update paceline.sync_runs set beat_at = beat_at - interval '1 minute' where worker is not null").await;
}

/// Makes every waiting sync due.
pub async fn make_due(db: &Db) {
    change(
        db,
        "update paceline.sync_jobs set run_at = clock_timestamp() where waiting_for is not null",
    )
    .await;
}

/// Makes it look as if every quota's window had just begun, and what waits for it is due.
pub async fn open_windows(db: &Db) {
    change(
        db,
        "update paceline.budgets set spent = 0, header_used = 0, refused = 0;
         delete from paceline.budget_reservations;
         update paceline.lanes set blocked_until = null",
    )
    .await;
    make_due(db).await;
}

/// Runs a statement of the test's own and answers how many rows it changed.
pub async fn change(db: &Db, statement: &'static str) -> u64 {
    sqlx::raw_sql(statement).execute(db).await.expect("changing rows").rows_affected()
}

/// A number from a statement of the test's own.
pub async fn number(db: &Db, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(db).await.expect("reading a number")
}

/// How long the server has been up. Crashes count only when the last beat is younger than the server.
pub async fn uptime(db: &Db) -> Duration {
    let seconds: f64 = sqlx::query_scalar(
        "select extract(epoch from clock_timestamp() - pg_postmaster_start_time())::float8",
    )
    .fetch_one(db)
    .await
    .expect("reading the uptime");
    Duration::from_secs_f64(seconds.max(0.0))
}
