//! A local day in sums. Its length is that of the day: 23 or 25 hours where the clocks change.

use serde_json::{Map, Value, json};

use super::{Subject, put, put_some};
use crate::calendar::instant;
use crate::dice::Dice;
use crate::numbers::{float, round_to, rounded};

pub(super) fn fill(subject: &Subject<'_>, dice: &mut Dice, fields: &mut Map<String, Value>) {
    let date = subject.date(subject.at);
    let next = date.succ_opt().unwrap_or(date);
    let whole_s = (instant(subject.place().zone, next, 0) - subject.at).clamp(3600, 93_600);
    // What had been seen by the first upload.
    let part = dice.between(0.3, 0.8);
    let part = if subject.tentative { part } else { 1.0 };
    let length_s = rounded(float(whole_s) * part);
    let mut sum = |low: f64, high: f64| rounded(dice.between(low, high) * part);

    let steps = sum(1_800.0, 17_000.0);
    let moderate_s = 60 * sum(0.0, 70.0);
    let vigorous_s = 60 * sum(0.0, 60.0);
    let low_s = 60 * sum(60.0, 300.0);
    let medium_s = 60 * sum(20.0, 160.0);
    let high_s = 60 * sum(0.0, 60.0);
    put(fields, "calendarDate", date.to_string());
    put(fields, "activityType", "WALKING");
    put(fields, "startTimeInSeconds", subject.at);
    put(fields, "startTimeOffsetInSeconds", subject.offset_s(subject.at));
    put(fields, "durationInSeconds", length_s);
    put(fields, "activeTimeInSeconds", sum(3_000.0, 18_000.0));
    put(fields, "steps", steps);
    put(fields, "pushes", 0);
    put(fields, "pushDistanceInMeters", 0.0);
    put(fields, "activeKilocalories", sum(80.0, 1_400.0));
    put(fields, "bmrKilocalories", rounded(subject.person.weight_kg * 24.0 * part));
    put(fields, "moderateIntensityDurationInSeconds", moderate_s);
    put(fields, "vigorousIntensityDurationInSeconds", vigorous_s);
    put(fields, "floorsClimbed", sum(0.0, 24.0));
    put(fields, "lowStressDurationInSeconds", low_s);
    put(fields, "mediumStressDurationInSeconds", medium_s);
    put(fields, "highStressDurationInSeconds", high_s);
    put(fields, "stressDurationInSeconds", low_s + medium_s + high_s);
    put(fields, "restStressDurationInSeconds", 60 * sum(200.0, 500.0));
    put(fields, "activityStressDurationInSeconds", 60 * sum(20.0, 200.0));
    put(fields, "bodyBatteryChargedValue", sum(20.0, 80.0));
    put(fields, "bodyBatteryDrainedValue", sum(20.0, 80.0));
    let stride_m = dice.between(0.68, 0.82);
    put(fields, "distanceInMeters", round_to(float(steps) * stride_m, 1));
    // Only for those who also keep a food diary elsewhere.
    put_some(fields, "consumedCalories", dice.chance(0.1).then(|| 1_200 + dice.below(1_500)));
    put_some(fields, "netKilocaloriesGoal", dice.chance(0.1).then_some(2_010));
    put(fields, "stepsGoal", 5_000 + 500 * dice.below(12));
    put(fields, "intensityDurationGoalInSeconds", 1_500);
    put(fields, "floorsClimbedGoal", 10);
    heart(subject, dice, fields, length_s);
    stress(dice, fields);
}

/// Days on which the sensor was off have none of it.
fn heart(subject: &Subject<'_>, dice: &mut Dice, fields: &mut Map<String, Value>, length_s: i64) {
    if !dice.chance(0.95) {
        return;
    }
    let resting = rounded(subject.person.easy_heart_rate * 0.36 + dice.between(0.0, 6.0));
    let lowest = resting - rounded(dice.between(1.0, 6.0));
    put(fields, "restingHeartRateInBeatsPerMinute", resting);
    put(fields, "minHeartRateInBeatsPerMinute", lowest);
    put(fields, "averageHeartRateInBeatsPerMinute", resting + rounded(dice.between(6.0, 22.0)));
    put(fields, "maxHeartRateInBeatsPerMinute", resting + rounded(dice.between(60.0, 120.0)));
    let mut samples = Map::new();
    for hour in 0..length_s / 3600 {
        let beats = resting + rounded(dice.between(-2.0, 45.0));
        samples.insert((hour * 3600).to_string(), json!(beats));
    }
    put(fields, "timeOffsetHeartRateSamples", samples);
}

fn stress(dice: &mut Dice, fields: &mut Map<String, Value>) {
    // -1: there was not enough to tell.
    let average = if dice.chance(0.04) { -1 } else { rounded(dice.between(15.0, 60.0)) };
    put(fields, "averageStressLevel", average);
    put(fields, "maxStressLevel", rounded(dice.between(60.0, 99.0)));
    let qualifiers = ["unknown", "calm", "balanced", "stressful", "very_stressful", "calm_awake"];
    put(fields, "stressQualifier", dice.pick(&qualifiers));
}
