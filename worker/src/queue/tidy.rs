//! Deletes what nobody needs any more: in batches, with pauses, by one worker at a time. To be interrupted
//! harms nothing, nor do two at once.

use super::{Shared, jitter};
use paceline_shared::db::{
    Error, authorizations, budgets, duties, housekeeping, idempotency_keys, record_failures,
    staged_pages, sync_attempts, sync_history, sync_progress, workers,
};
use std::{future::Future, sync::Arc, time::Duration};
use uuid::Uuid;

/// A turn that was not prolonged for so long is another's.
const TURN: Duration = Duration::from_mins(5);
/// Rows a statement.
const BATCH: i64 = 1_000;
/// Syncs a statement, where each has many pages.
const PAGES_BATCH: i64 = 50;
/// What a page may still ask for how it ended.
const AUTHORIZATIONS: Duration = Duration::from_hours(24);
/// Between two statements: the work goes first.
const BREATH: Duration = Duration::from_millis(50);

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Syncs that ended. A month goes as a whole, when all of it is older.
    pub finished: Duration,
    /// Progress rows of syncs that completed or were cancelled; those of failed ones go with the sync.
    pub progress: Duration,
    /// Staged pages of failed syncs: so long a retry goes on where it stopped.
    pub pages: Duration,
    /// Reports of failed attempts and of records that failed.
    pub reports: Duration,
    /// Acts of admins.
    pub audit: Duration,
    /// Between two rounds.
    pub every: Duration,
}

impl Retention {
    /// The shortest that progress rows are kept: dashboards promise a day.
    pub const SHORTEST_PROGRESS: Duration = Duration::from_hours(24);
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            finished: days(90),
            progress: Self::SHORTEST_PROGRESS,
            pages: days(7),
            reports: days(90),
            audit: days(400),
            every: Duration::from_mins(10),
        }
    }
}

const fn days(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

/// Looks now and then whether it is its turn.
pub(super) async fn run(shared: Arc<Shared>) {
    let keep = shared.config.retention;
    let rounds = async {
        loop {
            tokio::time::sleep(jitter(keep.every)).await;
            if let Err(error) = turn(&shared, keep).await {
                tracing::warn!(reason = error.reason(), "housekeeping failed, will try again");
            }
        }
    };
    shared.drain.run_until_cancelled(rounds).await;
}

async fn turn(shared: &Shared, keep: Retention) -> Result<(), Error> {
    if !hold(shared, TURN).await? {
        return Ok(());
    }
    let done = round(shared, keep).await;
    // Nobody else begins another round at once. After an error they may: it may be this worker's own.
    if done.is_ok() {
        hold(shared, keep.every / 2).await?;
    } else {
        duties::give_up(&shared.db, duties::HOUSEKEEPING, shared.config.worker).await?;
    }
    done
}

/// Takes the duty, or keeps it; false: another worker has it.
async fn hold(shared: &Shared, time: Duration) -> Result<bool, Error> {
    duties::take(&shared.db, duties::HOUSEKEEPING, shared.config.worker, time).await
}

async fn round(shared: &Shared, keep: Retention) -> Result<(), Error> {
    let db = &shared.db;
    sync_history::ensure_partitions(db).await?;
    workers::forget_old(db).await?;
    housekeeping::forget_steering(db).await?;
    let batches = Batches { shared };
    batches.all("idempotency_keys", async || idempotency_keys::forget_expired(db).await).await?;
    batches.all("budgets", async || budgets::forget_users(db, BATCH).await).await?;
    batches.all("authorizations", async || authorizations::expire(db, BATCH).await).await?;
    batches
        .all("authorizations", async || authorizations::forget_old(db, AUTHORIZATIONS, BATCH).await)
        .await?;
    progress(&batches, keep).await?;
    // Before the syncs themselves: nobody finds the pages of a sync that is gone.
    let pages = keep.pages.min(keep.finished);
    batches
        .all("staged_pages", async || {
            staged_pages::prune(db, pages, PAGES_BATCH).await.map(i64::unsigned_abs)
        })
        .await?;
    batches
        .all("sync_attempts", async || sync_attempts::forget_old(db, keep.reports, BATCH).await)
        .await?;
    batches
        .all("record_failures", async || record_failures::forget_old(db, keep.reports, BATCH).await)
        .await?;
    batches
        .all("admin_audit", async || housekeeping::forget_acts(db, keep.audit, BATCH).await)
        .await?;
    batches
        .all("sync_history", async || sync_history::forget_strays(db, keep.finished, BATCH).await)
        .await?;
    let months = sync_history::drop_old_partitions(db, keep.finished).await?;
    if months > 0 {
        tracing::info!(months, "dropped months of finished syncs");
    }
    Ok(())
}

/// Progress rows in one walk over their ids.
async fn progress(batches: &Batches<'_>, keep: Retention) -> Result<(), Error> {
    let mut after = Some(Uuid::nil());
    let ended = keep.progress.max(Retention::SHORTEST_PROGRESS);
    let failed = keep.finished.max(ended);
    while let Some(from) = after {
        let db = &batches.shared.db;
        let (gone, next) = sync_progress::forget_old(db, from, ended, failed, BATCH).await?;
        pruned("sync_progress", gone.unsigned_abs());
        after = next;
        if next.is_some() && !batches.breathe().await? {
            return Ok(());
        }
    }
    Ok(())
}

struct Batches<'a> {
    shared: &'a Shared,
}

impl Batches<'_> {
    /// Repeats a batch until it finds nothing, or until the turn is lost.
    async fn all<F>(&self, table: &'static str, mut batch: impl FnMut() -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<u64, Error>>,
    {
        loop {
            let gone = batch().await?;
            pruned(table, gone);
            if gone == 0 || !self.breathe().await? {
                return Ok(());
            }
        }
    }

    /// Lets others go first, and prolongs the turn; false: it is lost.
    async fn breathe(&self) -> Result<bool, Error> {
        tokio::time::sleep(jitter(BREATH)).await;
        hold(self.shared, TURN).await
    }
}

fn pruned(table: &'static str, rows: u64) {
    metrics::counter!("paceline_rows_pruned_total", "table" => table).increment(rows);
}
