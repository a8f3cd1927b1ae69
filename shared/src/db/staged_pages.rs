//! `staged_pages`: what was fetched and is not stored yet, a compressed page a row.

use super::{Db, Error, fenced::Fenced};
use crate::JobId;
use std::time::Duration;

/// Stages a page, in the transaction that moves the checkpoint past it.
pub async fn put(tx: &mut Fenced, page: i32, items: i32, body: &[u8]) -> Result<(), Error> {
    let job = tx.job();
    sqlx::query!(
        "insert into paceline.staged_pages (job_id, page, items, body) values ($1, $2, $3, $4)
         on conflict (job_id, page) do update set items = excluded.items, body = excluded.body",
        job.0,
        page,
        items,
        body
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The compressed body of a page; `None` past the last.
pub async fn body(db: &Db, job: JobId, page: i32) -> Result<Option<Vec<u8>>, Error> {
    Ok(sqlx::query_scalar!(
        "select body from paceline.staged_pages where job_id = $1 and page = $2",
        job.0,
        page
    )
    .fetch_optional(db)
    .await?)
}

/// Deletes the pages of up to `limit` syncs that failed longer than `keep` ago, and notes it in the same
/// statement: a retry then begins anew. Answers of how many syncs.
///
/// A sync that somebody retries at this moment is passed by.
pub async fn prune(db: &Db, keep: Duration, limit: i64) -> Result<i64, Error> {
    let pruned = sqlx::query_scalar!(
        r#"with old as (
             update paceline.sync_history set pages_pruned_at = clock_timestamp()
              where status = 'failed' and pages_pruned_at is null and id = any(array(
                select id from paceline.sync_history
                 where status = 'failed' and pages_pruned_at is null and last_page > 0
                   and finished_at < clock_timestamp() - make_interval(secs => $1)
                 order by finished_at limit $2 for update skip locked))
             returning id),
           gone as (delete from paceline.staged_pages where job_id = any(array(select id from old)))
           select count(*) as "pruned!" from old"#,
        keep.as_secs_f64(),
        limit
    )
    .fetch_one(db)
    .await?;
    Ok(pruned)
}
