//! A day on a calendar, as `2026-05-03`.

use chrono::{Datelike as _, NaiveDate};
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use std::fmt;

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(pub(crate) NaiveDate);

impl Day {
    fn read(text: &str) -> Option<Self> {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        // So that there is one way to write it: no signs, no blanks, no years of five digits.
        let is_plain = text.len() == 10
            && text.bytes().all(|b| b.is_ascii_digit() || b == b'-')
            && (1..=9999).contains(&day.year());
        is_plain.then_some(Self(day))
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Day;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a day, as 2026-05-03")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Day, E> {
                Day::read(text).ok_or_else(|| {
                    E::custom(format!("must be a day, as 2026-05-03, and is {text:?}"))
                })
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_in_one_way_and_exists() {
        assert_eq!(Day::read("2024-02-29").unwrap().0.ordinal(), 60);
        for text in [
            "",
            "2023-02-29",
            "2026-5-3",
            "+2026-05-03",
            "2026-05-03T00:00:00Z",
            "03.05.2026",
            "0000-01-01",
            " 026-05-03",
            "é026-05-3",
        ] {
            assert_eq!(Day::read(text), None, "{text}");
        }
    }
}
