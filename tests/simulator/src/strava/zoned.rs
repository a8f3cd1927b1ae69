//! A start as Strava tells it locally: local time, offset, and the label of its zone.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::{OffsetComponents, Tz};

/// A start in its zone. The label carries the zone's standard offset the year round, as Strava's
/// does, while `offset_s` is the one in force.
pub(super) struct Zoned {
    /// Seconds from the epoch to the time that a clock on the wall shows, read as if in UTC.
    pub(super) local: i64,
    pub(super) offset_s: i64,
    pub(super) label: String,
}

impl Zoned {
    pub(super) fn at(zone: Tz, at: i64) -> Self {
        let utc = DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
        let offset = zone.offset_from_utc_datetime(&utc);
        let offset_s = i64::from(offset.fix().local_minus_utc());
        let standard_min = offset.base_utc_offset().num_minutes();
        let sign = if standard_min < 0 { '-' } else { '+' };
        let (hours, minutes) = (standard_min.abs() / 60, standard_min.abs() % 60);
        let label = format!("(GMT{sign}{hours:02}:{minutes:02}) {}", zone.name());
        Self { local: at + offset_s, offset_s, label }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(zone: Tz, utc: &str) -> (i64, i64, String) {
        let at = utc.parse::<DateTime<chrono::Utc>>().unwrap().timestamp();
        let zoned = Zoned::at(zone, at);
        (zoned.local - at, zoned.offset_s, zoned.label)
    }

    #[test]
    fn the_label_keeps_the_standard_offset_while_the_time_follows_the_clocks() {
        // Strava's own example.
        let label = "(GMT-08:00) America/Los_Angeles".to_owned();
        let zone = Tz::America__Los_Angeles;
        assert_eq!(told(zone, "2018-05-02T12:15:09Z"), (-25_200, -25_200, label.clone()));
        assert_eq!(told(zone, "2018-01-02T12:15:09Z"), (-28_800, -28_800, label));
    }

    #[test]
    fn the_offset_changes_with_the_very_second_of_the_border() {
        let label = "(GMT+01:00) Europe/Berlin".to_owned();
        let zone = Tz::Europe__Berlin;
        assert_eq!(told(zone, "2024-03-31T00:59:59Z"), (3600, 3600, label.clone()));
        assert_eq!(told(zone, "2024-03-31T01:00:00Z"), (7200, 7200, label.clone()));
        assert_eq!(told(zone, "2024-10-27T00:59:59Z"), (7200, 7200, label.clone()));
        assert_eq!(told(zone, "2024-10-27T01:00:00Z"), (3600, 3600, label));
    }

    #[test]
    fn zones_off_the_hour_are_told_to_the_minute() {
        let label = "(GMT+05:45) Asia/Kathmandu".to_owned();
        assert_eq!(told(Tz::Asia__Kathmandu, "2024-06-01T00:00:00Z"), (20_700, 20_700, label));
        let label = "(GMT+03:30) Asia/Tehran".to_owned();
        assert_eq!(told(Tz::Asia__Tehran, "2021-06-01T00:00:00Z"), (16_200, 16_200, label));
    }
}
