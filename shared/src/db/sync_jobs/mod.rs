//! `sync_jobs`: live jobs, from enqueue to claim, and what people do to them: cancel and retry.
//!
//! How a claimed job ends is in [`super::sync_outcomes`]; what its owner writes is in
//! [`super::fenced`] and [`super::sync_runs`].

mod cancel;
mod claim;
mod enqueue;
mod retry;

pub use cancel::{Cancel, cancel};
pub use claim::{Claimed, Cursor, claim, promote};
pub use enqueue::{Enqueued, NewSync, enqueue};
pub use retry::{Retry, retry};

use super::{Db, Error};
use crate::JobId;
use uuid::Uuid;

/// Those of the jobs that have not ended.
pub async fn still_live(db: &Db, jobs: &[JobId]) -> Result<Vec<JobId>, Error> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    Ok(sqlx::query_scalar!(
        r#"select id as "id: JobId" from paceline.sync_jobs where id = any($1)"#,
        &ids
    )
    .fetch_all(db)
    .await?)
}
