//! Open-Meteo's limits for an address: weighted calls in a minute, an hour and a UTC day.
//!
//! Owns the windows and the wording of refusals. Must not know how a call's weight comes about.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Weighted calls allowed in each window, and calls at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeatherQuota {
    /// From one full minute to the next.
    pub minute: f64,
    /// From one full hour to the next.
    pub hour: f64,
    /// From midnight UTC to midnight UTC.
    pub day: f64,
    /// Answers being made at once; `None` for any number.
    #[serde(default)]
    pub concurrent: Option<u32>,
}

impl WeatherQuota {
    /// What an address without a key gets.
    pub const FREE: Self = Self { minute: 600.0, hour: 5_000.0, day: 10_000.0, concurrent: None };
    /// Limits that nothing here reaches.
    pub const UNLIMITED: Self = Self { minute: 1e15, hour: 1e15, day: 1e15, concurrent: None };
}

#[derive(Debug)]
pub(super) struct Spent {
    quota: WeatherQuota,
    /// Number of the window since the epoch, and what was spent in it.
    minute: (i64, f64),
    hour: (i64, f64),
    day: (i64, f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Window {
    Minute,
    Hour,
    Day,
}

impl Window {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Minute => "Minutely API request limit exceeded. Please try again in one minute.",
            Self::Hour => "Hourly API request limit exceeded. Please try again in the next hour.",
            Self::Day => "Daily API request limit exceeded. Please try again tomorrow.",
        }
    }
}

impl Spent {
    pub(super) fn new(quota: WeatherQuota) -> Self {
        Self { quota, minute: (0, 0.0), hour: (0, 0.0), day: (0, 0.0) }
    }

    pub(super) fn quota(&self) -> WeatherQuota {
        self.quota
    }

    /// Spends `weight`, or 1 for a refusal: a call is refused once its window is used up.
    pub(super) fn take(&mut self, now: DateTime<Utc>, weight: f64) -> Result<(), Window> {
        let windows = [
            (&mut self.minute, 60, self.quota.minute, Window::Minute),
            (&mut self.hour, 3_600, self.quota.hour, Window::Hour),
            (&mut self.day, 86_400, self.quota.day, Window::Day),
        ];
        let mut refused = None;
        for (spent, seconds, limit, window) in windows {
            let number = now.timestamp().div_euclid(seconds);
            if spent.0 != number {
                *spent = (number, 0.0);
            }
            if spent.1 >= limit {
                refused = refused.or(Some(window));
            }
        }
        let weight = if refused.is_some() { 1.0 } else { weight };
        for spent in [&mut self.minute, &mut self.hour, &mut self.day] {
            spent.1 += weight;
        }
        refused.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_window_that_is_used_up_refuses_until_the_next_begins_and_names_itself() {
        let quota = WeatherQuota { minute: 10.0, hour: 25.0, day: 1000.0, concurrent: None };
        let mut spent = Spent::new(quota);
        // The call that overruns the limit is still answered: its weight is known afterwards.
        assert_eq!(spent.take(at("2026-11-21T10:00:59Z"), 12.0), Ok(()));
        assert_eq!(spent.take(at("2026-11-21T10:00:59Z"), 5.0), Err(Window::Minute));
        assert_eq!(spent.take(at("2026-11-21T10:01:00Z"), 9.0), Ok(()));
        assert_eq!(spent.take(at("2026-11-21T10:02:00Z"), 9.0), Ok(()));
        assert_eq!(spent.take(at("2026-11-21T10:03:00Z"), 1.0), Err(Window::Hour));
        assert_eq!(spent.take(at("2026-11-21T11:00:00Z"), 1.0), Ok(()));
    }

    #[test]
    fn a_refused_call_costs_one() {
        let quota = WeatherQuota { minute: 1.0, hour: 4.0, day: 1000.0, concurrent: None };
        let mut spent = Spent::new(quota);
        assert_eq!(spent.take(at("2026-11-21T10:00:00Z"), 1.0), Ok(()));
        for _ in 0..3 {
            assert_eq!(spent.take(at("2026-11-21T10:00:00Z"), 500.0), Err(Window::Minute));
        }
        assert_eq!(spent.take(at("2026-11-21T10:01:00Z"), 1.0), Err(Window::Hour));
    }
}
