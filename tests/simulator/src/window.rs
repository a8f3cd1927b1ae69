//! A window of time in which a provider counts calls, with borders at whole multiples of its length.
//!
//! Must not know what is allowed, nor what becomes of a call that is one too many.

use chrono::{DateTime, Utc};

/// Calls counted since the last border.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    length_s: i64,
    border_s: i64,
    number: i64,
    used: u32,
}

impl Window {
    /// Windows of `length_s` (at least 1) that begin at multiples of it since 1970, plus `border_s`.
    pub(crate) fn new(length_s: u32, border_s: u32) -> Self {
        let length_s = i64::from(length_s.max(1));
        Self { length_s, border_s: i64::from(border_s), number: 0, used: 0 }
    }

    /// Counts a call; answers how many that makes.
    pub(crate) fn take(&mut self, now: DateTime<Utc>) -> u32 {
        self.turn(now);
        self.used = self.used.saturating_add(1);
        self.used
    }

    /// Calls since the last border.
    pub(crate) fn used(&mut self, now: DateTime<Utc>) -> u32 {
        self.turn(now);
        self.used
    }

    /// Seconds to the next border, at least 1.
    pub(crate) fn resets_in_s(&self, now: DateTime<Utc>) -> i64 {
        self.length_s - self.since(now).rem_euclid(self.length_s)
    }

    /// As if nothing had been counted.
    pub(crate) fn forget(&mut self) {
        self.used = 0;
    }

    fn since(&self, now: DateTime<Utc>) -> i64 {
        now.timestamp() - self.border_s
    }

    fn turn(&mut self, now: DateTime<Utc>) {
        let number = self.since(now).div_euclid(self.length_s);
        if number != self.number {
            self.number = number;
            self.used = 0;
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
    fn a_window_ends_at_its_border_and_tells_how_far_that_is() {
        let mut hour = Window::new(3600, 0);
        assert_eq!(hour.take(at("2026-11-21T10:59:58Z")), 1);
        assert_eq!(hour.take(at("2026-11-21T10:59:59Z")), 2);
        assert_eq!(hour.resets_in_s(at("2026-11-21T10:59:59Z")), 1);
        assert_eq!(hour.used(at("2026-11-21T11:00:00Z")), 0);
        assert_eq!(hour.resets_in_s(at("2026-11-21T11:00:00Z")), 3600);
    }

    #[test]
    fn borders_can_lie_elsewhere() {
        let mut window = Window::new(10, 3);
        let second = |s: i64| DateTime::from_timestamp(900 + s, 0).unwrap();
        window.take(second(2));
        assert_eq!(window.take(second(3)), 1);
        assert_eq!(window.take(second(12)), 2);
        window.forget();
        assert_eq!(window.used(second(12)), 0);
    }
}
