//! Times as Fitbit writes them: local, mostly without a zone.
//!
//! A wall time here is what a clock on the wall shows, as seconds since the epoch as if in UTC.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// Seconds that the zone's clocks are ahead of UTC at this instant.
pub(super) fn offset_s(zone: Tz, at: i64) -> i64 {
    let utc = DateTime::from_timestamp(at, 0).unwrap_or_default().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&utc).fix().local_minus_utc())
}

/// The wall time of an instant.
pub(super) fn of(zone: Tz, at: i64) -> i64 {
    at + offset_s(zone, at)
}

fn naive(wall: i64) -> NaiveDateTime {
    DateTime::from_timestamp(wall, 0).unwrap_or_default().naive_utc()
}

/// As in `2015-03-05`.
pub(super) fn date(wall: i64) -> String {
    naive(wall).format("%Y-%m-%d").to_string()
}

/// As in `23:59:59`.
pub(super) fn time(wall: i64) -> String {
    naive(wall).format("%H:%M:%S").to_string()
}

/// As in `2020-02-20T23:21:30.000`.
pub(super) fn both(wall: i64) -> String {
    naive(wall).format("%Y-%m-%dT%H:%M:%S.000").to_string()
}

/// As in `2019-01-03T12:08:29.000-08:00`.
pub(super) fn with_offset(zone: Tz, at: i64) -> String {
    let offset = offset_s(zone, at);
    let sign = if offset < 0 { '-' } else { '+' };
    let minutes = offset.abs() / 60;
    format!("{}{sign}{:02}:{:02}", both(at + offset), minutes / 60, minutes % 60)
}

/// As in `2019-01-04T19:31:15.000Z`.
pub(super) fn utc(at: i64) -> String {
    format!("{}Z", both(at))
}

/// Midnight of a day.
pub(super) fn midnight(date: NaiveDate) -> i64 {
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp()
}

/// Reads a local time, with or without fractions or an offset: what the wall shows.
pub(super) fn read(text: &str) -> Option<i64> {
    let with_offset = DateTime::parse_from_rfc3339(text).map(|time| time.naive_local());
    let time = with_offset.or_else(|_| text.parse::<NaiveDateTime>()).ok()?;
    Some(time.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_documented() {
        let at = 1_546_546_109;
        let zone = Tz::America__Los_Angeles;
        assert_eq!(with_offset(zone, at), "2019-01-03T12:08:29.000-08:00");
        assert_eq!(with_offset(Tz::Asia__Kathmandu, at), "2019-01-04T01:53:29.000+05:45");
        let wall = of(zone, at);
        assert_eq!((date(wall).as_str(), time(wall).as_str()), ("2019-01-03", "12:08:29"));
        assert_eq!(utc(at), "2019-01-03T20:08:29.000Z");
        for text in ["2019-01-03T12:08:29.000-08:00", "2019-01-03T12:08:29"] {
            assert_eq!(read(text), Some(wall));
        }
        assert_eq!(read("2019-01-03"), None);
    }
}
