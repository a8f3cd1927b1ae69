//! Nights, dated by the day of waking, in the zone the person slept in; now and then a nap besides.

use chrono::Days;
use serde_json::{Value, json};

use super::{MAT, Subject, TELEPHONE, WATCH, local_date};
use crate::calendar;
use crate::numbers::{float, round_to, rounded};
use crate::withings::record::WithingsKind;

const NIGHTS: u64 = 0x77_6e;
/// Figures that are documented and that no device here tells.
const NOT_TOLD: [&str; 13] = [
    "withings_index",
    "chest_movement_rate_wellness_average",
    "chest_movement_rate_wellness_min",
    "chest_movement_rate_wellness_max",
    "breathing_sounds",
    "breathing_sounds_episode_count",
    "chest_movement_rate_average",
    "chest_movement_rate_min",
    "chest_movement_rate_max",
    "core_body_temperature_min",
    "core_body_temperature_max",
    "core_body_temperature_avg",
    "core_body_temperature_status",
];

/// `nights` of them, on as many days; every fortieth day has a nap too.
pub(super) fn list(subject: &Subject, nights: u32) -> Vec<Value> {
    let (mut list, mut turn) = (Vec::new(), 0);
    for (number, woke) in subject.days(nights) {
        let mut dice = subject.dice(NIGHTS, turn);
        let zone = subject.zone_on(woke);
        let eve = woke.checked_sub_days(Days::new(1)).unwrap_or(woke);
        let lay_down = rounded(dice.between(21.8, 24.6) * 3600.0);
        list.push(night(subject, turn, calendar::instant(zone, eve, lay_down)));
        turn += 1;
        if number % 40 == 17 {
            list.push(nap(subject, turn, calendar::instant(zone, woke, 13 * 3600)));
            turn += 1;
        }
    }
    list
}

fn nap(subject: &Subject, turn: u64, at: i64) -> Value {
    slept(subject, turn, at, 1800 + i64::try_from(turn % 1800).unwrap_or(0))
}

/// A night that begins at `at`.
pub(super) fn night(subject: &Subject, turn: u64, at: i64) -> Value {
    let mut dice = subject.dice(NIGHTS ^ 1, turn);
    slept(subject, turn, at, rounded(dice.between(6.0, 9.2) * 3600.0))
}

fn slept(subject: &Subject, turn: u64, at: i64, seconds: i64) -> Value {
    let mut dice = subject.dice(NIGHTS ^ 2, turn);
    let end = at + seconds;
    let zone = subject.zone_on(local_date(subject.home(), end));
    let (device, source) = match dice.below(100) {
        0..3 => (TELEPHONE, 16),
        3..18 => (WATCH, 16),
        _ => (MAT, 32),
    };
    let elsewhere = device == TELEPHONE;
    let stored = subject.stored(end, &mut dice);
    let latency = rounded(dice.between(0.01, 0.06) * float(seconds));
    let rising = rounded(dice.between(0.0, 0.03) * float(seconds));
    let awake = rounded(dice.between(0.0, 0.05) * float(seconds));
    let asleep = seconds - latency - rising - awake;
    let deep = rounded(float(asleep) * dice.between(0.15, 0.28));
    let rem = rounded(float(asleep) * dice.between(0.15, 0.25));
    // Of a night from another source only its length is known.
    let phase = |figure: i64| if elsewhere { json!(null) } else { json!(figure) };
    let woken = if awake > 300 { 1 + dice.below(3) } else { 0 };
    let mut data = json!({
        "total_timeinbed": seconds,
        "total_sleep_time": asleep,
        "asleepduration": if elsewhere { json!(asleep) } else { json!(null) },
        "lightsleepduration": phase(asleep - deep - rem),
        "remsleepduration": phase(rem),
        "deepsleepduration": phase(deep),
        "sleep_efficiency": round_to(float(asleep) / float(seconds), 2),
        "sleep_latency": latency,
        "wakeup_latency": rising,
        "wakeupduration": latency + rising + awake,
        "wakeupcount": woken,
        "waso": awake,
        "nb_rem_episodes": rem / 1500,
        "breathing_disturbances_intensity": dice.below(60),
        "breathing_quality_assessment": dice.below(60),
        "apnea_hypopnea_index": dice.below(12),
        "durationtosleep": latency,
        "durationtowakeup": rising,
        "out_of_bed_count": dice.below(2),
        "hr_average": 52 + dice.below(14),
        "hr_min": 42 + dice.below(9),
        "hr_max": 74 + dice.below(24),
        "rr_average": 13 + dice.below(4),
        "rr_min": 9 + dice.below(3),
        "rr_max": 19 + dice.below(6),
        "snoring": dice.below(3_600),
        "snoringepisodecount": dice.below(9),
        "sleep_score": 48 + dice.below(50),
        "night_events": { "1": [0], "2": [latency], "3": [seconds - rising], "4": [seconds] },
        "mvt_score_avg": dice.below(40),
        "mvt_active_duration": dice.below(2_400),
        "rmssd_start_avg": round_to(dice.between(20.0, 70.0), 1),
        "rmssd_end_avg": round_to(dice.between(20.0, 80.0), 1),
    });
    for name in NOT_TOLD {
        data[name] = Value::Null;
    }
    json!({
        "id": subject.id(WithingsKind::Sleep, turn),
        "timezone": zone.name(),
        "model": source,
        "model_id": device.model_id,
        "startdate": at,
        "enddate": end,
        "date": local_date(zone, end),
        "created": stored,
        "modified": stored,
        "hash_deviceid": (!elsewhere).then(|| subject.device_id(device)),
        "completed": true,
        "data": data,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::Person;

    #[test]
    fn a_night_is_dated_by_the_day_of_waking_and_its_parts_add_up() {
        let until = "2026-11-20".parse().unwrap();
        let subject = Subject { person: Person::new(4), first_id: 5_000_000_000, years: 2, until };
        let nights = list(&subject, 400);
        assert_eq!(nights.len(), 410);
        for night in &nights {
            let zone: chrono_tz::Tz = night["timezone"].as_str().unwrap().parse().unwrap();
            let end = night["enddate"].as_i64().unwrap();
            assert_eq!(night["date"], json!(local_date(zone, end)));
            let data = &night["data"];
            let figure = |name: &str| data[name].as_i64();
            let spent = figure("total_sleep_time").unwrap() + figure("wakeupduration").unwrap();
            assert_eq!(Some(spent), figure("total_timeinbed"));
            if let Some(light) = figure("lightsleepduration") {
                let phases = figure("deepsleepduration").zip(figure("remsleepduration"));
                let (deep, rem) = phases.unwrap();
                assert_eq!(Some(light + deep + rem), figure("total_sleep_time"));
            } else {
                assert!(figure("asleepduration").is_some());
            }
        }
    }
}
