//! A whole number between two bounds, both included.

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, Visitor},
};
use std::fmt;

/// From `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Bounded<const MIN: i16, const MAX: i16>(i16);

impl<const MIN: i16, const MAX: i16> Bounded<MIN, MAX> {
    pub(crate) const fn value(self) -> i16 {
        self.0
    }
}

impl<'de, const MIN: i16, const MAX: i16> Deserialize<'de> for Bounded<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Within<const MIN: i16, const MAX: i16>;
        impl<const MIN: i16, const MAX: i16> Visitor<'_> for Within<MIN, MAX> {
            type Value = Bounded<MIN, MAX>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {MIN} to {MAX}")
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                i16::try_from(number)
                    .ok()
                    .filter(|number| (MIN..=MAX).contains(number))
                    .map(Bounded)
                    .ok_or_else(|| {
                        E::custom(format!("must be from {MIN} to {MAX}, and is {number}"))
                    })
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
        // In a query all is text; only a reader that is told so reads a number from it.
        deserializer.deserialize_i64(Within::<MIN, MAX>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_between_the_bounds_are_taken() {
        let read =
            |json: &str| serde_json::from_str::<Bounded<1, 200>>(json).map_err(|e| e.to_string());
        assert_eq!(read("1").unwrap().value(), 1);
        assert_eq!(read("200").unwrap().value(), 200);
        assert_eq!(read("0").unwrap_err(), "must be from 1 to 200, and is 0 at line 1 column 1");
        for (json, why) in [
            ("201", "and is 201"),
            ("-1", "and is -1"),
            ("70000", "and is 70000"),
            ("18446744073709551615", "must be from 1 to 200"),
            ("1.0", "expected a whole number from 1 to 200"),
            ("\"5\"", "expected a whole number from 1 to 200"),
            ("null", "expected a whole number from 1 to 200"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(why), "{json}: {error}");
        }
    }
}
