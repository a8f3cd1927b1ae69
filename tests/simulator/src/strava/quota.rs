//! Strava's rate limits: one application's calls in the quarter hour and in the UTC day, or in shorter
//! windows of the same shape.
//!
//! Owns the windows' borders (:00, :15, :30, :45 and midnight UTC), the counting of refused calls
//! and the header values. Must not know requests.

use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Calls allowed in each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowance {
    /// From one quarter of the hour to the next.
    pub quarter_hour: u32,
    /// From midnight UTC to midnight UTC.
    pub day: u32,
}

/// What Strava allows an application: all calls, and of these the reading ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StravaQuota {
    /// Every call.
    pub overall: Allowance,
    /// Calls that upload nothing: all that are simulated.
    pub read: Allowance,
}

impl StravaQuota {
    /// What a new application gets.
    pub const STANDARD: Self = Self {
        overall: Allowance { quarter_hour: 200, day: 2_000 },
        read: Allowance { quarter_hour: 100, day: 1_000 },
    };
    /// What one for ten athletes gets.
    pub const UPGRADED: Self = Self {
        overall: Allowance { quarter_hour: 400, day: 4_000 },
        read: Allowance { quarter_hour: 200, day: 2_000 },
    };
    /// Limits that nothing here reaches; the headers still tell them.
    pub const UNLIMITED: Self = Self {
        overall: Allowance { quarter_hour: 1_000_000_000, day: 1_000_000_000 },
        read: Allowance { quarter_hour: 1_000_000_000, day: 1_000_000_000 },
    };
}

/// How long the windows are, and where they begin: Strava's own, or shorter ones for a test that cannot wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StravaWindows {
    /// Seconds of what stands for the quarter hour.
    pub quarter_hour_s: u32,
    /// Seconds of what stands for the day.
    pub day_s: u32,
    /// Windows begin at whole multiples of their length since 1970 plus this, UTC.
    pub border_s: u32,
}

impl StravaWindows {
    /// Quarter hours and UTC days.
    pub const REAL: Self = Self { quarter_hour_s: 900, day_s: 86_400, border_s: 0 };
}

/// Calls that the quota counted, since the simulator began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StravaCalls {
    /// All of them, refused ones included.
    pub counted: u64,
    /// Those that were over a limit, and so refused.
    pub over_limit: u64,
    /// Those that were refused as if they had been, because a fault rule said so.
    pub scripted: u64,
}

/// The calls counted so far.
#[derive(Debug)]
pub(super) struct Windows {
    limit: StravaQuota,
    shape: StravaWindows,
    quarter: i64,
    day: i64,
    used: StravaQuota,
    calls: StravaCalls,
}

/// What the headers of one answer tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The limits.
    pub limit: StravaQuota,
    /// The calls counted, this one included.
    pub usage: StravaQuota,
    /// Whether the call was one too many.
    pub refused: bool,
}

const NOTHING: StravaQuota = StravaQuota {
    overall: Allowance { quarter_hour: 0, day: 0 },
    read: Allowance { quarter_hour: 0, day: 0 },
};

impl Windows {
    pub(super) fn new(limit: StravaQuota, shape: StravaWindows) -> Self {
        // A window of no length would have no number.
        let shape = StravaWindows {
            quarter_hour_s: shape.quarter_hour_s.max(1),
            day_s: shape.day_s.max(1),
            ..shape
        };
        let calls = StravaCalls::default();
        Self { limit, shape, quarter: 0, day: 0, used: NOTHING, calls }
    }

    pub(super) const fn calls(&self) -> StravaCalls {
        self.calls
    }

    pub(super) const fn scripted_refusal(&mut self) {
        self.calls.scripted += 1;
    }

    pub(super) fn set_limit(&mut self, limit: StravaQuota) {
        self.limit = limit;
    }

    pub(super) fn forget(&mut self) {
        self.used = NOTHING;
    }

    /// Counts a call, and says whether it is refused: a refused one stays counted.
    pub(super) fn take(&mut self, now: DateTime<Utc>, reads: bool) -> Standing {
        self.turn(now);
        for window in [&mut self.used.overall.quarter_hour, &mut self.used.overall.day] {
            *window = window.saturating_add(1);
        }
        if reads {
            for window in [&mut self.used.read.quarter_hour, &mut self.used.read.day] {
                *window = window.saturating_add(1);
            }
        }
        let mut standing = self.standing(now);
        standing.refused = over(self.used.overall, self.limit.overall)
            || (reads && over(self.used.read, self.limit.read));
        self.calls.counted += 1;
        self.calls.over_limit += u64::from(standing.refused);
        standing
    }

    pub(super) fn standing(&mut self, now: DateTime<Utc>) -> Standing {
        self.turn(now);
        Standing { limit: self.limit, usage: self.used, refused: false }
    }

    fn turn(&mut self, now: DateTime<Utc>) {
        let since = now.timestamp() - i64::from(self.shape.border_s);
        let number = |length_s: u32| since.div_euclid(i64::from(length_s));
        let (quarter, day) = (number(self.shape.quarter_hour_s), number(self.shape.day_s));
        if quarter != self.quarter {
            self.quarter = quarter;
            self.used.overall.quarter_hour = 0;
            self.used.read.quarter_hour = 0;
        }
        if day != self.day {
            self.day = day;
            self.used = NOTHING;
        }
    }
}

