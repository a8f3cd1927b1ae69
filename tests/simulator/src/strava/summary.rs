//! The wire form of an activity in a list: Strava's `SummaryActivity`, every documented field.
//!
//! Owns names, order, and which fields are null, empty or absent when there is nothing to say.
//! Must not know how values come about.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, Timelike};
use serde::{Serialize, Serializer};

#[derive(Debug, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "the wire form has them")]
pub(super) struct SummaryActivity<'a> {
    pub(super) resource_state: u8,
    pub(super) athlete: MetaAthlete,
    pub(super) name: Cow<'a, str>,
    pub(super) distance: f64,
    pub(super) moving_time: i64,
    pub(super) elapsed_time: i64,
    pub(super) total_elevation_gain: f64,
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) sport_type: &'a str,
    pub(super) workout_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device_name: Option<&'a str>,
    pub(super) id: u64,
    pub(super) start_date: Stamp,
    pub(super) start_date_local: Stamp,
    pub(super) timezone: String,
    pub(super) utc_offset: f64,
    pub(super) location_city: Option<&'a str>,
    pub(super) location_state: Option<&'a str>,
    pub(super) location_country: Option<&'a str>,
    pub(super) achievement_count: u64,
    pub(super) kudos_count: u64,
    pub(super) comment_count: u64,
    pub(super) athlete_count: u64,
    pub(super) photo_count: u64,
    pub(super) map: PolylineMap,
    pub(super) trainer: bool,
    pub(super) commute: bool,
    pub(super) manual: bool,
    pub(super) private: bool,
    pub(super) visibility: &'a str,
    pub(super) flagged: bool,
    pub(super) gear_id: Option<&'a str>,
    pub(super) start_latlng: Position,
    pub(super) end_latlng: Position,
    pub(super) average_speed: f64,
    pub(super) max_speed: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) average_cadence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) average_temp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) average_watts: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_watts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weighted_average_watts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device_watts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kilojoules: Option<f64>,
    pub(super) has_heartrate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) average_heartrate: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) max_heartrate: Option<f64>,
    pub(super) heartrate_opt_out: bool,
    pub(super) display_hide_heartrate_option: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) elev_high: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) elev_low: Option<f64>,
    /// Wider than any integer type that clients use: Strava documents one of 21 digits.
    pub(super) upload_id: Option<u128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upload_id_str: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) from_accepted_tag: bool,
    pub(super) pr_count: u64,
    pub(super) total_photo_count: u64,
    pub(super) has_kudoed: bool,
    pub(super) hide_from_home: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) suffer_score: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct MetaAthlete {
    pub(super) id: u64,
    pub(super) resource_state: u8,
}

#[derive(Debug, Serialize)]
pub(super) struct PolylineMap {
    pub(super) id: String,
    /// Null for some activities without a track, empty for others.
    pub(super) summary_polyline: Option<String>,
    pub(super) resource_state: u8,
}

/// A position, or one of the two ways in which Strava says that there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Position {
    At(f64, f64),
    Empty,
    Null,
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(latitude, longitude) => [latitude, longitude].serialize(serializer),
            Self::Empty => serializer.collect_seq(std::iter::empty::<f64>()),
            Self::Null => serializer.serialize_none(),
        }
    }
}

/// Seconds since the epoch, printed as `2018-05-02T12:15:09Z`: the Z is printed whatever the zone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(pub(super) i64);

impl Stamp {
    fn text(self) -> [u8; 20] {
        let mut text = *b"0000-00-00T00:00:00Z";
        let time = DateTime::from_timestamp(self.0, 0).unwrap_or_default();
        let year = time.year().unsigned_abs();
        put(&mut text[0..2], year / 100);
        put(&mut text[2..4], year % 100);
        put(&mut text[5..7], time.month());
        put(&mut text[8..10], time.day());
        put(&mut text[11..13], time.hour());
        put(&mut text[14..16], time.minute());
        put(&mut text[17..19], time.second());
        text
    }
}

fn put(place: &mut [u8], two_digits: u32) {
    let digit = |value: u32| b'0' + u8::try_from(value % 10).unwrap_or(0);
    place[0] = digit(two_digits / 10);
    place[1] = digit(two_digits);
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_strava_prints_them() {
        let text = |seconds| serde_json::to_string(&Stamp(seconds)).unwrap();
        assert_eq!(text(1_525_263_309), "\"2018-05-02T12:15:09Z\"");
        assert_eq!(text(951_782_399), "\"2000-02-28T23:59:59Z\"");
    }

    #[test]
    fn a_missing_position_is_an_empty_list_or_null() {
        let text = |position| serde_json::to_string(&position).unwrap();
        assert_eq!(text(Position::Empty), "[]");
        assert_eq!(text(Position::Null), "null");
        assert_eq!(text(Position::At(52.5, -0.25)), "[52.5,-0.25]");
    }
}
