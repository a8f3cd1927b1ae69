//! Activities: recorded on a device, typed in by hand, or noticed by the device itself.

use serde_json::{Map, Value};

use super::sports::{self, Family, NOTICED, Sport};
use super::{Subject, put, put_some};
use crate::dice::Dice;
use crate::numbers::{float, round_to, rounded};

const DEVICES: [&str; 5] = ["forerunner965", "fenix 8", "edge 840", "venu 3", "vivoactive5"];

/// Recorded because its wearer pressed a button.
pub(super) fn recorded(subject: &Subject<'_>, dice: &mut Dice, fields: &mut Map<String, Value>) {
    let sport = sports::at(dice.below(100));
    let outing = begin(subject, dice, fields, sport);
    let mut device = Dice::new(subject.person.seed, super::stream(subject.of), u64::MAX);
    // Somebody who wears two devices.
    let name = if dice.chance(0.1) { dice.pick(&DEVICES) } else { device.pick(&DEVICES) };
    put(fields, "deviceName", name);
    if dice.chance(0.93) {
        let average = subject.person.easy_heart_rate + dice.between(-14.0, 30.0);
        put(fields, "averageHeartRateInBeatsPerMinute", rounded(average));
        let highest = rounded(average + dice.between(8.0, 30.0));
        put(fields, "maxHeartRateInBeatsPerMinute", highest);
    }
    if sport.outdoors {
        let place = subject.place();
        let near = |dice: &mut Dice, at: f64| round_to(at + dice.between(-0.035, 0.035), 6);
        put(fields, "startingLatitudeInDegree", near(dice, place.latitude));
        put(fields, "startingLongitudeInDegree", near(dice, place.longitude));
        let climb = round_to(outing.distance_m / 1000.0 * dice.between(1.0, 17.0), 2);
        put(fields, "totalElevationGainInMeters", climb);
        let descent = round_to(climb * dice.between(0.9, 1.1), 2);
        put(fields, "totalElevationLossInMeters", descent);
    }
    cadence(dice, fields, sport, outing.duration_s);
    put(fields, "isWebUpload", false);
}

/// Typed into the web site or the app: only what a person would type.
pub(super) fn typed_in(subject: &Subject<'_>, dice: &mut Dice, fields: &mut Map<String, Value>) {
    let sport = sports::at(dice.below(100));
    begin(subject, dice, fields, sport);
    put(fields, "deviceName", "unknown");
    put(fields, "manual", true);
    put(fields, "isWebUpload", dice.chance(0.5));
}

/// A span of a day with a label: nothing else is known of it.
pub(super) fn noticed(subject: &Subject<'_>, dice: &mut Dice, fields: &mut Map<String, Value>) {
    let (kind, finer) = dice.pick(&NOTICED);
    put(fields, "calendarDate", subject.date(subject.at).to_string());
    put(fields, "startTimeInSeconds", subject.at);
    // Here, and only here, it is called so.
    put(fields, "offsetInSeconds", subject.offset_s(subject.at));
    put(fields, "durationInSeconds", 60 * rounded(dice.between(10.0, 75.0)));
    put(fields, "activityType", kind);
    put(fields, "activitySubType", finer);
}

struct Outing {
    duration_s: i64,
    distance_m: f64,
}

fn begin(
    subject: &Subject<'_>,
    dice: &mut Dice,
    fields: &mut Map<String, Value>,
    sport: &Sport,
) -> Outing {
    let duration_s = rounded(dice.between(sport.minutes.0, sport.minutes.1) * 60.0);
    let speed = dice.between(sport.speed.0, sport.speed.1) * subject.person.pace;
    let distance_m = round_to(speed * float(duration_s), 2);
    let name = match sport.outdoors.then(|| subject.place().city) {
        Some(city) if !city.is_empty() => format!("{city} {}", sport.title),
        _ => sport.title.to_owned(),
    };
    put(fields, "activityId", subject.activity_id);
    put(fields, "activityName", name);
    let described =
        dice.chance(0.06).then(|| dice.pick(&["with Zoë ☀️", "旧中川", "easy, \"very\""]));
    put_some(fields, "activityDescription", described);
    put(fields, "activityType", sport.name);
    put(fields, "startTimeInSeconds", subject.at);
    put(fields, "startTimeOffsetInSeconds", subject.offset_s(subject.at));
    put(fields, "durationInSeconds", duration_s);
    let effort = subject.person.weight_kg / 70.0 * dice.between(6.0, 13.0);
    put(fields, "activeKilocalories", rounded(effort * float(duration_s) / 60.0));
    if distance_m > 0.0 {
        let pace = |speed: f64| round_to(1000.0 / speed / 60.0, 6);
        let fastest = speed * dice.between(1.15, 1.9);
        put(fields, "distanceInMeters", distance_m);
        put(fields, "averageSpeedInMetersPerSecond", round_to(speed, 3));
        put(fields, "averagePaceInMinutesPerKilometer", pace(speed));
        put(fields, "maxSpeedInMetersPerSecond", round_to(fastest, 3));
        put(fields, "maxPaceInMinutesPerKilometer", pace(fastest));
    }
    Outing { duration_s, distance_m }
}

fn cadence(dice: &mut Dice, fields: &mut Map<String, Value>, sport: &Sport, duration_s: i64) {
    match sport.family {
        Family::Foot => {
            let average = round_to(dice.between(150.0, 182.0), 4);
            put(fields, "averageRunCadenceInStepsPerMinute", average);
            let highest = round_to(average + dice.between(6.0, 40.0), 1);
            put(fields, "maxRunCadenceInStepsPerMinute", highest);
            put(fields, "steps", rounded(average * float(duration_s) / 60.0));
        }
        Family::Wheels => {
            let average = round_to(dice.between(68.0, 97.0), 1);
            put(fields, "averageBikeCadenceInRoundsPerMinute", average);
            let highest = round_to(average + dice.between(10.0, 40.0), 1);
            put(fields, "maxBikeCadenceInRoundsPerMinute", highest);
        }
        Family::Water => {
            let average = round_to(dice.between(22.0, 34.0), 1);
            put(fields, "averageSwimCadenceInStrokesPerMinute", average);
            let lengths = (!sport.outdoors).then(|| dice.below(80) + 10);
            put_some(fields, "numberOfActiveLengths", lengths);
        }
        Family::Other => {}
    }
}
