//! How people end jobs.

use crate::{
    JobId, UserId,
    db::{self, Db, Error},
    job_state::JobState,
};

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// It has ended.
    Done,
    /// Its worker was asked; nothing forgets it.
    Asked,
    /// It had ended before.
    Ended(JobState),
    /// The user has no such sync.
    NotFound,
}

/// Cancels a user's sync. After [`Cancel::Asked`] tell the workers.
pub async fn cancel(db: &Db, user: UserId, job: JobId) -> Result<Cancel, Error> {
    let mut tx = db::begin(db).await?;
    let owned = sqlx::query_scalar!(
        r#"update paceline.sync_jobs set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
            where id = $1 and user_id = $2 returning worker is not null as "owned!""#,
        job.0,
        user.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let outcome = match owned {
        Some(true) => Cancel::Asked,
        Some(false) => {
            db::sync_outcomes::cancel_idle(&mut tx, job).await?;
            Cancel::Done
        }
        None => db::syncs::find(&mut *tx, user, job)
            .await?
            .map_or(Cancel::NotFound, |sync| Cancel::Ended(sync.state)),
    };
    tx.commit().await?;
    Ok(outcome)
}
