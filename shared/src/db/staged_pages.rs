//! `staged_pages`: what was fetched and is not stored yet, a compressed page a row. Page 0 is the plan that the sync
//! goes by: it is fixed when the sync begins and goes with the pages.

use super::{Db, Error, fenced::Fenced};
use crate::JobId;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::time::Duration;

/// A page to be staged.
#[derive(Clone, Copy, Debug)]
pub struct NewPage<'a> {
    /// Its number, from 1; 0 is the plan.
    pub page: i32,
    /// Which of the provider's lists it is from.
    pub stream: &'a str,
    /// Items on it.
    pub items: i32,
    /// As the provider sent it, compressed.
    pub body: &'a [u8],
    /// What reading it needs and it does not say itself.
    pub context: Option<&'a Value>,
    /// The ids of the records on it.
    pub ids: &'a [String],
    /// The step after it.
    pub next: Option<&'a Value>,
}

/// Stages a page, in the transaction that moves the checkpoint past it.
pub async fn put(tx: &mut Fenced, page: NewPage<'_>) -> Result<(), Error> {
    let job = tx.job();
    sqlx::query!(
        "insert into paceline.staged_pages (job_id, page, stream, items, body, context, ids, next_step)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (job_id, page) do update
           set stream = excluded.stream, items = excluded.items, body = excluded.body, context = excluded.context,
               ids = excluded.ids, next_step = excluded.next_step, staged_at = clock_timestamp()",
        job.0,
        page.page,
        page.stream,
        page.items,
        page.body,
        page.context,
        page.ids,
        page.next
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Keeps where a list of changes will go on, with the plan: it counts only once all that was read is stored.
pub async fn mark(tx: &mut Fenced, stream: &str, mark: &Value) -> Result<(), Error> {
    let job = tx.job();
    sqlx::query!(
        "update paceline.staged_pages
            set context = jsonb_set(context, '{marks}', coalesce(context -> 'marks', '{}') || jsonb_build_object($2::text, $3::jsonb))
          where job_id = $1 and page = 0",
        job.0,
        stream,
        mark
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Names records that no page named and that the provider has all the same, with the plan: they are there.
pub async fn name(tx: &mut Fenced, ids: &[String]) -> Result<(), Error> {
    let job = tx.job();
    sqlx::query!(
        "update paceline.staged_pages set ids = ids || $2::text[] where job_id = $1 and page = 0",
        job.0,
        ids
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A staged page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Which of the provider's lists it is from.
    pub stream: String,
    /// As the provider sent it, compressed.
    pub body: Vec<u8>,
    /// What reading it needs and it does not say itself.
    pub context: Option<Value>,
    /// When it was read.
    pub staged_at: DateTime<Utc>,
}

/// A page; `None` past the last.
pub async fn page(db: &Db, job: JobId, page: i32) -> Result<Option<Page>, Error> {
    Ok(sqlx::query_as!(
        Page,
        "select stream, body, context, staged_at from paceline.staged_pages where job_id = $1 and page = $2",
        job.0,
        page
    )
    .fetch_optional(db)
    .await?)
}

/// The step after a page. The outer `None`: the page is not there; the inner: it is the last.
pub async fn next_step(db: &Db, job: JobId, page: i32) -> Result<Option<Option<Value>>, Error> {
    Ok(sqlx::query_scalar!(
        "select next_step from paceline.staged_pages where job_id = $1 and page = $2",
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
                 where status = 'failed' and pages_pruned_at is null
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
