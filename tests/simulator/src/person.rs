//! Who a user is, at whichever provider: name, home, body, kit. Drawn once from a seed, so that the same
//! seed is the same person everywhere.
//!
//! Must not know single records.

use crate::dice::Dice;
use crate::numbers::round_to;
use crate::places::CITIES;

/// The traits that a person's records and profiles share.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) seed: u64,
    pub(crate) first_name: &'static str,
    pub(crate) last_name: &'static str,
    pub(crate) sex: &'static str,
    /// Number in the table of places.
    pub(crate) home: u8,
    pub(crate) weight_kg: f64,
    /// Multiplies every speed.
    pub(crate) pace: f64,
    pub(crate) easy_heart_rate: f64,
    pub(crate) device: &'static str,
    pub(crate) bike: String,
    pub(crate) shoe: String,
}

const PEOPLE: u64 = 0x70_65_6f;

impl Person {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, PEOPLE, 0);
        let (first_name, sex) = dice.pick(&FIRST_NAMES);
        Self {
            seed,
            first_name,
            last_name: dice.pick(&LAST_NAMES),
            sex,
            home: u8::try_from(dice.below(u64::from(CITIES))).unwrap_or(0),
            weight_kg: round_to(dice.between(48.0, 96.0), 1),
            pace: dice.between(0.88, 1.14),
            easy_heart_rate: dice.between(124.0, 144.0),
            device: dice.pick(&DEVICES),
            bike: format!("b{}", 1_000_000 + dice.below(9_000_000)),
            shoe: format!("g{}", 1_000_000 + dice.below(9_000_000)),
        }
    }
}

const FIRST_NAMES: [(&str, &str); 12] = [
    ("Marianne", "F"),
    ("Jürgen", "M"),
    ("Zoë", "F"),
    ("Mateo", "M"),
    ("Aiko", "F"),
    ("Søren", "M"),
    ("Naledi", "F"),
    ("Łukasz", "M"),
    ("Priya", "F"),
    ("D'Arcy", "M"),
    ("Ngozi", "F"),
    ("Eleni", "F"),
];
const LAST_NAMES: [&str; 10] =
    ["T.", "Okafor", "Müller", "Nakamura", "García", "O'Brien", "Kowalska", "Dlamini", "Rao", "Ng"];
const DEVICES: [&str; 5] = [
    "Garmin Forerunner 965",
    "Garmin Edge 840",
    "COROS PACE 3",
    "Apple Watch Ultra 2",
    "Wahoo ELEMNT BOLT",
];
