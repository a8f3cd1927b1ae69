//! `record_failures`: records that failed alone, each with its reason.

use super::{Db, Error, housekeeping::forget_batch};
use crate::{JobId, UserId};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// The most of a record's text that is kept, in bytes.
pub const RECORD_LIMIT: usize = 64 * 1024;

/// A record that could not be read or stored.
#[derive(Clone, Debug)]
pub struct NewFailure {
    /// The page it stood on, from 1.
    pub page: i32,
    /// Its place on the page, from 0.
    pub position: i32,
    /// The provider's id, where it could be read.
    pub record_id: Option<String>,
    /// `unreadable` or `refused`.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// The provider's text.
    pub record: String,
}

/// Keeps failures aside, in the transaction of their batch. To repeat a batch is harmless.
pub async fn put(tx: &mut PgConnection, job: JobId, failures: &[NewFailure]) -> Result<(), Error> {
    for failure in failures {
        let mut end = failure.record.len().min(RECORD_LIMIT);
        while !failure.record.is_char_boundary(end) {
            end -= 1;
        }
        // A NUL is the one character that text cannot hold.
        let record = failure.record[..end].replace('\0', "\u{FFFD}");
        sqlx::query!(
            "insert into paceline.record_failures
               (id, job_id, page, position, provider_record_id, code, message, record)
             values ($1, $2, $3, $4, $5, $6, $7, $8)
             on conflict (job_id, page, position) do update
               set code = excluded.code, message = excluded.message, record = excluded.record, at = clock_timestamp()",
            Uuid::now_v7(),
            job.0,
            failure.page,
            failure.position,
            failure.record_id,
            failure.code,
            failure.message,
            record
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// A failure as its user reads it.
#[derive(Clone, Debug)]
pub struct RecordFailure {
    /// Its id, also the cursor of the next page.
    pub id: Uuid,
    /// The provider's page.
    pub page: i32,
    /// The place on the page.
    pub position: i32,
    /// The provider's id, where it could be read.
    pub provider_record_id: Option<String>,
    /// `unreadable` or `refused`.
    pub code: String,
    /// For people.
    pub message: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Failures of a user's sync after the place `(page, position)`, in the provider's order.
pub async fn of_sync(
    db: &Db,
    user: UserId,
    job: JobId,
    after: (i32, i32),
    limit: i64,
) -> Result<Vec<RecordFailure>, Error> {
    Ok(sqlx::query_as!(
        RecordFailure,
        "select f.id, f.page, f.position, f.provider_record_id, f.code, f.message, f.at
           from paceline.record_failures f
          where f.job_id = $1 and (f.page, f.position) > ($2, $3)
            and exists (select from paceline.syncs s where s.id = $1 and s.user_id = $4)
          order by f.page, f.position limit $5",
        job.0,
        after.0,
        after.1,
        user.0,
        limit
    )
    .fetch_all(db)
    .await?)
}

/// Forgets up to `limit` failures older than `keep`; answers how many.
pub async fn forget_old(db: &Db, keep: Duration, limit: i64) -> Result<u64, Error> {
    Ok(forget_batch!(db, "paceline.record_failures", "at", keep, limit))
}
