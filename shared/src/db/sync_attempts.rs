//! `sync_attempts`: a report for each failed attempt. Written by [`super::sync_outcomes`] in the
//! statement that settles the attempt; read here.

use super::{Db, Error, sync_outcomes::Lease};
use crate::{JobId, Provider, failure::Failure};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::{collections::HashMap, time::Duration};
use uuid::Uuid;

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
    pub context: Value,
    /// When.
    pub at: DateTime<Utc>,
    /// When a later attempt completed.
    pub resolved_at: Option<DateTime<Utc>>,
    /// Equal for failures of one kind.
    pub fingerprint: String,
}

/// The failed attempts of a job, oldest first.
pub async fn of_job(db: &Db, job: JobId) -> Result<Vec<Attempt>, Error> {
    Ok(sqlx::query_as!(
        Attempt,
        "select attempt, phase, code, message, context, at, resolved_at, fingerprint
           from paceline.sync_attempts where job_id = $1 order by at",
        job.0
    )
    .fetch_all(db)
    .await?)
}

/// Failures of live jobs as tables keep them: as JSON, each with its fingerprint. Asks the database
/// only where there is a failure at all.
pub(super) async fn kept_as(
    tx: &mut PgConnection,
    failures: &[(Lease, &Failure)],
) -> Result<HashMap<Lease, Value>, Error> {
    if failures.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = failures.iter().map(|(lease, _)| lease.job.0).collect();
    let kinds: HashMap<JobId, (Provider, String)> = sqlx::query!(
        r#"select id as "id: JobId", provider as "provider: Provider", job_type
             from paceline.sync_jobs where id = any($1)"#,
        &ids
    )
    .fetch_all(tx)
    .await?
    .into_iter()
    .map(|row| (row.id, (row.provider, row.job_type)))
    .collect();
    Ok(failures
        .iter()
        .map(|(lease, failure)| {
            let mut kept = json!(failure);
            if let Some((provider, job_type)) = kinds.get(&lease.job) {
                kept["fingerprint"] = failure.fingerprint(*provider, job_type).into();
            }
            (*lease, kept)
        })
        .collect())
}

/// Forgets up to `limit` reports older than `keep`; answers how many.
pub async fn forget_old(db: &Db, keep: Duration, limit: i64) -> Result<u64, Error> {
    let gone = sqlx::query!(
        "delete from paceline.sync_attempts where id = any(array(
           select id from paceline.sync_attempts
            where at < clock_timestamp() - make_interval(secs => $1)
            order by at, id limit $2 for update skip locked))",
        keep.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(gone.rows_affected())
}
