//! The sports people record, with how fast and how long.
//!
//! Owns Strava's names for them, two of which no client can know yet. Must not know athletes.

/// A sport as Strava names it.
#[derive(Debug)]
pub(super) struct Sport {
    /// The modern name, `sport_type`.
    pub(super) name: &'static str,
    /// The deprecated `type`, which lumps sports together.
    pub(super) kind: &'static str,
    /// What Strava calls an activity that its owner did not name.
    pub(super) title: &'static str,
    pub(super) family: Family,
    /// Metres a second, slowest and fastest average; 0 when no distance is measured.
    pub(super) speed: (f64, f64),
    pub(super) minutes: (f64, f64),
    /// Part of a person's activities, in thousandths.
    share: u64,
    /// How many in a hundred happen indoors.
    pub(super) indoor_percent: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Foot,
    Wheels,
    Other,
}

/// The table; a sport's place in it is its number.
pub(super) const SPORTS: [Sport; 17] = [
    row("Run", "Run", "Run", Family::Foot, (2.3, 4.2), (18.0, 95.0), 360, 6),
    row("TrailRun", "Run", "Trail Run", Family::Foot, (1.8, 3.1), (35.0, 200.0), 45, 0),
    row("Ride", "Ride", "Ride", Family::Wheels, (5.2, 9.8), (30.0, 270.0), 290, 4),
    row("GravelRide", "Ride", "Gravel Ride", Family::Wheels, (4.5, 7.5), (50.0, 240.0), 30, 0),
    row("MountainBikeRide", "Ride", "MTB", Family::Wheels, (3.0, 5.5), (45.0, 180.0), 30, 0),
    row("VirtualRide", "VirtualRide", "Zwift", Family::Wheels, (7.0, 10.5), (25.0, 90.0), 45, 100),
    row("VirtualRun", "VirtualRun", "Zwift Run", Family::Foot, (2.3, 3.8), (20.0, 50.0), 8, 100),
    row("EBikeRide", "EBikeRide", "E-Bike Ride", Family::Wheels, (5.0, 7.5), (20.0, 90.0), 15, 0),
    row("Walk", "Walk", "Walk", Family::Foot, (1.0, 1.6), (20.0, 120.0), 55, 0),
    row("Hike", "Hike", "Hike", Family::Foot, (0.7, 1.3), (90.0, 420.0), 25, 0),
    row("Swim", "Swim", "Swim", Family::Other, (0.6, 1.2), (20.0, 60.0), 35, 85),
    row(
        "WeightTraining",
        "WeightTraining",
        "Weights",
        Family::Other,
        (0.0, 0.0),
        (20.0, 75.0),
        30,
        100,
    ),
    row("Yoga", "Yoga", "Yoga", Family::Other, (0.0, 0.0), (15.0, 75.0), 15, 100),
    row("NordicSki", "NordicSki", "Nordic Ski", Family::Other, (2.5, 5.0), (40.0, 180.0), 8, 0),
    row("Rowing", "Rowing", "Rowing", Family::Other, (2.5, 4.2), (20.0, 80.0), 4, 60),
    row("Stilting", "Workout", "Stilting", Family::Other, (0.8, 1.4), (15.0, 60.0), 3, 0),
    row("UnderwaterHockey", "Workout", "Hockey", Family::Other, (0.0, 0.0), (30.0, 60.0), 2, 100),
];

#[expect(clippy::too_many_arguments, reason = "a row of the table above")]
const fn row(
    name: &'static str,
    kind: &'static str,
    title: &'static str,
    family: Family,
    speed: (f64, f64),
    minutes: (f64, f64),
    share: u64,
    indoor_percent: u64,
) -> Sport {
    Sport { name, kind, title, family, speed, minutes, share, indoor_percent }
}

/// The sport at `thousandth` (0 to 999) of everything a person does.
pub(super) fn at(thousandth: u64) -> u8 {
    let mut passed = 0;
    for (number, sport) in (0..).zip(&SPORTS) {
        passed += sport.share;
        if thousandth < passed {
            return number;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_make_a_whole() {
        assert_eq!(SPORTS.iter().map(|sport| sport.share).sum::<u64>(), 1000);
        assert_eq!(SPORTS[usize::from(at(0))].name, "Run");
        assert_eq!(SPORTS[usize::from(at(999))].name, "UnderwaterHockey");
    }
}
