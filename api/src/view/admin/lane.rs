//! A provider as the fleet treats it: what runs and waits, what holds it back, what it may still call.

use super::{counts::States, job::ClassName};
use chrono::{DateTime, Utc};
use paceline_shared::db::{admin_budgets::Budget, job_counts::Count, lanes::Lane};
use serde::Serialize;

/// A provider, or all of them.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ProviderLane)]
pub(crate) struct LaneView {
    /// Its name, or `all`.
    pub(crate) provider: String,
    /// The name that people read.
    pub(crate) title: &'static str,
    /// Jobs that workers have, as last counted.
    pub(crate) running: i64,
    /// Jobs in the queue, as last counted.
    pub(crate) queued: i64,
    /// Those of them that nothing but the lack of a slot holds back.
    pub(crate) runnable: i64,
    /// Parked jobs, as last counted.
    pub(crate) waiting: i64,
    /// Jobs that may run at once in the whole fleet; null: any number.
    pub(crate) max_running: Option<i32>,
    /// Stopped by somebody.
    pub(crate) pause: Option<PauseView>,
    /// Held back because the provider allows no more calls.
    pub(crate) block: Option<BlockView>,
    /// What the failures of its calls led to.
    pub(crate) breaker: BreakerView,
    /// Its budgets of calls.
    pub(crate) budgets: Vec<BudgetView>,
}

/// Nothing is taken, because somebody said so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Pause)]
pub(crate) struct PauseView {
    /// Its end; null: until somebody resumes.
    pub(crate) until: Option<DateTime<Utc>>,
    /// Since when.
    pub(crate) since: DateTime<Utc>,
    /// Who paused it.
    pub(crate) by: String,
    /// Why, in that person's words.
    pub(crate) reason: String,
}

/// The application's quota is spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Block)]
pub(crate) struct BlockView {
    /// When the provider gives more.
    pub(crate) until: DateTime<Utc>,
    /// `rate_limit` or `quota_exceeded`.
    pub(crate) reason: String,
    /// Which budget is spent.
    pub(crate) scope: String,
    /// Jobs of this class and above go on; null: none.
    pub(crate) spares: Option<ClassName>,
}

/// The breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Breaker)]
pub(crate) struct BreakerView {
    /// `closed`, `open` or `half_open`.
    pub(crate) state: String,
    /// When a probe may be made, or must have come back.
    pub(crate) until: Option<DateTime<Utc>>,
    /// Since when it is so.
    pub(crate) since: Option<DateTime<Utc>>,
    /// Openings since it was last closed.
    pub(crate) trips: i32,
    /// What opened it.
    pub(crate) reason: Option<String>,
}

/// Calls allowed in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Budget)]
pub(crate) struct BudgetView {
    /// Whose calls count.
    pub(crate) scope: String,
    /// The window's length in seconds.
    pub(crate) window_s: i32,
    /// Calls allowed.
    pub(crate) limit: i32,
    /// Calls made.
    pub(crate) used: i32,
    /// Calls that workers have taken and not accounted for.
    pub(crate) reserved: i64,
    /// What is left.
    pub(crate) left: i64,
    /// Calls that the provider refused in this window.
    pub(crate) refused: i32,
    /// When the next window begins.
    pub(crate) resets_at: DateTime<Utc>,
}

impl From<&Budget> for BudgetView {
    fn from(budget: &Budget) -> Self {
        let gone = i64::from(budget.used) + budget.reserved;
        Self {
            scope: budget.scope.clone(),
            window_s: budget.window_s,
            limit: budget.limit,
            used: budget.used,
            reserved: budget.reserved,
            left: (i64::from(budget.limit) - gone).max(0),
            refused: budget.refused,
            resets_at: budget.resets_at,
        }
    }
}

impl LaneView {
    pub(crate) fn new(lane: Lane, counts: &[Count], budgets: &[Budget]) -> Self {
        let states = match lane.provider {
            Some(provider) => States::of(provider.as_str(), counts),
            None => States::of_all(counts),
        };
        let of_lane = |budget: &&Budget| {
            let provider = budget.scope.split(':').next();
            lane.provider.is_some_and(|lane| provider == Some(lane.as_str()))
        };
        Self {
            provider: lane.provider.map_or("all", |provider| provider.as_str()).to_owned(),
            title: lane.provider.map_or("All providers", |provider| provider.title()),
            running: states.running,
            queued: states.queued,
            runnable: states.runnable,
            waiting: states.waiting,
            max_running: lane.max_running,
            budgets: budgets.iter().filter(of_lane).map(BudgetView::from).collect(),
            pause: lane.pause.map(|pause| PauseView {
                until: pause.until,
                since: pause.at,
                by: pause.by,
                reason: pause.reason,
            }),
            block: lane.block.map(|block| BlockView {
                until: block.until,
                reason: block.reason,
                scope: block.scope,
                spares: (block.below <= 4).then(|| ClassName::of_rank(block.below)),
            }),
            breaker: BreakerView {
                state: lane.breaker.state,
                until: lane.breaker.until,
                since: lane.breaker.at,
                trips: lane.breaker.trips,
                reason: lane.breaker.reason,
            },
        }
    }
}
