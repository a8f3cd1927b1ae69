//! Tombstones for activities that their provider no longer has.

use crate::{
    ConnectionId, JobId,
    db::{Db, Error},
    record::Replaceable,
};
use sqlx::PgConnection;

/// Some of the records in a list's part that are on no page of `job`, which has read that part completely. What others
/// wrote since it began to read is newer and not among them.
pub async fn unnamed(
    db: &Db,
    connection: ConnectionId,
    job: JobId,
    part: Replaceable<'_>,
    limit: i64,
) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar!(
        "select provider_record_id from paceline.activities
          where connection_id = $1 and stream = $3 and deleted_at is null
            and start_at >= coalesce($4, '-infinity'::timestamptz) and start_at < $5
            and updated_at < (select staged_at from paceline.staged_pages where job_id = $2 and page = 0)
            and provider_record_id not in (
              select unnest(ids) from paceline.staged_pages where job_id = $2 and (stream = $3 or page = 0))
          order by start_at desc limit $6",
        connection.0,
        job.0,
        part.stream,
        part.from,
        part.to,
        limit
    )
    .fetch_all(db)
    .await?)
}

/// Marks as deleted what lies in a list's part and is on no page of `job`, as [`unnamed`] finds it. Answers how many.
pub async fn remove_unnamed(
    tx: &mut PgConnection,
    connection: ConnectionId,
    job: JobId,
    part: Replaceable<'_>,
) -> Result<i64, Error> {
    let removed = sqlx::query!(
        "update paceline.activities
            set deleted_at = clock_timestamp(), updated_at = clock_timestamp(), version = version + 1, sync_job_id = $2
          where connection_id = $1 and stream = $3 and deleted_at is null
            and start_at >= coalesce($4, '-infinity'::timestamptz) and start_at < $5
            and updated_at < (select staged_at from paceline.staged_pages where job_id = $2 and page = 0)
            and provider_record_id not in (
              select unnest(ids) from paceline.staged_pages where job_id = $2 and stream = $3)",
        connection.0,
        job.0,
        part.stream,
        part.from,
        part.to
    )
    .execute(tx)
    .await?;
    Ok(i64::try_from(removed.rows_affected()).unwrap_or(i64::MAX))
}

/// Marks records as deleted. Answers how many were not.
pub async fn remove(
    tx: &mut PgConnection,
    connection: ConnectionId,
    job: JobId,
    stream: &str,
    record_ids: &[String],
) -> Result<i64, Error> {
    let removed = sqlx::query!(
        "update paceline.activities
            set deleted_at = clock_timestamp(), updated_at = clock_timestamp(), version = version + 1, sync_job_id = $2
          where connection_id = $1 and stream = $3 and provider_record_id = any($4) and deleted_at is null",
        connection.0,
        job.0,
        stream,
        record_ids
    )
    .execute(tx)
    .await?;
    Ok(i64::try_from(removed.rows_affected()).unwrap_or(i64::MAX))
}
