//! Weighings: what a scale, or a person who types, leaves in the logs of weight and fat.
//!
//! Owns the values. Must not know how entries are kept.

use serde_json::{Value, json};

use super::record::Record;
use super::walltime;
use crate::dice::Dice;
use crate::numbers::{float, round_to};
use crate::person::Person;

const WEIGHINGS: u64 = 0x66_77;
const HEIGHTS: u64 = 0x66_68;
const YEAR_S: f64 = 31_557_600.0;

/// Metres, the same for ever.
pub(super) fn height_m(person: &Person) -> f64 {
    let (low, high) = if person.sex == "F" { (1.55, 1.80) } else { (1.65, 1.96) };
    round_to(Dice::new(person.seed, HEIGHTS, 0).between(low, high), 3)
}

struct Weighing {
    kg: f64,
    source: &'static str,
    fat_percent: f64,
    /// Whether the scale measured fat as well.
    fat: bool,
}

fn weighing(person: &Person, record: &Record) -> Weighing {
    let mut dice = Dice::new(person.seed, WEIGHINGS, record.origin);
    let turns = float(record.at) / (3.1 * YEAR_S) + person.pace;
    let slow = (std::f64::consts::TAU * turns).sin();
    let kg = round_to(person.weight_kg + 3.5 * slow + dice.between(-0.9, 0.9), 1);
    let source = match dice.below(100) {
        0..58 => "Aria",
        58..86 => "Withings",
        _ => "API",
    };
    let percent = round_to(21.0 + 4.0 * slow + dice.between(-1.5, 1.5), 3);
    Weighing {
        kg,
        source,
        // An Aria's value went through single precision, and shows it.
        fat_percent: if source == "Aria" { single(percent) } else { round_to(percent, 1) },
        fat: source != "API" && dice.chance(0.8),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "losing precision is what is simulated")]
fn single(value: f64) -> f64 {
    f64::from(value as f32)
}

/// Whether this weighing left an entry in the log of fat too.
pub(super) fn has_fat(person: &Person, record: &Record) -> bool {
    weighing(person, record).fat
}

/// Whether another provider's scale took it: the same weighing may be known from there.
pub(super) fn is_from_withings(person: &Person, record: &Record) -> bool {
    weighing(person, record).source == "Withings"
}

/// An entry of the log of weight, metric.
pub(super) fn weight(person: &Person, record: &Record) -> Value {
    let weighing = weighing(person, record);
    let height = height_m(person);
    let mut entry = json!({
        "bmi": number(round_to(weighing.kg / (height * height), 2)),
        "date": walltime::date(record.wall),
        "logId": record.log_id,
        "source": weighing.source,
        "time": walltime::time(record.wall),
        "weight": number(weighing.kg),
    });
    if weighing.fat {
        entry["fat"] = number(weighing.fat_percent);
    }
    entry
}

/// An entry of the log of fat.
pub(super) fn fat(person: &Person, record: &Record) -> Value {
    let weighing = weighing(person, record);
    json!({
        "date": walltime::date(record.wall),
        "fat": number(weighing.fat_percent),
        "logId": record.log_id,
        "source": weighing.source,
        "time": walltime::time(record.wall),
    })
}

/// Whole numbers are written without a point, as in the documentation's `"weight":73`.
pub(super) fn number(value: f64) -> Value {
    let whole = crate::numbers::rounded(value);
    if (float(whole) - value).abs() < 1e-9 { whole.into() } else { value.into() }
}
