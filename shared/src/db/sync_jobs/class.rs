//! How people move a job forwards or backwards in the queue.

use crate::{JobId, Provider, db::Error, sync_spec::Class};
use sqlx::PgExecutor;

/// What became of a wish for another class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClassOutcome {
    /// It has its new place. Wake the workers of the provider after the commit.
    Moved(Provider),
    /// It runs: the place counts when it is claimed again.
    NextClaim(Provider),
    /// No live job has this id.
    NotLive,
}

/// Gives a live job another class, and with it another place in the queue.
///
/// The time that it has waited still counts. Who is raised is never behind the place that he would get if he
/// came now; so a slice far down in its user's own row comes forward too.
pub async fn set_class(
    db: impl PgExecutor<'_>,
    job: JobId,
    class: Class,
) -> Result<ClassOutcome, Error> {
    let moved = sqlx::query!(
        r#"update paceline.sync_jobs j
              set class = $2,
                  sort_at = case when $2 > j.class then least(moved.sort_at, fresh.sort_at) else moved.sort_at end
             from (select id, sort_at + (class - $2::smallint) * interval '30 minutes' as sort_at
                     from paceline.sync_jobs where id = $1) moved,
                  (select clock_timestamp() - $2::smallint * interval '30 minutes'
                          + (select count(*) from paceline.sync_jobs o join paceline.sync_jobs me using (user_id)
                              where me.id = $1 and o.class = $2) * (select l.step from paceline.lanes l join paceline.sync_jobs me on me.provider = l.lane
                               where me.id = $1) as sort_at) fresh
            where j.id = $1 and moved.id = j.id
            returning j.provider as "provider: Provider", j.worker is not null as "runs!""#,
        job.0,
        class.rank()
    )
    .fetch_optional(db)
    .await?;
    Ok(match moved {
        None => ClassOutcome::NotLive,
        Some(job) if job.runs => ClassOutcome::NextClaim(job.provider),
        Some(job) => ClassOutcome::Moved(job.provider),
    })
}
