//! Fitbit's rate limit: each user's calls from one full hour to the next, or in shorter windows of the
//! same shape.
//!
//! Owns the counting and the header values. Must not know requests.

use std::collections::HashMap;

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::window::Window;

/// What Fitbit allows for each user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitbitQuota {
    /// Calls from one full hour to the next.
    pub hour: u32,
}

impl FitbitQuota {
    /// What every application gets for every user.
    pub const STANDARD: Self = Self { hour: 150 };
    /// A limit that nothing here reaches; the headers still tell it.
    pub const UNLIMITED: Self = Self { hour: 1_000_000_000 };
}

/// How long the window is, and where it begins: Fitbit's own, or a shorter one for a test that cannot
/// wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitbitWindow {
    /// Seconds of what stands for the hour.
    pub hour_s: u32,
    /// Windows begin at whole multiples of their length since 1970 plus this, UTC.
    pub border_s: u32,
}

impl FitbitWindow {
    /// Full hours.
    pub const REAL: Self = Self { hour_s: 3600, border_s: 0 };
}

/// What of Fitbit can be set when a simulator starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FitbitSettings {
    /// Default unlimited.
    pub quota: FitbitQuota,
    /// Default full hours.
    pub window: FitbitWindow,
    /// Whether every call is answered 410 from the start. Default false.
    pub gone: bool,
}

impl Default for FitbitSettings {
    fn default() -> Self {
        Self { quota: FitbitQuota::UNLIMITED, window: FitbitWindow::REAL, gone: false }
    }
}

/// Calls that the quota counted, since the simulator began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FitbitCalls {
    /// All of them, refused ones included.
    pub counted: u64,
    /// Those that were over the limit, and so refused.
    pub over_limit: u64,
    /// Those that were refused as if they had been, because a fault rule said so.
    pub scripted: u64,
}

/// A user's calls in the present hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FitbitStanding {
    /// The limit.
    pub limit: u32,
    /// Calls that are left.
    pub remaining: u32,
    /// Seconds to the next hour.
    pub reset_s: i64,
    /// Whether the call was one too many.
    pub refused: bool,
}

#[derive(Debug)]
pub(super) struct Budgets {
    limit: FitbitQuota,
    shape: FitbitWindow,
    users: HashMap<String, Window>,
    calls: FitbitCalls,
}

impl Budgets {
    pub(super) fn new(limit: FitbitQuota, shape: FitbitWindow) -> Self {
        Self { limit, shape, users: HashMap::new(), calls: FitbitCalls::default() }
    }

    pub(super) fn set_limit(&mut self, limit: FitbitQuota) {
        self.limit = limit;
    }

    pub(super) const fn limit(&self) -> FitbitQuota {
        self.limit
    }

    pub(super) fn forget(&mut self) {
        self.users.clear();
    }

    pub(super) const fn calls(&self) -> FitbitCalls {
        self.calls
    }

    pub(super) const fn scripted_refusal(&mut self) {
        self.calls.scripted += 1;
    }

    /// Counts a user's call, and says whether it is refused.
    pub(super) fn take(&mut self, user: &str, now: DateTime<Utc>) -> FitbitStanding {
        let limit = self.limit.hour;
        let window = self.window(user);
        let calls = window.take(now);
        let refused = calls > limit;
        let standing = standing(limit, calls, window.resets_in_s(now), refused);
        self.calls.counted += 1;
        self.calls.over_limit += u64::from(refused);
        standing
    }

    pub(super) fn standing(&mut self, user: &str, now: DateTime<Utc>) -> FitbitStanding {
        let limit = self.limit.hour;
        let window = self.window(user);
        standing(limit, window.used(now), window.resets_in_s(now), false)
    }

    fn window(&mut self, user: &str) -> &mut Window {
        let shape = self.shape;
        let fresh = || Window::new(shape.hour_s, shape.border_s);
        self.users.entry(user.to_owned()).or_insert_with(fresh)
    }
}

fn standing(limit: u32, used: u32, reset_s: i64, refused: bool) -> FitbitStanding {
    FitbitStanding { limit, remaining: limit.saturating_sub(used), reset_s, refused }
}

impl FitbitStanding {
    /// As if the hour had just been used up, for a scripted refusal.
    pub(crate) fn exhausted(self) -> Self {
        Self { remaining: 0, refused: true, ..self }
    }

    /// The answer with the headers that tell of the quota, and when to come back if it was refused.
    pub(crate) fn told(&self, mut response: Response) -> Response {
        let retry = self.refused.then_some(("retry-after", self.reset_s));
        let headers = [
            ("fitbit-rate-limit-limit", i64::from(self.limit)),
            ("fitbit-rate-limit-remaining", i64::from(self.remaining)),
            ("fitbit-rate-limit-reset", self.reset_s),
        ];
        for (name, value) in headers.into_iter().chain(retry) {
            response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn each_user_has_an_hour_of_their_own_that_ends_at_the_full_hour() {
        let mut budgets = Budgets::new(FitbitQuota { hour: 2 }, FitbitWindow::REAL);
        let now = at("2026-11-21T10:35:22Z");
        let told: Vec<_> = (0..3).map(|_| budgets.take("2ABCDE", now)).collect();
        assert_eq!(told[0], standing(2, 1, 1478, false));
        assert_eq!(told[2], standing(2, 3, 1478, true));
        assert!(!budgets.take("2ABCDF", now).refused);
        assert!(!budgets.take("2ABCDE", at("2026-11-21T11:00:00Z")).refused);
        assert_eq!(budgets.calls(), FitbitCalls { counted: 5, over_limit: 1, scripted: 0 });
    }
}
