//! Tokens end while many workers need them: slices of a backfill run at once on all workers, beside the sync of what is
//! new. Nobody is killed meanwhile: a pair that a killed worker was about to store is lost with it, at any provider that
//! rotates.

use super::people::Account;
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use paceline_simulator::Tally;
use paceline_tests::stack::Stack;
use serde_json::json;
use uuid::Uuid;

/// Slices of a month, so that there is one for each worker.
const SLICES: i64 = 8;
const SLICE_DAYS: i64 = 30;

/// What the expiries brought.
#[derive(Debug, Default)]
pub(super) struct Refreshes {
    pub(super) expiries: usize,
    pub(super) made: u64,
    /// Accounts and rounds in which it was not exactly one.
    pub(super) not_one: Vec<String>,
    pub(super) refused: u64,
    /// Slices that did not complete.
    pub(super) failed: Vec<String>,
}

/// Ends the tokens of every account once: `seen`: we know that they end, else the provider refuses them.
pub(super) async fn round(
    stack: &Stack,
    accounts: &[Account],
    seen: bool,
    refreshes: &mut Refreshes,
) -> Result<()> {
    try_join_all(accounts.iter().map(Account::ended)).await?;
    let before = tallies(stack, accounts)?;
    for account in accounts {
        let in_s = if seen { 60 } else { 0 };
        let tokens = account.line.expire(stack.world(), &account.id, in_s)?;
        ensure!(tokens > 0, "{} has no token to end", account.line.name());
    }
    if seen {
        sqlx::query("update paceline.connection_secrets set expires_at = clock_timestamp() + interval '1 minute'")
            .execute(&*stack.db)
            .await?;
    }
    let failed = try_join_all(accounts.iter().map(|account| need(stack, account))).await?;
    refreshes.failed.extend(failed.into_iter().flatten());
    for (account, (was, is)) in accounts.iter().zip(before.iter().zip(tallies(stack, accounts)?)) {
        refreshes.expiries += 1;
        let (made, rotated) = (is.refreshes - was.refreshes, is.rotations - was.rotations);
        refreshes.made += made;
        refreshes.refused += is.refused_refreshes - was.refused_refreshes;
        if (made, rotated) != (1, 1) {
            refreshes.not_one.push(format!(
                "{} {}: {made} refreshes and {rotated} new pairs for one expiry",
                account.line.name(),
                account.id
            ));
        }
    }
    Ok(())
}

fn tallies(stack: &Stack, accounts: &[Account]) -> Result<Vec<Tally>> {
    accounts.iter().map(|account| account.line.tally(stack.world(), &account.id)).collect()
}

/// Many jobs that need the token at once, to their ends. Answers which of them failed.
async fn need(stack: &Stack, account: &Account) -> Result<Vec<String>> {
    let now = stack.world().now().timestamp();
    let ask = json!({
        "provider": account.line.name(),
        "jobType": account.line.job_type(),
        "timeRange": { "after": now - (SLICES - 1) * SLICE_DAYS * 86_400 },
        "sliceDays": SLICE_DAYS,
        "options": { "skipWeatherEnrichment": true, "includeGeocoding": false },
    });
    let asked = account.client.post("/api/v1/backfills", &ask).await;
    ensure!(asked.status.is_success(), "{ask}: {}", asked.text);
    account.ask().await?;
    let ids: Vec<Uuid> = serde_json::from_value(asked.body["syncIds"].clone())?;
    let mut failed = Vec::new();
    for id in ids {
        let end = account.client.wait_over(id, super::people::LIMIT).await;
        if end.status != "COMPLETED" {
            failed.push(format!("a slice of {}: {:?}", account.line.name(), end.error));
        }
    }
    account.ended().await?;
    Ok(failed)
}
