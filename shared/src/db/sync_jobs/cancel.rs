//! How people end jobs.

use crate::{
    JobId, UserId,
    db::{self, Db, Error},
    job_state::JobState,
};
use sqlx::{Connection as _, PgConnection};
use std::{collections::HashMap, time::Duration};
use uuid::Uuid;

/// What became of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It has ended.
    Done,
    /// Its worker was asked; nothing forgets it.
    Asked,
    /// It had ended before.
    Ended(JobState),
    /// There is no such job.
    NotFound,
}

/// Cancels a user's sync; another's is not found. After [`CancelOutcome::Asked`] tell the workers.
pub async fn cancel(db: &Db, user: UserId, job: JobId) -> Result<CancelOutcome, Error> {
    loop {
        let mut tx = db::begin(db).await?;
        let outcome = try_to_cancel(&mut tx, user, job).await?;
        tx.commit().await?;
        // None: somebody retried it between two looks, and it is alive again.
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
    }
}

async fn try_to_cancel(
    tx: &mut PgConnection,
    user: UserId,
    job: JobId,
) -> Result<Option<CancelOutcome>, Error> {
    let owned = sqlx::query_scalar!(
        r#"update paceline.sync_jobs set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
            where id = $1 and user_id = $2 returning worker is not null as "owned!""#,
        job.0,
        user.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    Ok(match owned {
        Some(true) => Some(CancelOutcome::Asked),
        Some(false) => {
            db::sync_outcomes::cancel_idle(&mut *tx, &[job.0]).await?;
            Some(CancelOutcome::Done)
        }
        None => match db::syncs::find(&mut *tx, user, job).await? {
            None => Some(CancelOutcome::NotFound),
            Some(sync) if sync.state.is_final() => Some(CancelOutcome::Ended(sync.state)),
            Some(_) => None,
        },
    })
}

/// Between two looks at rows that somebody held.
const PAUSE: Duration = Duration::from_millis(10);
/// So often a row that somebody holds is passed by; then it is waited for.
const PATIENCE: u32 = 30;

/// Cancels up to some thousand jobs of anybody, in the caller's transaction.
///
/// There is an outcome for each id, in the order asked. Those that nobody runs end at once; the workers of the others are told after the commit.
///
/// A worker's acknowledgement holds many rows and waits for more, in an order of its own. So this one never
/// waits while it holds rows of running jobs: it takes all of them at one moment or none.
pub async fn cancel_many(
    tx: &mut PgConnection,
    jobs: &[JobId],
) -> Result<Vec<(JobId, CancelOutcome)>, Error> {
    let mut outcomes = HashMap::with_capacity(jobs.len());
    let mut open: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    for look in 0.. {
        let ended = db::sync_outcomes::cancel_idle(tx, &open).await?;
        outcomes.extend(ended.into_iter().map(|job| (job, CancelOutcome::Done)));
        let asked = ask_running(tx, &open, look >= PATIENCE).await?;
        outcomes.extend(asked.into_iter().map(|job| (job, CancelOutcome::Asked)));
        open.retain(|id| !outcomes.contains_key(&JobId(*id)));
        // Claimed, or given back, between the two; or in somebody's hands at this moment.
        let moving = still_live(tx, &open).await?;
        if moving.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        let ended_meanwhile = open.iter().copied().filter(|id| !moving.contains(id));
        outcomes.extend(how_they_ended(tx, &ended_meanwhile.collect::<Vec<_>>()).await?);
        open = moving;
    }
    outcomes.extend(how_they_ended(tx, &open).await?);
    let outcome = |job: &JobId| outcomes.get(job).copied().unwrap_or(CancelOutcome::NotFound);
    Ok(jobs.iter().map(|job| (*job, outcome(job))).collect())
}

/// Asks the workers of those that run. When somebody holds one of the rows: waits for it, or asks nobody.
async fn ask_running(
    tx: &mut PgConnection,
    jobs: &[Uuid],
    wait: bool,
) -> Result<Vec<JobId>, Error> {
    let mut part = tx.begin().await?;
    let locked = if wait {
        sqlx::query_scalar!(
            "select id from paceline.sync_jobs where id = any($1) and worker is not null order by id for update",
            jobs
        )
        .fetch_all(&mut *part)
        .await
    } else {
        sqlx::query_scalar!(
            "select id from paceline.sync_jobs where id = any($1) and worker is not null order by id for update nowait",
            jobs
        )
        .fetch_all(&mut *part)
        .await
    };
    let ids = match locked.map_err(Error::from) {
        Ok(ids) => ids,
        Err(Error::Busy(_)) if !wait => {
            part.rollback().await?;
            return Ok(vec![]);
        }
        Err(error) => return Err(error),
    };
    let asked = sqlx::query_scalar!(
        r#"update paceline.sync_jobs set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
            where id = any($1) returning id as "id: JobId""#,
        &ids
    )
    .fetch_all(&mut *part)
    .await?;
    part.commit().await?;
    Ok(asked)
}

async fn still_live(tx: &mut PgConnection, jobs: &[Uuid]) -> Result<Vec<Uuid>, Error> {
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    Ok(sqlx::query_scalar!("select id from paceline.sync_jobs where id = any($1)", jobs)
        .fetch_all(tx)
        .await?)
}

async fn how_they_ended(
    tx: &mut PgConnection,
    jobs: &[Uuid],
) -> Result<Vec<(JobId, CancelOutcome)>, Error> {
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    let rows = sqlx::query!(
        r#"select id as "id: JobId", status as "state: JobState" from paceline.sync_history where id = any($1)"#,
        jobs
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, CancelOutcome::Ended(row.state))).collect())
}
