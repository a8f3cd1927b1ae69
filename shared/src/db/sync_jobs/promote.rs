//! How parked jobs come back into the queue.

use crate::db::{Db, Error, timed};

/// Puts parked jobs whose time has come back into the queue; answers how many.
pub async fn promote(db: &Db) -> Result<u64, Error> {
    let promote = sqlx::query!(
        "with due as (
           update paceline.sync_jobs set waiting_for = null
            where id = any(array(
              select id from paceline.sync_jobs
               where waiting_for is not null and run_at <= clock_timestamp()
               order by run_at limit 1000 for update skip locked))
           returning id)
         update public.sync_progress p
            set status = 'queued', waiting = null, rev = rev + 1, updated_at = clock_timestamp()
          where p.id = any(array(select id from due))"
    )
    .execute(db);
    let due = timed("promote", promote).await?;
    Ok(due.rows_affected())
}
