//! How durations and times are written on the command line.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use std::time::Duration;

/// A number with a unit: `250ms`, `5s`, `2m`, `1.5h`, `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration; write it as 250ms, 5s, 2m, 1h or 7d");
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.parse().map_err(|_not_a_number| wrong())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_too_long| wrong())
}

/// An instant: `2025-03-31`, `2025-03-31T07:30:00Z`, or Unix seconds. A date begins at midnight UTC.
pub(crate) fn instant(text: &str) -> Result<DateTime<Utc>, String> {
    let seconds = text.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let date = || text.parse::<NaiveDate>().ok().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    seconds.or_else(date).or_else(|| text.parse().ok()).ok_or_else(|| {
        format!(
            "{text:?} is no time; write it as 2025-03-31, 2025-03-31T07:30:00Z or in Unix seconds"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_hours(7 * 24)));
        for wrong in ["", "5", "s", "5 s", "-5s", "5 minutes", "1.2.3s", "99999999999999999999999d"]
        {
            assert!(duration(wrong).unwrap_err().contains("is no duration"), "{wrong}");
        }
    }

    #[test]
    fn a_time_is_a_date_an_instant_or_unix_seconds() {
        let wanted = instant("2025-03-31").unwrap();
        assert_eq!(wanted.to_rfc3339(), "2025-03-31T00:00:00+00:00");
        assert_eq!(instant("1743379200"), Ok(wanted));
        assert_eq!(instant("2025-03-31T02:00:00+02:00"), Ok(wanted));
        assert!(instant("yesterday").unwrap_err().contains("is no time"));
        assert!(instant("2025-02-30").is_err());
    }
}
