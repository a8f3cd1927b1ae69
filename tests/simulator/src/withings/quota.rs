//! Withings' rate limit: one application's calls, of all its users and its OAuth too, in a minute
//! that slides.
//!
//! The documentation says 120 a minute and no more. Chosen here: the minute is the sixty seconds
//! before a call, and a refused call does not count, so that a client which waits gets on. Must not
//! know requests.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What Withings allows an application, and how it says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WithingsQuota {
    /// Calls in any stretch of `window_s`.
    pub calls: u32,
    /// Seconds; shorter ones are for tests that cannot wait.
    pub window_s: u32,
    /// Whether a refusal is also an HTTP 429, as some say it is. Else a 200 with status 601.
    pub http_429: bool,
    /// Refuses the same question by the same token within so many seconds; 0 for never.
    pub same_arguments_s: u32,
}

impl WithingsQuota {
    /// What an application without a contract gets.
    pub const STANDARD: Self =
        Self { calls: 120, window_s: 60, http_429: false, same_arguments_s: 0 };
    /// A limit that nothing here reaches.
    pub const UNLIMITED: Self = Self { calls: 1_000_000_000, ..Self::STANDARD };
}

impl Default for WithingsQuota {
    fn default() -> Self {
        Self::STANDARD
    }
}

/// Calls since the simulator began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WithingsCalls {
    /// All of them.
    pub counted: u64,
    /// Those that were one too many, and so refused.
    pub over_limit: u64,
    /// Those refused for asking the same again too soon.
    pub same_arguments: u64,
    /// Those refused as if there had been too many, because a fault rule said so.
    pub scripted: u64,
}

/// How the window stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WithingsUsage {
    /// The limit.
    pub quota: WithingsQuota,
    /// Calls answered in the window that ends now.
    pub used: usize,
}

/// What becomes of a call at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is counted and goes on.
    In,
    /// The window is full.
    TooMany,
    /// It was asked a moment ago.
    SameArguments,
}

#[derive(Debug)]
pub(super) struct Minute {
    quota: WithingsQuota,
    /// Unix milliseconds of the calls that were let in, oldest first.
    taken: VecDeque<i64>,
    /// When each question was last asked, by its hash.
    asked: HashMap<u64, i64>,
    calls: WithingsCalls,
}

impl Minute {
    pub(super) fn new(quota: WithingsQuota) -> Self {
        let calls = WithingsCalls::default();
        Self { quota, taken: VecDeque::new(), asked: HashMap::new(), calls }
    }

    /// Counts a call; `question` tells those apart that ask for something.
    pub(super) fn take(&mut self, now: DateTime<Utc>, question: Option<u64>) -> Admission {
        let ms = now.timestamp_millis();
        self.slide(ms);
        self.calls.counted += 1;
        if self.taken.len() >= usize::try_from(self.quota.calls).unwrap_or(usize::MAX) {
            self.calls.over_limit += 1;
            return Admission::TooMany;
        }
        let span = i64::from(self.quota.same_arguments_s) * 1000;
        self.asked.retain(|_, at| *at > ms - span);
        if let Some(question) = question.filter(|_| span > 0)
            && self.asked.insert(question, ms).is_some()
        {
            self.calls.same_arguments += 1;
            return Admission::SameArguments;
        }
        self.taken.push_back(ms);
        Admission::In
    }

    fn slide(&mut self, ms: i64) {
        let span = i64::from(self.quota.window_s) * 1000;
        // A call leaves the window when its sixtieth second is over. A clock that was set back
        // leaves calls in the future behind: they are forgotten too.
        self.taken.retain(|&at| at > ms - span && at <= ms);
    }

    pub(super) fn set(&mut self, quota: WithingsQuota) {
        self.quota = quota;
    }

    pub(super) const fn quota(&self) -> WithingsQuota {
        self.quota
    }

    pub(super) fn forget(&mut self) {
        self.taken.clear();
        self.asked.clear();
    }

    pub(super) const fn calls(&self) -> WithingsCalls {
        self.calls
    }

    pub(super) const fn scripted_refusal(&mut self) {
        self.calls.scripted += 1;
    }

    pub(super) fn usage(&mut self, now: DateTime<Utc>) -> WithingsUsage {
        self.slide(now.timestamp_millis());
        WithingsUsage { quota: self.quota, used: self.taken.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_700_000_000_000 + ms).unwrap()
    }

    #[test]
    fn the_minute_slides_and_a_refused_call_does_not_count() {
        let mut minute = Minute::new(WithingsQuota { calls: 2, ..WithingsQuota::STANDARD });
        assert_eq!(minute.take(at(0), None), Admission::In);
        assert_eq!(minute.take(at(40_000), None), Admission::In);
        assert_eq!(minute.take(at(59_999), None), Admission::TooMany);
        // The first call is a minute old: one more goes in, and not two.
        assert_eq!(minute.take(at(60_000), None), Admission::In);
        assert_eq!(minute.take(at(60_000), None), Admission::TooMany);
        assert_eq!(minute.usage(at(60_000)).used, 2);
        let calls = WithingsCalls { counted: 5, over_limit: 2, ..WithingsCalls::default() };
        assert_eq!(minute.calls(), calls);
    }

    #[test]
    fn the_same_question_is_refused_for_a_while_when_set_so() {
        let quota = WithingsQuota { same_arguments_s: 10, ..WithingsQuota::UNLIMITED };
        let mut minute = Minute::new(quota);
        assert_eq!(minute.take(at(0), Some(7)), Admission::In);
        assert_eq!(minute.take(at(1), Some(8)), Admission::In);
        assert_eq!(minute.take(at(9_999), Some(7)), Admission::SameArguments);
        assert_eq!(minute.take(at(9_999), None), Admission::In);
        assert_eq!(minute.take(at(20_000), Some(7)), Admission::In);
        let mut free = Minute::new(WithingsQuota::UNLIMITED);
        assert_eq!([free.take(at(0), Some(7)), free.take(at(0), Some(7))], [Admission::In; 2]);
    }
}
