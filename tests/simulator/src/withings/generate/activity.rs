//! The summary of a day: steps, distance, energy, and how the heart went.

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use super::{Subject, TELEPHONE, WATCH};
use crate::calendar;
use crate::numbers::{float, round_to};

const ACTIVITY: u64 = 0x77_61;

pub(super) fn list(subject: &Subject, days: u32) -> Vec<Value> {
    subject.days(days).map(|(turn, date)| day(subject, turn, date)).collect()
}

pub(super) fn day(subject: &Subject, turn: u64, date: NaiveDate) -> Value {
    let mut dice = subject.dice(ACTIVITY, turn);
    let zone = subject.zone_on(date);
    // The watch at its charger, the telephone counts on.
    let watched = !dice.chance(0.1);
    let device = if watched { WATCH } else { TELEPHONE };
    let id = watched.then(|| subject.device_id(WATCH));
    let steps = i64::try_from(500 + dice.below(17_000)).unwrap_or(0);
    let (soft, moderate) = (dice.below(9_000), dice.below(4_000));
    let intense = if dice.chance(0.4) { dice.below(3_600) } else { 0 };
    let calories = round_to(float(steps) * dice.between(0.03, 0.06), 3);
    let resting = subject.person.weight_kg * 22.0;
    let heart = |low: u64, spread: u64, dice: &mut crate::dice::Dice| {
        if watched { low + dice.below(spread) } else { 0 }
    };
    let next = date.checked_add_days(Days::new(1)).unwrap_or(date);
    let synced = calendar::instant(zone, next, 0).min(subject.end());
    json!({
        "date": date,
        "timezone": zone.name(),
        "deviceid": id,
        "hash_deviceid": id,
        "brand": if watched { 1 } else { 18 },
        "is_tracker": watched,
        "modified": synced,
        "modelid": device.model_id,
        "model": device.model,
        "steps": steps,
        "distance": round_to(float(steps) * dice.between(0.68, 0.86), 3),
        "elevation": dice.below(60),
        "soft": soft,
        "moderate": moderate,
        "intense": intense,
        "active": moderate + intense,
        "calories": calories,
        "totalcalories": round_to(resting + calories, 3),
        "hr_average": heart(62, 20, &mut dice),
        "hr_min": heart(44, 14, &mut dice),
        "hr_max": heart(110, 70, &mut dice),
        "hr_zone_0": heart(4_000, 20_000, &mut dice),
        "hr_zone_1": heart(300, 4_000, &mut dice),
        "hr_zone_2": heart(0, 1_500, &mut dice),
        "hr_zone_3": heart(0, 400, &mut dice),
    })
}
