//! `sync_history`: finished jobs, a partition a month. Jobs come here by [`super::sync_outcomes`] and
//! leave by [`super::sync_jobs::retry`].

use super::{Db, Error};

/// Makes this month's and the next months' partitions where they are missing; answers how many were.
pub async fn ensure_partitions(db: &Db) -> Result<i32, Error> {
    let made =
        sqlx::query_scalar!("select paceline.ensure_history_partitions()").fetch_one(db).await?;
    Ok(made.unwrap_or(0))
}
