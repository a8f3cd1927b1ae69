//! `sync_attempts`: a report for each failed attempt. Written by [`super::sync_outcomes`] in the
//! statement that settles the attempt; read here.

use super::{Db, Error};
use crate::JobId;
use chrono::{DateTime, Utc};

/// One failed attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which, from 1.
    pub attempt: i16,
    /// Where.
    pub phase: String,
    /// A [`crate::failure::Code`] by name.
    pub code: String,
    /// For people.
    pub message: String,
    /// Page, endpoint, HTTP status.
    pub context: serde_json::Value,
    /// When.
    pub at: DateTime<Utc>,
    /// When a later attempt completed.
    pub resolved_at: Option<DateTime<Utc>>,
}

/// The failed attempts of a job, oldest first.
pub async fn of_job(db: &Db, job: JobId) -> Result<Vec<Attempt>, Error> {
    Ok(sqlx::query_as!(
        Attempt,
        "select attempt, phase, code, message, context, at, resolved_at
           from paceline.sync_attempts where job_id = $1 order by at",
        job.0
    )
    .fetch_all(db)
    .await?)
}
