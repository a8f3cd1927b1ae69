//! Sleeps: nights with their stages, older ones and naps in the classic form.
//!
//! Owns the values. Must not know how entries are kept.

use serde_json::{Map, Value, json};

use super::record::Record;
use super::walltime;
use crate::dice::Dice;
use crate::numbers::rounded;
use crate::person::Person;
use crate::places::PLACES;

const NIGHTS: u64 = 0x66_6e;
/// Trackers tell stages since then: the first of April 2017.
const STAGES_SINCE: i64 = 1_491_004_800;
/// Fitbit finds stages only in sleeps of three hours and more.
const STAGES_FROM_S: i64 = 10_800;

/// Marks the origin of a sleep by day.
pub(super) const NAP: u64 = 1 << 40;

/// Seconds in bed, a multiple of 30.
pub(super) fn length_s(person: &Person, origin: u64) -> i64 {
    let nap = origin & NAP != 0;
    let mut dice = Dice::new(person.seed, NIGHTS, origin);
    let (low, high) = if nap { (20.0, 95.0) } else { (300.0, 570.0) };
    rounded(dice.between(low, high) * 2.0) * 30
}

struct Span {
    level: &'static str,
    from_s: i64,
    seconds: i64,
}

/// An entry of the log of sleep.
pub(super) fn sleep(person: &Person, record: &Record) -> Value {
    let nap = record.origin & NAP != 0;
    let zone = PLACES[usize::from(record.place)].zone;
    let length = length_s(person, record.origin);
    let stages = record.at >= STAGES_SINCE && length >= STAGES_FROM_S;
    let mut dice = Dice::new(person.seed ^ 1, NIGHTS, record.origin);
    let spans = spans(&mut dice, length, stages);
    let tell = |span: &Span| {
        let at = walltime::of(zone, record.at + span.from_s);
        json!({ "dateTime": walltime::both(at), "level": span.level, "seconds": span.seconds })
    };
    let awake = if stages { "wake" } else { "awake" };
    let minutes = |level| {
        let of = spans.iter().filter(|span| span.level == level);
        of.map(|span| span.seconds).sum::<i64>() / 60
    };
    let minutes_awake = minutes(awake) + if stages { 0 } else { minutes("restless") };
    let in_bed = length / 60;
    let levels: &[&str] =
        if stages { &["deep", "light", "rem", "wake"] } else { &["asleep", "awake", "restless"] };
    let summary: Map<String, Value> = levels
        .iter()
        .map(|level| {
            let count = spans.iter().filter(|span| span.level == *level).count();
            let mut one = json!({ "count": count, "minutes": minutes(level) });
            if stages {
                one["thirtyDayAvgMinutes"] = (minutes(level) + 3).into();
            }
            ((*level).to_owned(), one)
        })
        .collect();
    let mut told =
        json!({ "data": spans.iter().map(tell).collect::<Vec<_>>(), "summary": summary });
    if stages {
        let short = Span { level: "wake", from_s: 2940, seconds: 30 };
        told["shortData"] = json!([tell(&short)]);
    }
    json!({
        "dateOfSleep": walltime::date(record.wall),
        "duration": length * 1000,
        "efficiency": 100 * (in_bed - minutes_awake) / in_bed.max(1),
        "endTime": walltime::both(record.wall),
        "infoCode": if stages || nap { 0 } else { 2 },
        "isMainSleep": !nap,
        "levels": told,
        "logId": record.log_id,
        "logType": if dice.chance(0.05) { "manual" } else { "auto_detected" },
        "minutesAfterWakeup": 0,
        "minutesAsleep": in_bed - minutes_awake,
        "minutesAwake": minutes_awake,
        "minutesToFallAsleep": 0,
        "startTime": walltime::both(walltime::of(zone, record.at)),
        "timeInBed": in_bed,
        "type": if stages { "stages" } else { "classic" },
    })
}

/// The whole time in bed without a hole.
fn spans(dice: &mut Dice, length: i64, stages: bool) -> Vec<Span> {
    let cycle: &[&str] = if stages {
        &["wake", "light", "deep", "light", "rem", "light"]
    } else {
        &["awake", "asleep", "restless", "asleep"]
    };
    let (mut spans, mut from_s) = (Vec::new(), 0);
    for level in cycle.iter().cycle() {
        if from_s >= length {
            break;
        }
        let most = if level.starts_with("wake") || *level == "restless" { 20.0 } else { 110.0 };
        let seconds = (rounded(dice.between(2.0, most)) * 30).min(length - from_s);
        spans.push(Span { level, from_s, seconds });
        from_s += seconds;
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_fill_the_time_in_bed_without_a_hole() {
        for (length, stages) in [(27_720, true), (1_800, false)] {
            let spans = spans(&mut Dice::new(1, 2, 3), length, stages);
            let mut next = 0;
            for span in &spans {
                assert_eq!(span.from_s, next);
                assert!(span.seconds > 0 && span.seconds % 30 == 0);
                next += span.seconds;
            }
            assert_eq!(next, length);
        }
    }
}
