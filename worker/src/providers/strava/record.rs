//! What Strava's JSON says about an activity.
//!
//! Every field is taken as raw text first, so that a number beyond 64 bits in a field that nobody
//! needs, or an odd type in one, harms nothing else.

use crate::providers::{Glance, Item, Unreadable};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use paceline_shared::activity::{Activity, Position, Upstream};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// No zone was ever further from UTC than this.
const FARTHEST_OFFSET_S: f64 = 18.0 * 3600.0;

/// The fields that decide where and when; others are left where they are.
#[derive(Default, Deserialize)]
struct Brief<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    sport_type: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    older_type: Option<&'a RawValue>,
    #[serde(borrow)]
    start_date: Option<&'a RawValue>,
    #[serde(borrow)]
    start_latlng: Option<&'a RawValue>,
}

/// Everything that is mapped.
#[derive(Deserialize)]
struct Full<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    sport_type: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    older_type: Option<&'a RawValue>,
    #[serde(borrow)]
    distance: Option<&'a RawValue>,
    #[serde(borrow)]
    moving_time: Option<&'a RawValue>,
    #[serde(borrow)]
    elapsed_time: Option<&'a RawValue>,
    #[serde(borrow)]
    total_elevation_gain: Option<&'a RawValue>,
    #[serde(borrow)]
    average_speed: Option<&'a RawValue>,
    #[serde(borrow)]
    max_speed: Option<&'a RawValue>,
    #[serde(borrow)]
    average_heartrate: Option<&'a RawValue>,
    #[serde(borrow)]
    max_heartrate: Option<&'a RawValue>,
    #[serde(borrow)]
    start_date: Option<&'a RawValue>,
    #[serde(borrow)]
    start_date_local: Option<&'a RawValue>,
    #[serde(borrow)]
    timezone: Option<&'a RawValue>,
    #[serde(borrow)]
    utc_offset: Option<&'a RawValue>,
    #[serde(borrow)]
    start_latlng: Option<&'a RawValue>,
    #[serde(borrow)]
    end_latlng: Option<&'a RawValue>,
    #[serde(borrow)]
    external_id: Option<&'a RawValue>,
}

/// The items of a page, in order. Fails only when the body is no array, which
/// [`Strava::page`](super::Strava::page) has checked.
pub fn items(body: &[u8]) -> Result<Vec<Item<'_>>, Unreadable> {
    let items: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| Unreadable(format!("a page that is no array: {error}")))?;
    Ok(items.into_iter().map(|raw| Item { raw: raw.get(), glance: glance(raw.get()) }).collect())
}

fn glance(raw: &str) -> Glance {
    let brief: Brief<'_> = object(raw).unwrap_or_default();
    Glance {
        record_id: brief.id.and_then(id),
        sport_type: sport_type(brief.sport_type, brief.older_type),
        start_at: brief.start_date.and_then(instant),
        start: brief.start_latlng.and_then(position),
        distinct: None,
    }
}

/// An activity in full.
///
/// Unreadable: no id, sport or start, no way to tell the local time, or another JSON type where a
/// number or text belongs. Absent and kept: a position that is none or not on Earth, a number that
/// cannot be (negative, or beyond what the canonical field holds), a zone that does not exist.
pub fn read(raw: &str) -> Result<Activity, Unreadable> {
    let full: Full<'_> = object(raw)?;
    let start_at = full.start_date.and_then(instant).ok_or_else(|| odd("start_date"))?;
    let zone = full.timezone.and_then(zone);
    let given_offset = number(full.utc_offset, "utc_offset")?.and_then(offset);
    let start_local = match full.start_date_local {
        Some(raw) => local(raw).ok_or_else(|| odd("start_date_local"))?,
        None => match (given_offset, zone) {
            (Some(offset), _) => start_at.naive_utc() + TimeDelta::seconds(offset.into()),
            (None, Some(zone)) => start_at.with_timezone(&zone).naive_local(),
            (None, None) => return Err(odd("start_date_local")),
        },
    };
    let seconds_east = (start_local - start_at.naive_utc()).as_seconds_f64();
    Ok(Activity {
        record_id: full.id.and_then(id).ok_or_else(|| odd("id"))?,
        name: text(full.name, "name")?.unwrap_or_default(),
        sport_type: sport_type(full.sport_type, full.older_type)
            .ok_or_else(|| odd("sport_type"))?,
        distance_m: measure(full.distance, "distance")?,
        moving_time_s: seconds(full.moving_time, "moving_time")?,
        elapsed_time_s: seconds(full.elapsed_time, "elapsed_time")?,
        elevation_gain_m: single(full.total_elevation_gain, "total_elevation_gain")?,
        average_speed_mps: single(full.average_speed, "average_speed")?,
        max_speed_mps: single(full.max_speed, "max_speed")?,
        average_heart_rate_bpm: pulse(full.average_heartrate, "average_heartrate")?,
        max_heart_rate_bpm: pulse(full.max_heartrate, "max_heartrate")?,
        start_at,
        start_local,
        zone: zone.map(|zone| zone.name().to_owned()),
        utc_offset_s: given_offset.or_else(|| offset(seconds_east)),
        start: full.start_latlng.and_then(position),
        end: full.end_latlng.and_then(position),
        // Only the detailed activity has them.
        energy_j: None,
        steps: None,
        upstream: full.external_id.and_then(upstream),
        revision: None,
    })
}

