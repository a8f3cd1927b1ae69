//! Fitbit's activities. The only records of Fitbit's whose times have an offset.

use super::{Fields, Glance, Profile, Unreadable, odd};
use chrono::{DateTime, FixedOffset, NaiveDateTime};
use paceline_shared::activity::Activity;
use rust_decimal::prelude::ToPrimitive as _;

/// Metres of a mile (international yard and pound agreement, 1959).
const MILE_M: f64 = 1_609.344;

pub(super) fn start(raw: &str) -> Option<DateTime<FixedOffset>> {
    let fields = Fields::of(raw).ok()?;
    DateTime::parse_from_rfc3339(&fields.text("startTime").ok()??).ok()
}

pub(super) fn glance(raw: &str) -> Glance {
    let Ok(fields) = Fields::of(raw) else { return Glance::default() };
    Glance {
        record_id: fields.id("logId"),
        sport_type: fields.text("activityName").ok().flatten().map(Into::into),
        // The list has no positions, so there is no weather to ask for.
        ..Glance::default()
    }
}

/// An activity in full.
pub(super) fn read(raw: &str, profile: &Profile) -> Result<Activity, Unreadable> {
    let fields = Fields::of(raw)?;
    let began = start(raw).ok_or_else(|| odd("startTime"))?;
    let name = fields.text("activityName")?.unwrap_or_default().into_owned();
    let scale = match fields.text("distanceUnit")?.as_deref() {
        Some("Mile") => MILE_M,
        Some("Kilometer") | None => 1_000.0,
        Some(_) => return Err(odd("distanceUnit")),
    };
    let distance_m = fields.quantity("distance")?.map(|distance| distance * scale);
    let seconds = |name| -> Result<Option<i32>, Unreadable> {
        Ok(fields.whole(name)?.and_then(|ms| i32::try_from(ms / 1_000).ok()).filter(|s| *s >= 0))
    };
    let local: NaiveDateTime = began.naive_local();
    let moving_time_s = seconds("activeDuration")?;
    let average_speed_mps = match (distance_m, moving_time_s) {
        #[expect(clippy::cast_possible_truncation, reason = "metres a second")]
        (Some(distance), Some(time)) if time > 0 => Some((distance / f64::from(time)) as f32),
        _ => None,
    };
    Ok(Activity {
        record_id: fields.id("logId").ok_or_else(|| odd("logId"))?,
        sport_type: if name.is_empty() { return Err(odd("activityName")) } else { name.clone() },
        name,
        distance_m,
        moving_time_s,
        elapsed_time_s: seconds("duration")?,
        elevation_gain_m: fields.number("elevationGain")?.and_then(|gain| gain.to_f32()),
        average_speed_mps,
        max_speed_mps: None,
        average_heart_rate_bpm: fields.pulse("averageHeartRate")?,
        max_heart_rate_bpm: None,
        start_at: began.to_utc(),
        start_local: local,
        zone: profile.zone_of(began),
        utc_offset_s: Some(began.offset().local_minus_utc()),
        start: None,
        end: None,
        energy_j: fields.energy("calories")?,
        steps: fields.count("steps")?,
        upstream: None,
        revision: fields
            .text("lastModified")?
            .and_then(|text| DateTime::parse_from_rfc3339(&text).ok())
            .map(|at| at.timestamp_millis()),
    })
}
