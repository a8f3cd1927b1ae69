//! Garmin's names for what people do, with how fast and how long.
//!
//! Two of them no client can know yet.

/// A kind of activity as Garmin names it.
#[derive(Debug)]
pub(super) struct Sport {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) family: Family,
    /// Metres a second, slowest and fastest average; 0 when no distance is measured.
    pub(super) speed: (f64, f64),
    pub(super) minutes: (f64, f64),
    pub(super) outdoors: bool,
    /// Part of a person's activities, in hundredths.
    share: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Foot,
    Wheels,
    Water,
    Other,
}

const SPORTS: [Sport; 14] = [
    row("RUNNING", "Running", Family::Foot, (2.3, 4.2), (18.0, 95.0), true, 34),
    row("TRAIL_RUNNING", "Trail Running", Family::Foot, (1.8, 3.1), (35.0, 200.0), true, 5),
    row("TREADMILL_RUNNING", "Treadmill Running", Family::Foot, (2.2, 3.6), (20.0, 60.0), false, 4),
    row("CYCLING", "Cycling", Family::Wheels, (5.2, 9.8), (30.0, 270.0), true, 18),
    row("ROAD_BIKING", "Road Cycling", Family::Wheels, (6.0, 10.0), (40.0, 300.0), true, 8),
    row("INDOOR_CYCLING", "Indoor Cycling", Family::Wheels, (6.0, 9.0), (25.0, 90.0), false, 5),
    row("WALKING", "Walking", Family::Foot, (1.0, 1.6), (20.0, 120.0), true, 7),
    row("HIKING", "Hiking", Family::Foot, (0.7, 1.3), (90.0, 420.0), true, 3),
    row("LAP_SWIMMING", "Pool Swim", Family::Water, (0.6, 1.2), (20.0, 60.0), false, 4),
    row("OPEN_WATER_SWIMMING", "Open Water", Family::Water, (0.6, 1.1), (20.0, 80.0), true, 1),
    row("STRENGTH_TRAINING", "Strength", Family::Other, (0.0, 0.0), (20.0, 75.0), false, 6),
    row("YOGA", "Yoga", Family::Other, (0.0, 0.0), (15.0, 75.0), false, 2),
    row("CROSS_COUNTRY_SKIING_WS", "XC Ski", Family::Other, (2.5, 5.0), (40.0, 180.0), true, 2),
    row("GLACIER_GOLF", "Glacier Golf", Family::Other, (0.4, 0.9), (60.0, 180.0), true, 1),
];

/// The sport of a draw from 0 to 99.
pub(super) fn at(drawn: u64) -> &'static Sport {
    let mut left = drawn;
    for sport in &SPORTS {
        if left < sport.share {
            return sport;
        }
        left -= sport.share;
    }
    &SPORTS[0]
}

/// What a device notices by itself: kind and finer kind.
pub(super) const NOTICED: [(&str, &str); 5] = [
    ("WALKING", "WALKING"),
    ("RUNNING", "HURDLES"),
    ("CYCLING", "CYCLING"),
    ("ELLIPTICAL", "ELLIPTICAL"),
    ("FLOATING", "LAZY_RIVER"),
];

const fn row(
    name: &'static str,
    title: &'static str,
    family: Family,
    speed: (f64, f64),
    minutes: (f64, f64),
    outdoors: bool,
    share: u64,
) -> Sport {
    Sport { name, title, family, speed, minutes, outdoors, share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_a_hundred_hundredths() {
        assert_eq!(SPORTS.iter().map(|sport| sport.share).sum::<u64>(), 100);
        assert_eq!(at(99).name, "GLACIER_GOLF");
    }
}
