//! `workers`: a row for each worker process.

use super::Error;
use crate::WorkerId;
use sqlx::PgExecutor;

/// A process says that it is there, with what it holds. Makes the row at first.
pub async fn beat(
    db: impl PgExecutor<'_>,
    id: WorkerId,
    version: &str,
    slots: i32,
    jobs: i32,
    draining: bool,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into paceline.workers (id, version, slots, jobs, draining) values ($1, $2, $3, $4, $5)
         on conflict (id) do update set jobs = excluded.jobs, draining = excluded.draining, beat_at = clock_timestamp()",
        id.0,
        version,
        slots,
        jobs,
        draining
    )
    .execute(db)
    .await?;
    Ok(())
}

/// A process ends as it should.
pub async fn stop(db: impl PgExecutor<'_>, id: WorkerId) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.workers set stopped_at = clock_timestamp(), jobs = 0, beat_at = clock_timestamp() where id = $1",
        id.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets processes that ended or fell silent a day ago.
pub async fn forget_old(db: impl PgExecutor<'_>) -> Result<u64, Error> {
    let gone = sqlx::query!(
        "delete from paceline.workers where beat_at < clock_timestamp() - interval '24 hours'"
    )
    .execute(db)
    .await?;
    Ok(gone.rows_affected())
}
