//! Days and nights. The same summary comes again while its day or night goes on, or is judged better.

use super::fields::{calendar_date, offset_s};
use crate::providers::{Unreadable, json::Fields};
use chrono::{DateTime, TimeDelta, Utc};
use paceline_shared::record::{DayKind, DaySummary, Record, Totals};
use rust_decimal::prelude::ToPrimitive as _;
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;

/// No day or night is longer, in seconds: what stands before it in a revision outweighs any of them.
const LONGEST_S: i64 = 1_000_000;

/// A day's totals grow with the part of it that they cover: a shorter one never replaces a longer one.
pub(super) fn daily_revision(fields: &Fields<'_>) -> Option<i64> {
    fields.count("durationInSeconds").ok().flatten().map(i64::from)
}

/// A night that is judged for good outweighs one that is not yet, and what the user corrected outweighs both; then the
/// longer one holds.
pub(super) fn sleep_revision(fields: &Fields<'_>) -> Option<i64> {
    let validation = fields.text("validation").ok().flatten();
    let rank = match validation.as_deref() {
        Some("MANUAL" | "AUTO_MANUAL" | "ENHANCED_MANUAL") => 3,
        Some("ENHANCED_FINAL") => 2,
        Some(word) if word.ends_with("TENTATIVE") => 0,
        // The device's own, for good; words to come are taken for that.
        Some(_) | None => 1,
    };
    let duration = i64::from(fields.count("durationInSeconds").ok()??);
    Some(rank * LONGEST_S + duration.min(LONGEST_S - 1))
}

/// A day's totals.
pub(super) fn daily(id: String, fields: &Fields<'_>) -> Result<Vec<Record>, Unreadable> {
    let active = fields.energy("activeKilocalories")?;
    let resting = fields.energy("bmrKilocalories")?;
    let moderate = fields.count("moderateIntensityDurationInSeconds")?;
    let vigorous = fields.count("vigorousIntensityDurationInSeconds")?;
    let totals = Totals {
        steps: fields.count("steps")?,
        distance_m: fields.quantity("distanceInMeters")?,
        floors: fields.count("floorsClimbed")?,
        active_energy_j: active,
        total_energy_j: active.zip(resting).map(|(active, resting)| active + resting),
        active_s: fields.count("activeTimeInSeconds")?,
        intense_s: sum(&[moderate, vigorous]),
        resting_heart_rate_bpm: fields.pulse("restingHeartRateInBeatsPerMinute")?,
        average_heart_rate_bpm: fields.pulse("averageHeartRateInBeatsPerMinute")?,
        max_heart_rate_bpm: fields.pulse("maxHeartRateInBeatsPerMinute")?,
        average_stress: stress(fields)?,
        ..Totals::default()
    };
    let (start, length) =
        (fields.instant("startTimeInSeconds")?, fields.count("durationInSeconds")?);
    let end = |(at, s): (DateTime<Utc>, i32)| at.checked_add_signed(TimeDelta::seconds(s.into()));
    let end = start.zip(length).and_then(end);
    let summary = summary(id, fields, DayKind::Activity, end, totals)?;
    Ok(vec![Record::Day(Box::new(DaySummary { revision: daily_revision(fields), ..summary }))])
}

/// A night, or a nap that Garmin took for one.
pub(super) fn sleep(id: String, fields: &Fields<'_>) -> Result<Vec<Record>, Unreadable> {
    let deep = fields.count("deepSleepDurationInSeconds")?;
    let light = fields.count("lightSleepDurationInSeconds")?;
    let rem = fields.count("remSleepInSeconds")?;
    let score = fields.object("overallSleepScore")?.number("value")?;
    let totals = Totals {
        asleep_s: sum(&[deep, light, rem]),
        awake_s: fields.count("awakeDurationInSeconds")?,
        light_s: light,
        deep_s: deep,
        rem_s: rem,
        sleep_score: score.and_then(|score| score.to_f32()).filter(|score| *score >= 0.0),
        ..Totals::default()
    };
    let provenance = match fields.text("validation")? {
        Some(word) => json!({ "validation": word }),
        None => json!({}),
    };
    let revision = sleep_revision(fields);
    let summary = summary(id, fields, DayKind::Sleep, woken(fields), totals)?;
    Ok(vec![Record::Day(Box::new(DaySummary { provenance, revision, ..summary }))])
}

/// When the last span of a night ended. Its duration does not tell: it leaves out what was spent awake.
fn woken(fields: &Fields<'_>) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Span {
        end_time_in_seconds: i64,
    }
    let levels = fields.raw("sleepLevelsMap")?.get();
    let levels: HashMap<String, Vec<Span>> = serde_json::from_str(levels).ok()?;
    let last = levels.into_values().flatten().map(|span| span.end_time_in_seconds).max()?;
    DateTime::from_timestamp(last, 0)
}

fn summary(
    record_id: String,
    fields: &Fields<'_>,
    kind: DayKind,
    end_at: Option<DateTime<Utc>>,
    totals: Totals,
) -> Result<DaySummary, Unreadable> {
    Ok(DaySummary {
        record_id,
        kind,
        day: calendar_date(fields)?,
        start_at: fields.instant("startTimeInSeconds")?,
        end_at,
        zone: None,
        utc_offset_s: offset_s(fields, "startTimeOffsetInSeconds")?,
        totals,
        provenance: json!({}),
        revision: None,
    })
}

/// Of those that are told; `None`: none is.
fn sum(parts: &[Option<i32>]) -> Option<i32> {
    parts.iter().flatten().copied().reduce(i32::saturating_add)
}

/// 1 to 100; what is below means that there was nothing to judge by.
fn stress(fields: &Fields<'_>) -> Result<Option<f32>, Unreadable> {
    let level = fields.number("averageStressLevel")?.and_then(|level| level.to_f32());
    Ok(level.filter(|level| *level >= 0.0))
}
