//! `sync_history`: finished jobs, a partition a month. Jobs come here by [`super::sync_outcomes`] and
//! leave by [`super::sync_jobs::retry`].

use super::{Db, Error};
use std::time::Duration;

/// Makes this month's and the next months' partitions where they are missing; answers how many it made. Waits for
/// nobody: one that somebody stands in the way of is made the next time.
pub async fn ensure_partitions(db: &Db) -> Result<i32, Error> {
    let made =
        sqlx::query_scalar!("select paceline.ensure_history_partitions()").fetch_one(db).await?;
    Ok(made.unwrap_or(0))
}

/// Drops the months that ended longer than `keep` ago; answers how many. Waits for nobody: what is in
/// use stays until the next time.
pub async fn drop_old_partitions(db: &Db, keep: Duration) -> Result<i32, Error> {
    let dropped = sqlx::query_scalar!(
        "select paceline.drop_history_before(clock_timestamp() - make_interval(secs => $1))",
        keep.as_secs_f64()
    )
    .fetch_one(db)
    .await?;
    Ok(dropped.unwrap_or(0))
}

/// Forgets up to `limit` jobs older than `keep` of those that lie in no month's partition; answers how many.
pub async fn forget_strays(db: &Db, keep: Duration, limit: i64) -> Result<u64, Error> {
    let gone = sqlx::query!(
        "delete from paceline.sync_history_default where ctid = any(array(
           select ctid from paceline.sync_history_default
            where finished_at < clock_timestamp() - make_interval(secs => $1) limit $2 for update skip locked))",
        keep.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(gone.rows_affected())
}
