//! What one application may ask of Garmin in a minute: calls, and days of backfill.
//!
//! Must not know requests.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::settings::GarminSettings;
use crate::window::Window;

/// Calls to Garmin's API since the simulator began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GarminCalls {
    /// All of them, refused ones included.
    pub counted: u64,
    /// Those that were one too many in their minute.
    pub over_limit: u64,
    /// Requests for backfill that were too many days in their minute.
    pub backfill_over_limit: u64,
    /// Those that were refused as if they had been, because a fault rule said so.
    pub scripted: u64,
}

#[derive(Debug)]
pub(super) struct Meter {
    length_s: u32,
    requests: Window,
    days: Window,
    calls: GarminCalls,
}

impl Meter {
    pub(super) fn new(length_s: u32) -> Self {
        let window = || Window::new(length_s, 0);
        Self { length_s, requests: window(), days: window(), calls: GarminCalls::default() }
    }

    /// Counts a call; false when it is one too many. Refused calls stay counted.
    pub(super) fn admit(&mut self, settings: &GarminSettings, now: DateTime<Utc>) -> bool {
        self.fit(settings);
        let within = self.requests.take(now) <= settings.requests_per_minute;
        self.calls.counted += 1;
        self.calls.over_limit += u64::from(!within);
        within
    }

    /// Counts days of backfill, but only when all of them fit into the minute.
    pub(super) fn admit_days(
        &mut self,
        settings: &GarminSettings,
        days: u32,
        now: DateTime<Utc>,
    ) -> bool {
        self.fit(settings);
        if self.days.used(now).saturating_add(days) > settings.backfill_days_per_minute {
            self.calls.backfill_over_limit += 1;
            return false;
        }
        for _ in 0..days {
            self.days.take(now);
        }
        true
    }

    pub(super) const fn calls(&self) -> GarminCalls {
        self.calls
    }

    pub(super) const fn scripted_refusal(&mut self) {
        self.calls.scripted += 1;
    }

    pub(super) fn forget(&mut self) {
        self.requests.forget();
        self.days.forget();
    }

    fn fit(&mut self, settings: &GarminSettings) {
        if settings.window_s != self.length_s {
            *self = Self { calls: self.calls, ..Self::new(settings.window_s) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_minute_counts_refused_calls_and_begins_anew_at_its_border() {
        let settings = GarminSettings { requests_per_minute: 2, ..GarminSettings::default() };
        let mut meter = Meter::new(60);
        let admitted: Vec<bool> =
            (0..4).map(|_| meter.admit(&settings, at("2026-11-21T10:00:59Z"))).collect();
        assert_eq!(admitted, [true, true, false, false]);
        assert!(meter.admit(&settings, at("2026-11-21T10:01:00Z")));
        assert_eq!((meter.calls().counted, meter.calls().over_limit), (5, 2));
    }

    #[test]
    fn days_of_backfill_that_do_not_fit_are_not_counted() {
        let settings = GarminSettings {
            backfill_days_per_minute: GarminSettings::EVALUATION_DAYS,
            ..GarminSettings::default()
        };
        let mut meter = Meter::new(60);
        let now = at("2026-11-21T10:00:00Z");
        assert!(meter.admit_days(&settings, 90, now));
        assert!(!meter.admit_days(&settings, 11, now));
        assert!(meter.admit_days(&settings, 10, now));
        assert!(meter.admit_days(&settings, 90, at("2026-11-21T10:01:00Z")));
        assert_eq!(meter.calls().backfill_over_limit, 1);
    }
}
