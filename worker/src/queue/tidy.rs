//! Deletes what nobody needs any more, now and then. Every worker does; any of them does it for all.

use super::{Shared, jitter};
use paceline_shared::db::{Error, idempotency_keys, sync_history, sync_progress, workers};
use std::{sync::Arc, time::Duration};

const EVERY: Duration = Duration::from_mins(10);

/// Forgets what nobody needs any more.
pub(super) async fn run(shared: Arc<Shared>) {
    shared
        .drain
        .run_until_cancelled(async {
            loop {
                tokio::time::sleep(jitter(EVERY)).await;
                let tidied: Result<(), Error> = async {
                    workers::forget_old(&shared.db).await?;
                    sync_history::ensure_partitions(&shared.db).await?;
                    while idempotency_keys::forget_expired(&shared.db).await? > 0 {}
                    while sync_progress::forget_old(&shared.db).await? > 0 {}
                    Ok(())
                }
                .await;
                if let Err(error) = tidied {
                    tracing::warn!(reason = error.reason(), "housekeeping failed, will try again");
                }
            }
        })
        .await;
}
