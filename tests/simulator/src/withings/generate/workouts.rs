//! Workouts: seen by a watch, confirmed, or typed in by hand.

use serde_json::{Value, json};

use super::{Subject, TELEPHONE, WATCH, local_date};
use crate::dice::Dice;
use crate::numbers::{float, rounded};
use crate::withings::record::WithingsKind;

const WORKOUTS: u64 = 0x77_6b;

/// Category, and metres a second; 0 where no distance is told. The last is one that the
/// documentation does not list.
const CATEGORIES: [(u16, f64); 20] = [
    (1, 1.4),
    (1, 1.4),
    (1, 1.4),
    (2, 2.9),
    (2, 2.9),
    (3, 1.1),
    (6, 6.2),
    (6, 6.2),
    (7, 0.0),
    (16, 0.0),
    (28, 0.0),
    (34, 5.0),
    (36, 0.0),
    (187, 2.6),
    (272, 0.0),
    (307, 2.7),
    (308, 7.0),
    (498, 2.4),
    (550, 0.0),
    (9_042, 0.0),
];
const SWIMMING: u16 = 7;
const MULTI_SPORT: u16 = 272;

pub(super) fn list(subject: &Subject, workouts: u32) -> Vec<Value> {
    let instants = (0..).zip(subject.instants(WORKOUTS, workouts));
    instants.map(|(turn, at)| workout(subject, turn, at)).collect()
}

pub(super) fn workout(subject: &Subject, turn: u64, at: i64) -> Value {
    let mut dice = subject.dice(WORKOUTS, turn);
    let (category, pace) = dice.pick(&CATEGORIES);
    let zone = subject.zone_on(local_date(subject.home(), at));
    let end = at + 600 + i64::try_from(dice.below(6_600)).unwrap_or(0);
    let attrib = dice.pick(&[0, 0, 0, 0, 0, 0, 7, 7, 2]);
    let by_hand = attrib == 2;
    let device = if by_hand { TELEPHONE } else { WATCH };
    let stored = subject.stored(end, &mut dice);
    json!({
        "id": subject.id(WithingsKind::Workouts, turn),
        "category": category,
        "timezone": zone.name(),
        "model": device.model_id,
        "attrib": attrib,
        "startdate": at,
        "enddate": end,
        "date": local_date(zone, at),
        "modified": stored,
        "deviceid": (!by_hand).then(|| subject.device_id(WATCH)),
        "data": data(category, pace * subject.person.pace, by_hand, end - at, &mut dice),
    })
}

/// As documented, some categories tell no distance or steps, swimming its own figures, and
/// multi-sport nothing at all.
fn data(category: u16, pace: f64, by_hand: bool, seconds: i64, dice: &mut Dice) -> Value {
    if category == MULTI_SPORT {
        return json!({});
    }
    let metres = rounded(float(seconds) * pace);
    let calories = rounded(float(seconds) * dice.between(0.08, 0.2));
    let heart = |figure: u64| if by_hand { 0 } else { figure };
    let mut data = json!({
        "calories": if by_hand { 0 } else { calories },
        "intensity": if by_hand { dice.pick(&[20, 30, 50, 80]) } else { 30 },
        "manual_intensity": if by_hand { 50 } else { 0 },
        "manual_distance": if by_hand { metres } else { 0 },
        "manual_calories": if by_hand { calories } else { 0 },
        "hr_average": heart(105 + dice.below(45)),
        "hr_min": heart(70 + dice.below(20)),
        "hr_max": heart(150 + dice.below(40)),
        "hr_zone_0": heart(dice.below(600)),
        "hr_zone_1": heart(dice.below(900)),
        "hr_zone_2": heart(dice.below(900)),
        "hr_zone_3": heart(dice.below(300)),
        "pause_duration": if dice.chance(0.2) { dice.below(600) } else { 0 },
        "algo_pause_duration": null,
        "spo2_average": if dice.chance(0.2) { json!(94 + dice.below(6)) } else { json!(null) },
        "core_body_temperature_avg": null,
        "core_body_temperature_min": null,
        "core_body_temperature_max": null,
        "core_body_temperature_status": null,
    });
    if category == SWIMMING {
        let laps = 10 + dice.below(70);
        data["pool_laps"] = json!(laps);
        data["strokes"] = json!(laps * (14 + dice.below(9)));
        data["pool_length"] = json!(dice.pick(&[25, 50]));
        data["algo_pause_duration"] = json!(dice.below(240));
    } else {
        data["steps"] = json!(if by_hand { 0 } else { rounded(float(metres) * 1.2) });
        data["distance"] = json!(if by_hand { 0 } else { metres });
        data["elevation"] = json!(dice.below(40));
    }
    data
}
