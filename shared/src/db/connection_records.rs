//! All that was read through a connection, whatever its table: deleted when its user wants it gone.

use super::{Db, Error, connections};
use crate::ConnectionId;
use sqlx::PgConnection;

/// Deletes up to `limit` rows of each kind of a revoked link; answers how many there were. Repeat it until it answers 0.
///
/// `None`: the account is connected again, and nothing was deleted. What is known of the link's lists goes with the
/// first rows, so that whoever connects the account again meanwhile reads all of it.
pub async fn delete(db: &Db, connection: ConnectionId, limit: i64) -> Result<Option<u64>, Error> {
    let mut tx = super::begin(db).await?;
    // Until the commit nobody connects it again, so none of these rows was stored after that.
    if connections::lock_revoked(&mut tx, connection).await? != Some(true) {
        return Ok(None);
    }
    forget(&mut tx, connection).await?;
    let rows = rows(&mut tx, connection, limit).await?;
    tx.commit().await?;
    Ok(Some(rows))
}

/// Forgets what was read of the lists, and how far its syncs came that failed: they begin anew.
async fn forget(tx: &mut PgConnection, connection: ConnectionId) -> Result<(), Error> {
    sqlx::query!(
        "with jobs as (
           select h.id, h.finished_at from paceline.connections c
             join paceline.sync_history h on h.user_id = c.user_id and h.connection_id = c.id
            where c.id = $1 and h.status = 'failed' and h.pages_pruned_at is null),
         pruned as (
           update paceline.sync_history h set pages_pruned_at = clock_timestamp()
             from jobs where h.id = jobs.id and h.finished_at = jobs.finished_at),
         coverage as (delete from paceline.connection_coverage where connection_id = $1)
         update paceline.connections
            set profile = null, profile_at = null, last_synced_at = null, updated_at = clock_timestamp()
          where id = $1 and num_nonnulls(profile, profile_at, last_synced_at) > 0",
        connection.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

async fn rows(tx: &mut PgConnection, connection: ConnectionId, limit: i64) -> Result<u64, Error> {
    let rows = sqlx::query!(
        r#"with activities as (
             delete from paceline.activities where ctid = any(array(
               select ctid from paceline.activities where connection_id = $1 limit $2)) returning 1),
           measurements as (
             delete from paceline.measurements where ctid = any(array(
               select ctid from paceline.measurements where connection_id = $1 limit $2)) returning 1),
           days as (
             delete from paceline.daily_summaries where ctid = any(array(
               select ctid from paceline.daily_summaries where connection_id = $1 limit $2)) returning 1),
           jobs as materialized (
             select h.id from paceline.connections c
               join paceline.sync_history h on h.user_id = c.user_id and h.connection_id = c.id
              where c.id = $1),
           pages as (
             delete from paceline.staged_pages where (job_id, page) in (
               select p.job_id, p.page from jobs join paceline.staged_pages p on p.job_id = jobs.id limit $2)
             returning 1),
           failures as (
             delete from paceline.record_failures where ctid = any(array(
               select f.ctid from jobs join paceline.record_failures f on f.job_id = jobs.id limit $2)) returning 1)
           select (select count(*) from activities) + (select count(*) from measurements) + (select count(*) from days)
                  + (select count(*) from pages) + (select count(*) from failures) as "rows!""#,
        connection.0,
        limit
    )
    .fetch_one(tx)
    .await?
    .rows;
    Ok(rows.unsigned_abs())
}