/// Reads an object; serde alone would take an array for one, field by field.
fn object<'a, T: Deserialize<'a>>(raw: &'a str) -> Result<T, Unreadable> {
    if !raw.trim_start().starts_with('{') {
        return Err(Unreadable("no object".to_owned()));
    }
    serde_json::from_str(raw).map_err(|error| Unreadable(format!("no activity: {error}")))
}

/// Garmin's uploads name the activity as `garmin_push_<id>` or `garmin_ping_<id>`. For a few weeks of 2015 a start
/// time stood there instead; files have their name.
fn upstream(raw: &RawValue) -> Option<Upstream> {
    let text = string(raw)?;
    let id = text.strip_prefix("garmin_push_").or_else(|| text.strip_prefix("garmin_ping_"))?;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    is_id.then(|| Upstream { provider: "garmin".to_owned(), record_id: Some(id.to_owned()) })
}

fn odd(field: &str) -> Unreadable {
    Unreadable(format!("{field} is missing or odd"))
}

fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let token = raw.get();
    // Borrowed unless something in it is escaped.
    let plain = serde_json::from_str(token).map(Cow::Borrowed);
    plain.or_else(|_e| serde_json::from_str(token).map(Cow::Owned)).ok()
}

/// An id as text, whether it came as a whole number, of any size, or as text.
pub(super) fn id(raw: &RawValue) -> Option<String> {
    let token = raw.get();
    if token.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(token.to_owned());
    }
    string(raw).filter(|id| !id.is_empty()).map(Cow::into_owned)
}

/// The sport in its newer or its older field; any word will do, Strava adds new ones.
fn sport_type(newer: Option<&RawValue>, older: Option<&RawValue>) -> Option<String> {
    let word = |raw| string(raw).filter(|word| !word.is_empty()).map(Cow::into_owned);
    newer.and_then(word).or_else(|| older.and_then(word))
}

fn instant(raw: &RawValue) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc3339(&string(raw)?).ok()?.to_utc())
}

/// A wall-clock time. Strava writes a `Z` behind it that means nothing.
fn local(raw: &RawValue) -> Option<NaiveDateTime> {
    let text = string(raw)?;
    let zoned = DateTime::parse_from_rfc3339(&text).map(|time| time.naive_local());
    zoned.or_else(|_e| text.parse()).ok()
}

/// The zone in `(GMT-08:00) America/Los_Angeles`. The offset in it ignores daylight saving.
fn zone(raw: &RawValue) -> Option<chrono_tz::Tz> {
    string(raw)?.rsplit(' ').next()?.parse().ok()
}

#[expect(clippy::cast_possible_truncation, reason = "at most 18 hours of seconds")]
fn offset(seconds: f64) -> Option<i32> {
    (seconds.abs() <= FARTHEST_OFFSET_S).then(|| seconds.round() as i32)
}

/// `[latitude, longitude]`; `null`, `[]` and whatever is not on Earth are no position.
fn position(raw: &RawValue) -> Option<Position> {
    let [lat, lon]: [f64; 2] = serde_json::from_str(raw.get()).ok()?;
    Position::on_earth(lat, lon)
}

fn text(raw: Option<&RawValue>, field: &str) -> Result<Option<String>, Unreadable> {
    raw.map(|raw| string(raw).map(Cow::into_owned).ok_or_else(|| odd(field))).transpose()
}

/// A finite number, however it is written; `None` for `null` and for what no `f64` holds.
fn number(raw: Option<&RawValue>, field: &str) -> Result<Option<f64>, Unreadable> {
    let Some(token) = raw.map(RawValue::get) else { return Ok(None) };
    if !token.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
        return Err(odd(field));
    }
    Ok(token.parse().ok().filter(|number: &f64| number.is_finite()))
}

/// A number that is not negative.
fn measure(raw: Option<&RawValue>, field: &str) -> Result<Option<f64>, Unreadable> {
    Ok(number(raw, field)?.filter(|number| *number >= 0.0))
}

#[expect(clippy::cast_possible_truncation, reason = "what becomes infinite is dropped")]
fn single(raw: Option<&RawValue>, field: &str) -> Result<Option<f32>, Unreadable> {
    Ok(measure(raw, field)?.map(|number| number as f32).filter(|number| number.is_finite()))
}

/// Beats per minute; 0 is what a device without a strap sends.
fn pulse(raw: Option<&RawValue>, field: &str) -> Result<Option<f32>, Unreadable> {
    Ok(single(raw, field)?.filter(|beats| *beats > 0.0))
}

#[expect(clippy::cast_possible_truncation, reason = "checked against the range before")]
fn seconds(raw: Option<&RawValue>, field: &str) -> Result<Option<i32>, Unreadable> {
    Ok(measure(raw, field)?
        .map(f64::round)
        .filter(|seconds| *seconds <= f64::from(i32::MAX))
        .map(|seconds| seconds as i32))
}
