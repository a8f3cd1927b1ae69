//! `staged_pages`: what was fetched and is not stored yet, a compressed page a row.

use super::{Db, Error, fenced::Fenced};
use crate::JobId;

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
