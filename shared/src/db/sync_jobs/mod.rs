//! `sync_jobs`: live jobs, from enqueue to claim, and what people do to them.
//!
//! How a claimed job ends is in [`super::sync_outcomes`]; what its owner writes is in
//! [`super::fenced`] and [`super::sync_runs`].

mod backfill;
mod cancel;
mod claim;
mod class;
mod enqueue;
mod follow_up;
mod hold;
mod retry;

pub use backfill::{SliceOutcome, enqueue_slices};
pub use cancel::{CancelOutcome, cancel, cancel_many};
pub use claim::{
    Claim, Claimed, Cursor, Hold, Standing, claim, claim_suspect, promote, suspect_waits,
};
pub use class::{ClassOutcome, set_class};
pub use enqueue::{Enqueued, NewSync, WhenLive, enqueue};
pub use follow_up::FollowUp;
pub(super) use follow_up::follow;
pub use retry::{RetryOptions, RetryOutcome, retry, retry_many};

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

/// Those of the jobs that their users want to stop.
pub async fn cancel_asked(db: &Db, jobs: &[JobId]) -> Result<Vec<JobId>, Error> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    Ok(sqlx::query_scalar!(
        r#"select id as "id: JobId" from paceline.sync_jobs where id = any($1) and cancel_requested_at is not null"#,
        &ids
    )
    .fetch_all(db)
    .await?)
}
