//! `duties`: what one worker at a time does for the whole fleet. A duty ends when it is given up, or by
//! itself some time after its holder fell silent.

use super::Error;
use crate::WorkerId;
use sqlx::PgExecutor;
use std::time::Duration;

/// To run, with nothing beside them, the jobs that two workers were lost with.
pub const SUSPECTS: &str = "suspects";
/// To delete what nobody needs any more.
pub const HOUSEKEEPING: &str = "housekeeping";

/// Takes a duty, or keeps one that this worker has, until `hold` from now. False: another has it.
pub async fn take(
    db: impl PgExecutor<'_>,
    duty: &str,
    worker: WorkerId,
    hold: Duration,
) -> Result<bool, Error> {
    let taken = sqlx::query!(
        "insert into paceline.duties as d (duty, worker, until)
         values ($1, $2, clock_timestamp() + make_interval(secs => $3))
         on conflict (duty) do update set worker = excluded.worker, until = clock_timestamp() + make_interval(secs => $3)
          where d.worker = excluded.worker or d.until < clock_timestamp()",
        duty,
        worker.0,
        hold.as_secs_f64()
    )
    .execute(db)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Gives a duty up, if this worker has it.
pub async fn give_up(db: impl PgExecutor<'_>, duty: &str, worker: WorkerId) -> Result<(), Error> {
    sqlx::query!("delete from paceline.duties where duty = $1 and worker = $2", duty, worker.0)
        .execute(db)
        .await?;
    Ok(())
}
