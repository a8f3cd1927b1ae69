//! Units: what the header `Accept-Language` makes of values that are kept metric.
//!
//! No header, or any language but the two, means metric; only the American one changes distances.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT_LANGUAGE;
use serde_json::value::{RawValue, to_raw_value};

use super::body::number;
use super::record::FitbitLog;
use crate::numbers::round_to;
use crate::patch::{Fields, read, text};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Units {
    /// Kilograms, kilometres.
    Metric,
    /// `en_US`: pounds, miles, feet.
    American,
    /// `en_GB`: stones, kilometres.
    British,
}

const POUNDS: f64 = 2.204_622_621_8;
const STONES: f64 = POUNDS / 14.0;
const MILES: f64 = 0.621_371_192;
const FEET: f64 = 3.280_839_895;

impl Units {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        match headers.get(ACCEPT_LANGUAGE).and_then(|language| language.to_str().ok()) {
            Some("en_US") => Self::American,
            Some("en_GB") => Self::British,
            _ => Self::Metric,
        }
    }

    /// The entry's text in these units. A field that is no number stays what it is.
    pub(super) fn told(self, log: FitbitLog, json: String) -> String {
        let factors: &[(&str, f64, u8)] = match (self, log) {
            (Self::American, FitbitLog::Weight) => &[("weight", POUNDS, 1)],
            (Self::British, FitbitLog::Weight) => &[("weight", STONES, 2)],
            (Self::American, FitbitLog::Activities) => &[
                ("distance", MILES, 6),
                ("speed", MILES, 6),
                ("pace", 1.0 / MILES, 6),
                ("elevationGain", FEET, 3),
            ],
            _ => return json,
        };
        let Ok(mut fields) = serde_json::from_str::<Fields>(&json) else { return json };
        for &(name, factor, digits) in factors {
            if let Some(value) = read::<f64>(&fields, name) {
                put(&mut fields, name, &number(round_to(value * factor, digits)));
            }
        }
        if read::<String>(&fields, "distanceUnit").as_deref() == Some("Kilometer") {
            put(&mut fields, "distanceUnit", &"Mile".into());
        }
        text(&fields).unwrap_or(json)
    }
}

fn put(fields: &mut Fields, name: &str, value: &serde_json::Value) {
    let raw: Result<Box<RawValue>, _> = to_raw_value(value);
    if let Ok(raw) = raw {
        fields.insert(name.to_owned(), raw);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_told_in_pounds_or_stones_and_distances_in_miles() {
        let weight = || r#"{"logId":7390523402893472801,"weight":73}"#.to_owned();
        let told = |units: Units| units.told(FitbitLog::Weight, weight());
        assert_eq!(told(Units::Metric), weight());
        assert_eq!(told(Units::American), r#"{"logId":7390523402893472801,"weight":160.9}"#);
        assert_eq!(told(Units::British), r#"{"logId":7390523402893472801,"weight":11.5}"#);
        let run = r#"{"distance":10,"distanceUnit":"Kilometer"}"#.to_owned();
        let miles = r#"{"distance":6.213712,"distanceUnit":"Mile"}"#;
        assert_eq!(Units::American.told(FitbitLog::Activities, run.clone()), miles);
        assert_eq!(Units::British.told(FitbitLog::Activities, run.clone()), run);
    }
}
