//! What a provider's file says of quotas, and what waiting for one is called.

use super::limits::Tier;
use chrono::{DateTime, TimeDelta, Utc};
use paceline_shared::{
    Provider,
    db::budgets::{MARGIN, Window},
};
use reqwest::{StatusCode, header::HeaderMap};
use std::num::NonZeroU32;

/// What a provider says of itself.
#[derive(Debug)]
pub struct Terms {
    /// Whose.
    pub provider: Provider,
    /// The quotas of the application, all its users together.
    pub windows: Vec<Window>,
    /// What an answer tells of them.
    pub hear: fn(StatusCode, &HeaderMap) -> Vec<Reading>,
    /// Calls of this process in any second.
    pub calls_per_second: NonZeroU32,
}

/// What an answer tells of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whose calls count.
    pub scope: &'static str,
    /// Which of the scope's windows, the shortest first.
    pub nth: usize,
    /// Calls allowed.
    pub limit: i32,
    /// Calls used, this one included.
    pub used: i32,
}

/// A kind of call, as one job makes it.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name among the provider's kinds.
    pub kind: &'static str,
    /// In which of the application's quotas it counts.
    pub scopes: &'static [&'static str],
    /// The quota of its user, where there is one: windows of a single scope.
    pub user: Vec<Window>,
    /// Its share.
    pub tier: Tier,
    /// It is made though the breaker is open: a code does not live until that closes.
    pub past_breaker: bool,
}

/// A short wait, by its name for users.
pub(super) const RATE_LIMIT: &str = "rate_limit";
/// A long one.
const QUOTA_EXCEEDED: &str = "quota_exceeded";

/// What waiting for a window is called: the longest of several is the quota, any other a rate.
pub(super) fn reason(quotas: &[Window], scope: &str, window_s: i32) -> &'static str {
    let mut of_scope = quotas.iter().filter(|window| window.scope == scope);
    if of_scope.any(|window| window.window_s < window_s) { QUOTA_EXCEEDED } else { RATE_LIMIT }
}

/// When a window that opens then is safely open.
pub(super) fn after(opens_at: DateTime<Utc>) -> DateTime<Utc> {
    opens_at + TimeDelta::from_std(MARGIN).unwrap_or_default()
}
