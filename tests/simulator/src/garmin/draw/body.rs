//! Weighings, blood pressures, and what Garmin reckons about a user.

use serde_json::{Map, Value};

use super::{Subject, put, put_some};
use crate::dice::Dice;
use crate::numbers::{float, round_to, rounded};

pub(super) fn composition(subject: &Subject<'_>, dice: &mut Dice, fields: &mut Map<String, Value>) {
    put(fields, "measurementTimeInSeconds", subject.at);
    put(fields, "measurementTimeOffsetInSeconds", subject.offset_s(subject.at));
    let weight_kg = subject.person.weight_kg + dice.between(-2.5, 2.5);
    put(fields, "weightInGrams", rounded(weight_kg * 1000.0));
    // A weight that was typed in comes alone.
    if dice.chance(0.15) {
        return;
    }
    let fat = dice.between(9.0, 31.0);
    put(fields, "bodyFatInPercent", round_to(fat, 2));
    put(fields, "bodyWaterInPercent", round_to((100.0 - fat) * 0.72, 2));
    put(fields, "bodyMassIndex", round_to(weight_kg / 3.05, 2));
    put(fields, "muscleMassInGrams", rounded(weight_kg * (100.0 - fat) * 4.6));
    put(fields, "boneMassInGrams", rounded(weight_kg * 47.0));
}

pub(super) fn pressure(subject: &Subject<'_>, dice: &mut Dice, fields: &mut Map<String, Value>) {
    put(fields, "measurementTimeInSeconds", subject.at);
    put(fields, "measurementTimeOffsetInSeconds", subject.offset_s(subject.at));
    put(fields, "systolic", 104 + dice.below(38));
    put(fields, "diastolic", 62 + dice.below(28));
    put_some(fields, "pulse", dice.chance(0.9).then(|| 48 + dice.below(40)));
    put(fields, "sourceType", if dice.chance(0.3) { "MANUAL" } else { "DEVICE" });
}

/// Of a date, not of a time.
pub(super) fn metrics(subject: &Subject<'_>, dice: &mut Dice, fields: &mut Map<String, Value>) {
    put(fields, "calendarDate", subject.date(subject.at).to_string());
    let base = 46.0 * subject.person.pace;
    put_some(
        fields,
        "vo2Max",
        dice.chance(0.9).then(|| round_to(base + dice.between(-3.0, 3.0), 1)),
    );
    let cycling = dice.chance(0.3).then(|| round_to(base + dice.between(-5.0, 1.0), 1));
    put_some(fields, "vo2MaxCycling", cycling);
    let age = rounded(40.0 - float(rounded(base - 46.0)));
    put_some(fields, "fitnessAge", dice.chance(0.8).then_some(age));
    put(fields, "enhanced", dice.chance(0.5));
}
