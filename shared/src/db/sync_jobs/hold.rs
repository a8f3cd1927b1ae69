//! What a user sees of a job that comes into a lane from which nothing is claimed. It only shows: whether
//! a job may be claimed is asked by the claim itself.

use crate::{JobId, Provider, db::Error, waiting};
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Shows in the progress rows of jobs just queued why they wait, where their lane is held back. Each comes
/// with its provider and the rank of its class. Whoever runs the job clears it.
pub(super) async fn show(
    tx: &mut PgConnection,
    jobs: &[(JobId, Provider, i16)],
) -> Result<(), Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    let places: BTreeSet<(Provider, i16)> =
        jobs.iter().map(|(_, provider, class)| (*provider, *class)).collect();
    let (providers, classes): (Vec<&str>, Vec<i16>) =
        places.iter().map(|(provider, class)| (provider.as_str(), *class)).unzip();
    let holds = sqlx::query!(
        r#"select p.provider as "provider!: Provider", p.class as "class!", h.reason as "reason!", h.until,
                  clock_timestamp() as "now!"
             from unnest($1::text[], $2::smallint[]) as p(provider, class)
            cross join lateral paceline.lane_hold(p.provider, p.class) h"#,
        &providers as &[&str],
        &classes
    )
    .fetch_all(&mut *tx)
    .await?;
    for hold in holds {
        let place = (hold.provider, hold.class);
        let held: Vec<Uuid> =
            jobs.iter().filter(|job| (job.1, job.2) == place).map(|job| job.0.0).collect();
        explain(tx, &held, hold.provider, &hold.reason, hold.until, hold.now).await?;
    }
    Ok(())
}

/// The same where the hold is known already.
pub(super) async fn explain(
    tx: &mut PgConnection,
    jobs: &[Uuid],
    provider: Provider,
    reason: &str,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    sqlx::query!(
        "update public.sync_progress
            set waiting = $2, message = $3, rev = rev + 1, updated_at = clock_timestamp()
          where id = any($1)",
        jobs,
        json!({ "reason": reason, "resetAt": until }),
        waiting::explain(provider.title(), reason, until, now)
    )
    .execute(tx)
    .await?;
    Ok(())
}
