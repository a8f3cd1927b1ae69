//! A night: its date is that of waking up, its duration leaves the waking minutes out.

use serde_json::{Map, Value, json};

use super::{Subject, put};
use crate::dice::Dice;
use crate::numbers::{float, round_to, rounded};

const LEVELS: [&str; 4] = ["light", "deep", "rem", "awake"];

pub(super) fn fill(subject: &Subject<'_>, dice: &mut Dice, fields: &mut Map<String, Value>) {
    let spans = spans(subject, dice);
    let end = spans.last().map_or(subject.at, |span| span.end);
    let of = |level: &str| -> i64 {
        spans.iter().filter(|span| span.level == level).map(|span| span.end - span.start).sum()
    };
    let asleep_s = of("light") + of("deep") + of("rem");
    put(fields, "calendarDate", subject.date(end).to_string());
    put(fields, "startTimeInSeconds", subject.at);
    put(fields, "startTimeOffsetInSeconds", subject.offset_s(subject.at));
    put(fields, "durationInSeconds", asleep_s);
    put(fields, "totalNapDurationInSeconds", 0);
    put(fields, "unmeasurableSleepInSeconds", 60 * dice.below(6));
    put(fields, "deepSleepDurationInSeconds", of("deep"));
    put(fields, "lightSleepDurationInSeconds", of("light"));
    // Named unlike its neighbours by Garmin.
    put(fields, "remSleepInSeconds", of("rem"));
    put(fields, "awakeDurationInSeconds", of("awake"));
    let validation = match (subject.tentative, dice.chance(0.06)) {
        (true, _) => "ENHANCED_TENTATIVE",
        (false, true) => "AUTO_MANUAL",
        (false, false) => "ENHANCED_FINAL",
    };
    put(fields, "validation", validation);
    let mut levels = Map::new();
    for level in LEVELS {
        let told = spans.iter().filter(|span| span.level == level);
        let told = told
            .map(|span| json!({ "startTimeInSeconds": span.start, "endTimeInSeconds": span.end }));
        levels.insert(level.to_owned(), told.collect());
    }
    put(fields, "sleepLevelsMap", levels);
    let mut breaths = Map::new();
    let mut oxygen = Map::new();
    for hour in 0..(end - subject.at) / 3600 {
        let offset_s = (hour * 3600).to_string();
        breaths.insert(offset_s.clone(), json!(round_to(dice.between(11.0, 17.0), 2)));
        oxygen.insert(offset_s, json!(rounded(dice.between(90.0, 99.0))));
    }
    put(fields, "timeOffsetSleepRespiration", breaths);
    put(fields, "timeOffsetSleepSpo2", oxygen);
    if !subject.tentative {
        scores(dice, fields, asleep_s);
    }
    put(fields, "naps", json!([]));
}

/// A tentative night has no scores yet.
fn scores(dice: &mut Dice, fields: &mut Map<String, Value>, asleep_s: i64) {
    let value = rounded(float(asleep_s) / 360.0 + dice.between(-8.0, 8.0)).clamp(10, 99);
    let qualifier = match value {
        90.. => "EXCELLENT",
        80..90 => "GOOD",
        60..80 => "FAIR",
        _ => "POOR",
    };
    put(fields, "overallSleepScore", json!({ "value": value, "qualifierKey": qualifier }));
    let mut parts = Map::new();
    for part in [
        "totalDuration",
        "stress",
        "awakeCount",
        "remPercentage",
        "restlessness",
        "lightPercentage",
        "deepPercentage",
    ] {
        let key = dice.pick(&["EXCELLENT", "GOOD", "FAIR", "POOR"]);
        parts.insert(part.to_owned(), json!({ "qualifierKey": key }));
    }
    put(fields, "sleepScores", parts);
}

struct Span {
    level: &'static str,
    start: i64,
    end: i64,
}

/// Cycles of light, deep, light and dreaming sleep; a first upload knows of fewer.
fn spans(subject: &Subject<'_>, dice: &mut Dice) -> Vec<Span> {
    let cycles = 3 + dice.below(3);
    let known = if subject.tentative { cycles - 1 } else { cycles };
    let mut spans = Vec::new();
    let mut at = subject.at;
    for _ in 0..known {
        for (level, low, high, chance) in [
            ("light", 18.0, 40.0, 1.0),
            ("deep", 8.0, 30.0, 0.9),
            ("light", 12.0, 30.0, 1.0),
            ("rem", 8.0, 30.0, 0.85),
            ("awake", 1.0, 9.0, 0.4),
        ] {
            // Drawn also when it is not there, so that both uploads share what they have in common.
            let (there, minutes) = (dice.chance(chance), rounded(dice.between(low, high)));
            if there {
                spans.push(Span { level, start: at, end: at + 60 * minutes });
                at += 60 * minutes;
            }
        }
    }
    spans
}
