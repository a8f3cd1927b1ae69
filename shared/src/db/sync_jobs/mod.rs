//! `sync_jobs`: live jobs, from enqueue to claim, and what people do to them.
//!
//! How a claimed job ends is in [`super::sync_outcomes`]; what its owner writes is in
//! [`super::fenced`] and [`super::sync_runs`].

mod account;
mod backfill;
mod cancel;
mod claim;
mod class;
mod enqueue;
mod follow_up;
mod hold;
mod promote;
mod retry;

pub use account::{
    AccountJob, ClaimedAccount, Goodbye, claim_account, enqueue_deauthorize, enqueue_exchange,
    syncs_of, withdraw_deauthorize,
};
pub use backfill::{SliceOutcome, enqueue_slices};
pub use cancel::{CancelOutcome, cancel, cancel_many};
pub use claim::{Claim, Claimed, Cursor, Hold, Standing, claim, claim_suspect, suspect_waits};
pub use class::{ClassOutcome, set_class};
pub use enqueue::{Enqueued, NewSync, WhenLive, enqueue};
pub use follow_up::FollowUp;
pub(super) use follow_up::follow;
pub use promote::promote;
pub use retry::{RetryOptions, RetryOutcome, retry, retry_many};

use super::{Db, Error};
use crate::{JobId, Provider};
use sqlx::PgConnection;
use uuid::Uuid;

/// What parks jobs of a provider that gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parked {
    /// Its breaker is not closed.
    Breaker,
    /// Its calls are spent, the application's or the user's: which, is not written on the job.
    Quota,
}

/// Wakes what is parked for this reason, in the caller's transaction; answers how many.
///
/// They are back in the queue with the next look for due jobs. One that must wait after all has cost a claim and no
/// attempt; one that is in somebody's hands at this moment is left alone.
pub async fn make_due(
    tx: &mut PgConnection,
    provider: Provider,
    parked: Parked,
) -> Result<u64, Error> {
    const MOST: i64 = 10_000;
    let reasons = match parked {
        Parked::Breaker => &["breaker_open"][..],
        Parked::Quota => &["rate_limit", "quota_exceeded"],
    };
    let due = sqlx::query!(
        "update paceline.sync_jobs set run_at = clock_timestamp()
          where id = any(array(
            select id from paceline.sync_jobs
             where provider = $1 and waiting_for = any($2) and run_at > clock_timestamp()
             order by run_at limit $3 for update skip locked))",
        provider.as_str(),
        reasons as &[&str],
        MOST
    )
    .execute(tx)
    .await?;
    Ok(due.rows_affected())
}

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
