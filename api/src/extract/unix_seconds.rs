//! An instant in Unix seconds: a whole number, and none that can only be milliseconds.

use chrono::{DateTime, Utc};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Visitor},
};
use std::fmt;

/// The first number that is taken for milliseconds: as seconds it lies in the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub(crate) struct UnixSeconds(i64);

impl UnixSeconds {
    fn of(seconds: i64) -> Result<Self, String> {
        match seconds {
            ..0 => Err(format!("must not be negative, and is {seconds}")),
            MILLISECONDS_FROM.. => Err(format!(
                "must be Unix seconds, and {seconds} looks like milliseconds: divide it by 1000"
            )),
            _ => Ok(Self(seconds)),
        }
    }

    pub(crate) fn instant(self) -> DateTime<Utc> {
        // All that `of` lets through is a date.
        DateTime::from_timestamp(self.0, 0).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl<'de> Deserialize<'de> for UnixSeconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = UnixSeconds;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("Unix seconds, a whole number")
            }
            fn visit_i64<E: Error>(self, seconds: i64) -> Result<UnixSeconds, E> {
                UnixSeconds::of(seconds).map_err(E::custom)
            }
            fn visit_u64<E: Error>(self, seconds: u64) -> Result<UnixSeconds, E> {
                self.visit_i64(i64::try_from(seconds).unwrap_or(i64::MAX))
            }
        }
        // In a query all is text; only a reader that is told so reads a number from it.
        deserializer.deserialize_i64(Seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<UnixSeconds, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn seconds_are_taken_and_all_else_is_named_for_what_it_is() {
        assert_eq!(read("1735689600").unwrap().instant().to_rfc3339(), "2025-01-01T00:00:00+00:00");
        assert_eq!(read("0").unwrap().instant(), DateTime::UNIX_EPOCH);
        assert!(read("1735689600000").unwrap_err().contains("looks like milliseconds"));
        assert!(read("99999999999999999999").unwrap_err().contains("Unix seconds"));
        assert!(read("-1").unwrap_err().contains("must not be negative"));
        assert!(read("1.5").unwrap_err().contains("expected Unix seconds, a whole number"));
        assert!(read("\"2025-01-01\"").unwrap_err().contains("expected Unix seconds"));
    }
}
