//! Times and spans as a sentence has them.

use chrono::{DateTime, TimeDelta, Utc};

/// `2027-01-15 08:00:00 UTC`.
pub(super) fn at(time: DateTime<Utc>) -> String {
    time.format("%F %T UTC").to_string()
}

/// `12 s ago`.
pub(super) fn ago(span: TimeDelta) -> String {
    let s = span.num_seconds().max(0);
    match s {
        ..120 => format!("{s} s ago"),
        120..7_200 => format!("{} min ago", s / 60),
        7_200..172_800 => format!("{} h ago", s / 3_600),
        _ => format!("{} days ago", s / 86_400),
    }
}

/// Why a provider gives nothing, as the end of a sentence.
pub(super) fn cause(reason: &str, title: &str) -> String {
    match reason {
        "quota_exceeded" => format!("the calls that {title} allows are spent"),
        "rate_limit" => format!("{title} asked for fewer calls"),
        "sync_under_way" => "another sync of its user has the place".to_owned(),
        other => format!("of {other}"),
    }
}

/// `1 job`, `312 jobs`, `More than 10,000 jobs`.
pub(super) fn jobs(n: i64, counted: i64) -> String {
    match n {
        1 => "1 job".to_owned(),
        n if n > counted => format!("More than {} jobs", grouped(counted)),
        n => format!("{} jobs", grouped(n)),
    }
}

/// With a comma after each three digits.
pub(super) fn grouped(n: i64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_read_as_people_write_them() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(n), text);
        }
        assert_eq!(
            [1, 312, 10_000, 10_001].map(|n| jobs(n, 10_000)),
            ["1 job", "312 jobs", "10,000 jobs", "More than 10,000 jobs"]
        );
        for (s, text) in [
            (-5, "0 s ago"),
            (119, "119 s ago"),
            (120, "2 min ago"),
            (7_200, "2 h ago"),
            (200_000, "2 days ago"),
        ] {
            assert_eq!(ago(TimeDelta::seconds(s)), text);
        }
    }
}
