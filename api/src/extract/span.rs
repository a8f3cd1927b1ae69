//! A span of time as people write it: a whole number and a unit, as in `15m`.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};
use std::{fmt, time::Duration};

/// The longest span: what is older is older than all that is kept.
const LONGEST: Duration = Duration::from_hours(24 * 3_660);

/// Seconds, minutes, hours or days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    length: Duration,
    /// As it was written.
    text: String,
}

impl Span {
    pub(crate) const fn length(&self) -> Duration {
        self.length
    }

    fn read(text: &str) -> Option<Self> {
        let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit_s = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let length = Duration::from_secs(digits.parse::<u64>().ok()?.checked_mul(unit_s)?);
        (length > Duration::ZERO && length <= LONGEST)
            .then(|| Self { length, text: text.to_owned() })
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a span of time, as 30s, 15m, 2h or 7d")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
                Span::read(text).ok_or_else(|| {
                    E::custom(format!(
                        "must be a span of time, as 30s, 15m, 2h or 7d, and is {text:?}"
                    ))
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
    fn a_span_is_a_number_and_a_unit_and_nothing_else() {
        let read = |text: &str| Span::read(text).map(|span| span.length().as_secs());
        assert_eq!(
            ["30s", "15m", "2h", "7d"].map(read),
            [Some(30), Some(900), Some(7_200), Some(604_800)]
        );
        for text in [
            "",
            "m",
            "15",
            "15 m",
            "-5m",
            "+5m",
            "1.5h",
            "5w",
            "0s",
            "é",
            "99999999999999999999d",
            "4000d",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        let written: Span = serde_json::from_str("\"15m\"").unwrap();
        assert_eq!(serde_json::to_string(&written).unwrap(), "\"15m\"");
    }
}
