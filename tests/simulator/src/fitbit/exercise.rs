//! Exercises: what a tracker, a phone, or a person who types leaves in the log of activities.
//!
//! Owns the values, metric. Must not know how entries are kept.

use serde_json::{Value, json};

use super::body::number;
use super::record::Record;
use super::walltime;
use crate::dice::Dice;
use crate::numbers::{float, round_to, rounded};
use crate::person::Person;
use crate::places::PLACES;

const EXERCISES: u64 = 0x66_65;

/// Name, number, kilometres an hour (0: no distance), minutes, steps a minute, share in hundredths.
type Sport = (&'static str, u32, (f64, f64), (f64, f64), f64, u64);

const SPORTS: [Sport; 10] = [
    ("Walk", 90_013, (3.8, 6.2), (10.0, 90.0), 105.0, 34),
    ("Run", 90_009, (8.2, 14.5), (15.0, 95.0), 165.0, 22),
    ("Bike", 90_001, (15.0, 29.0), (20.0, 180.0), 0.0, 12),
    ("Outdoor Bike", 1_071, (16.0, 31.0), (25.0, 210.0), 0.0, 8),
    ("Treadmill", 90_019, (7.0, 12.0), (15.0, 50.0), 155.0, 5),
    ("Hike", 90_012, (2.6, 4.9), (60.0, 360.0), 95.0, 4),
    ("Swim", 90_024, (1.6, 3.4), (20.0, 60.0), 0.0, 4),
    ("Weights", 2_131, (0.0, 0.0), (20.0, 70.0), 12.0, 5),
    ("Yoga", 52_001, (0.0, 0.0), (15.0, 75.0), 0.0, 4),
    ("Underwater Hockey", 15_911, (0.0, 0.0), (30.0, 60.0), 0.0, 2),
];

fn sport(dice: &mut Dice) -> Sport {
    let mut left = dice.below(100);
    for sport in SPORTS {
        if left < sport.5 {
            return sport;
        }
        left -= sport.5;
    }
    SPORTS[0]
}

/// An entry of the log of activities. Duration in milliseconds, distance in kilometres.
pub(super) fn activity(person: &Person, record: &Record) -> Value {
    let mut dice = Dice::new(person.seed, EXERCISES, record.origin);
    let dice = &mut dice;
    let (name, type_id, speeds, minutes, steps_a_minute, _) = sport(dice);
    let zone = PLACES[usize::from(record.place)].zone;
    let duration_s = rounded(dice.between(minutes.0, minutes.1) * 60.0);
    let active_s = duration_s - rounded(dice.between(0.0, 0.08) * float(duration_s));
    let log_type = match dice.below(100) {
        0..45 => "auto_detected",
        45..80 => "tracker",
        80..90 => "mobile_run",
        _ => "manual",
    };
    let manual = log_type == "manual";
    let start = walltime::with_offset(zone, record.at);
    let (day, hour) = (walltime::date(record.wall), walltime::time(record.wall));
    let end = walltime::time(record.wall + duration_s);
    let calories = rounded(float(duration_s) / 60.0 * dice.between(4.0, 12.0));
    let link = |what: &str| {
        format!(
            "https://api.fitbit.com/1/user/-/activities/{what}/date/{day}/{day}/1sec/time/{}/{}.json",
            &hour[..5],
            &end[..5]
        )
    };
    let mut entry = json!({
        "activeDuration": active_s * 1000,
        "activityLevel": levels(duration_s),
        "activityName": name,
        "activityTypeId": type_id,
        "calories": calories,
        "caloriesLink": link("calories"),
        "duration": duration_s * 1000,
        "elevationGain": number(round_to(dice.between(0.0, 80.0), 3)),
        "hasActiveZoneMinutes": !manual,
        "lastModified": walltime::utc(record.at + duration_s + rounded(dice.between(60.0, 90_000.0))),
        "logId": record.log_id,
        "logType": log_type,
        "manualValuesSpecified": { "calories": manual, "distance": manual, "steps": false },
        "originalDuration": duration_s * 1000,
        "originalStartTime": start,
        "startTime": start,
    });
    if speeds.1 > 0.0 {
        let km_h = dice.between(speeds.0, speeds.1) * person.pace;
        let km = round_to(km_h * float(duration_s) / 3600.0, 6);
        entry["distance"] = number(km);
        entry["distanceUnit"] = "Kilometer".into();
        entry["speed"] = number(round_to(km_h, 6));
        entry["pace"] = number(round_to(3600.0 / km_h, 6));
    }
    if steps_a_minute > 0.0 {
        entry["steps"] = rounded(steps_a_minute * float(duration_s) / 60.0).into();
    }
    if name == "Swim" {
        entry["poolLength"] = 25.into();
        entry["poolLengthUnit"] = "Meter".into();
        entry["swimLengths"] = (duration_s / 40).into();
    }
    if !manual {
        let beats = rounded(person.easy_heart_rate + dice.between(-20.0, 30.0));
        entry["averageHeartRate"] = beats.into();
        entry["heartRateLink"] = link("heart").into();
        entry["heartRateZones"] = zones(active_s, calories);
        let active = active_s / 90;
        entry["activeZoneMinutes"] = json!({
            "minutesInHeartRateZones": [
                { "minuteMultiplier": 0, "minutes": 0, "order": 0, "type": "OUT_OF_ZONE", "zoneName": "Out of Range" },
                { "minuteMultiplier": 1, "minutes": active, "order": 1, "type": "FAT_BURN", "zoneName": "Fat Burn" },
                { "minuteMultiplier": 2, "minutes": 0, "order": 2, "type": "CARDIO", "zoneName": "Cardio" },
                { "minuteMultiplier": 2, "minutes": 0, "order": 3, "type": "PEAK", "zoneName": "Peak" },
            ],
            "totalMinutes": active,
        });
        entry["source"] = source(log_type);
        entry["tcxLink"] =
            format!("https://api.fitbit.com/1/user/-/activities/{}.tcx", record.log_id).into();
    }
    entry
}

fn levels(duration_s: i64) -> Value {
    let minutes = duration_s / 60;
    let level = |name: &str, minutes: i64| json!({ "minutes": minutes, "name": name });
    json!([
        level("sedentary", minutes / 10),
        level("lightly", minutes / 5),
        level("fairly", minutes / 4),
        level("very", minutes - minutes / 10 - minutes / 5 - minutes / 4),
    ])
}

fn zones(active_s: i64, calories: i64) -> Value {
    let zone = |name: &str, min: u32, max: u32, tenths: i64| {
        let minutes = active_s * tenths / 600;
        let out = number(round_to(float(calories * tenths) / 10.0, 2));
        json!({ "caloriesOut": out, "max": max, "min": min, "minutes": minutes, "name": name })
    };
    json!([
        zone("Out of Range", 30, 117, 2),
        zone("Fat Burn", 117, 142, 5),
        zone("Cardio", 142, 172, 2),
        zone("Peak", 172, 220, 1),
    ])
}

fn source(log_type: &str) -> Value {
    let phone = log_type == "mobile_run";
    json!({
        "id": if phone { "228VSR" } else { "38VSJR" },
        "name": if phone { "Fitbit for iOS" } else { "Charge 5" },
        "trackerFeatures": ["CALORIES", "DISTANCE", "GPS", "HEARTRATE", "PACE", "STEPS"],
        "type": if phone { "app" } else { "tracker" },
        "url": "https://www.fitbit.com/",
    })
}