fn over(used: Allowance, limit: Allowance) -> bool {
    used.quarter_hour > limit.quarter_hour || used.day > limit.day
}

impl Standing {
    /// The four headers, names in the case that Strava documents them in.
    fn headers(&self) -> [(&'static str, String); 4] {
        let text = |allowance: Allowance| format!("{},{}", allowance.quarter_hour, allowance.day);
        [
            ("x-ratelimit-limit", text(self.limit.overall)),
            ("x-ratelimit-usage", text(self.usage.overall)),
            ("x-readratelimit-limit", text(self.limit.read)),
            ("x-readratelimit-usage", text(self.usage.read)),
        ]
    }

    /// As if the window had just been overrun, for a scripted refusal.
    pub(crate) fn exhausted(mut self, whole_day: bool) -> Self {
        let raise = |used: &mut u32, limit: u32| *used = (*used).max(limit.saturating_add(1));
        raise(&mut self.usage.read.quarter_hour, self.limit.read.quarter_hour);
        if whole_day {
            raise(&mut self.usage.read.day, self.limit.read.day);
        }
        self.refused = true;
        self
    }
}

/// The answer with the four headers, where calls are counted.
pub(crate) fn told(mut response: Response, standing: Option<Standing>) -> Response {
    let headers = standing.iter().flat_map(Standing::headers);
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    const SMALL: StravaQuota = StravaQuota {
        overall: Allowance { quarter_hour: 5, day: 8 },
        read: Allowance { quarter_hour: 3, day: 6 },
    };

    #[test]
    fn a_refused_call_stays_counted_also_for_the_day() {
        let mut windows = Windows::new(SMALL, StravaWindows::REAL);
        let now = at("2026-11-21T10:14:59Z");
        let refused: Vec<bool> = (0..4).map(|_| windows.take(now, true).refused).collect();
        assert_eq!(refused, [false, false, false, true]);
        let standing = windows.standing(now);
        assert_eq!(standing.usage.read, Allowance { quarter_hour: 4, day: 4 });
        assert_eq!(standing.usage.overall, Allowance { quarter_hour: 4, day: 4 });
    }

    #[test]
    fn the_windows_open_at_the_quarter_hour_and_at_midnight_utc() {
        let mut windows = Windows::new(SMALL, StravaWindows::REAL);
        for _ in 0..4 {
            windows.take(at("2026-11-21T10:14:59Z"), true);
        }
        assert!(!windows.take(at("2026-11-21T10:15:00Z"), true).refused);
        assert!(!windows.take(at("2026-11-21T10:15:00Z"), true).refused);
        // The seventh of the day is over the six that may be read, in any quarter.
        assert!(windows.take(at("2026-11-21T10:30:00Z"), true).refused);
        assert!(windows.take(at("2026-11-21T23:59:59Z"), true).refused);
        let standing = windows.take(at("2026-11-22T00:00:00Z"), true);
        assert!(!standing.refused);
        assert_eq!(standing.usage.read, Allowance { quarter_hour: 1, day: 1 });
    }

    #[test]
    fn calls_that_do_not_read_leave_the_read_quota_alone() {
        let mut windows = Windows::new(SMALL, StravaWindows::REAL);
        let now = at("2026-11-21T10:00:00Z");
        for _ in 0..5 {
            assert!(!windows.take(now, false).refused);
        }
        let standing = windows.take(now, false);
        assert!(standing.refused);
        assert_eq!(standing.usage.read.quarter_hour, 0);
    }

    #[test]
    fn short_windows_have_borders_of_their_own_and_calls_over_the_limit_are_counted() {
        let shape = StravaWindows { quarter_hour_s: 10, day_s: 30, border_s: 3 };
        let mut windows = Windows::new(SMALL, shape);
        let second = |s: i64| DateTime::from_timestamp(900 + s, 0).unwrap();
        for _ in 0..4 {
            windows.take(second(2), true);
        }
        assert_eq!(windows.calls(), StravaCalls { counted: 4, over_limit: 1, scripted: 0 });
        // Three seconds past a round one, a window and the day begin.
        let standing = windows.take(second(3), true);
        assert!(!standing.refused);
        assert_eq!(standing.usage.read, Allowance { quarter_hour: 1, day: 1 });
        let standing = windows.take(second(13), true);
        assert_eq!(standing.usage.read, Allowance { quarter_hour: 1, day: 2 });
        assert_eq!(windows.calls(), StravaCalls { counted: 6, over_limit: 1, scripted: 0 });
    }

    #[test]
    fn the_headers_tell_quarter_hour_and_day() {
        let mut windows = Windows::new(StravaQuota::STANDARD, StravaWindows::REAL);
        let headers = windows.take(at("2026-11-21T10:00:00Z"), true).headers();
        assert_eq!(headers[0], ("x-ratelimit-limit", "200,2000".to_owned()));
        assert_eq!(headers[1], ("x-ratelimit-usage", "1,1".to_owned()));
        assert_eq!(headers[2], ("x-readratelimit-limit", "100,1000".to_owned()));
        assert_eq!(headers[3], ("x-readratelimit-usage", "1,1".to_owned()));
    }
}
