//! The simulator's time: the machine's, moved, or standing still.
//!
//! Owns what "now" is for tokens, quota windows and the weather's horizon. Must not know who asks.

use std::sync::Mutex;
use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::locks::locked;

/// Where the simulator takes its time from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockSetting {
    /// The machine's clock.
    #[default]
    Real,
    /// The machine's clock, this many seconds ahead (or behind, when negative).
    Shifted(i64),
    /// Always this instant.
    Fixed(DateTime<Utc>),
}

/// A clock that tests may stop or move.
#[derive(Debug)]
pub(crate) struct Clock(Mutex<ClockSetting>);

impl Clock {
    pub(crate) fn new(setting: ClockSetting) -> Self {
        Self(Mutex::new(setting))
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        match *locked(&self.0) {
            ClockSetting::Real => machine_now(),
            ClockSetting::Shifted(seconds) => machine_now() + span(seconds),
            ClockSetting::Fixed(instant) => instant,
        }
    }

    pub(crate) fn set(&self, setting: ClockSetting) {
        *locked(&self.0) = setting;
    }

    /// Moves on from wherever the clock stands; a standing clock keeps standing.
    pub(crate) fn advance(&self, seconds: i64) {
        let mut setting = locked(&self.0);
        *setting = match *setting {
            ClockSetting::Real => ClockSetting::Shifted(seconds),
            ClockSetting::Shifted(before) => ClockSetting::Shifted(before.saturating_add(seconds)),
            ClockSetting::Fixed(instant) => ClockSetting::Fixed(instant + span(seconds)),
        };
    }
}

fn span(seconds: i64) -> TimeDelta {
    TimeDelta::try_seconds(seconds).unwrap_or_default()
}

/// The machine's own time, for what must be ordered against other processes (the request log).
pub(crate) fn machine_now() -> DateTime<Utc> {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_when_told() {
        let noon = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::new(ClockSetting::Fixed(noon));
        assert_eq!(clock.now(), noon);
        clock.advance(90);
        assert_eq!(clock.now().timestamp(), 1_700_000_090);
    }

    #[test]
    fn a_moved_clock_runs_on() {
        let clock = Clock::new(ClockSetting::Real);
        clock.advance(3600);
        clock.advance(-7200);
        let ahead = clock.now() - machine_now();
        assert!(ahead <= TimeDelta::seconds(-3599) && ahead >= TimeDelta::seconds(-3601));
    }
}
