//! Blocks a lane whose calls are spent, for all workers. It does not know how that was found out.

use super::{limits::Tier, meter::Inner};
use chrono::{DateTime, Utc};
use paceline_shared::{
    db::{self, lanes},
    notify,
};
use std::time::{Duration, Instant};

/// What was written of a lane is not written again for so long. Somebody may have changed it meanwhile.
const REMEMBER: Duration = Duration::from_secs(3);

/// A block that this process wrote, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocked {
    until: DateTime<Utc>,
    tier: Tier,
    at: Instant,
}

impl Inner {
    /// Holds the lane's jobs of this tier back: one row, instead of parking each.
    pub(super) async fn block(
        &self,
        tier: Tier,
        until: DateTime<Utc>,
        reason: &'static str,
        scope: &str,
    ) -> Result<(), db::Error> {
        let known = self.state().blocked;
        if known.is_some_and(|block| {
            block.at.elapsed() < REMEMBER && block.until >= until && block.tier >= tier
        }) {
            return Ok(());
        }
        let provider = self.terms.provider;
        let (below, reason, scope) = (tier.classes_below(), reason.to_owned(), scope.to_owned());
        let block = lanes::Block { until, below, reason, scope };
        let at = Instant::now();
        if db::answered_soon(lanes::block(&self.process.db, provider, &block)).await? {
            let lanes::Block { below, reason, scope, .. } = block;
            tracing::info!(%provider, scope, reason, below, %until, "calls are spent: the lane is blocked");
            self.process.notifier.say(notify::LANES, provider.as_str());
            self.state().blocked = Some(Blocked { until, tier, at });
        }
        Ok(())
    }
}
