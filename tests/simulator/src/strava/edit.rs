//! Changing an activity's text field by field.
//!
//! Works on JSON text, not on types, so that a test can put anything into any field: a word for a
//! distance, a character that a database refuses. Must not know where activities are kept.

use std::collections::BTreeMap;

use chrono::DateTime;
use serde_json::value::RawValue;

use super::marks::{Mark, Marks};
use crate::places::nearest_city;

type Fields = BTreeMap<String, Box<RawValue>>;

/// Why an activity could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The patch is not a JSON object.
    #[error("a patch is a JSON object of fields")]
    NotAnObject(#[source] serde_json::Error),
    /// The patch names a field that identifies the activity.
    #[error("{0} is fixed")]
    Fixed(&'static str),
}

/// An activity as edited, and what counting must know about it.
#[derive(Debug)]
pub(super) struct Edit {
    pub(super) json: String,
    pub(super) sport_type: Option<String>,
    /// Unix seconds, when `start_date` is a time.
    pub(super) start: Option<i64>,
    position: Option<[f64; 2]>,
    manual: bool,
    private: bool,
}

impl Edit {
    pub(super) fn mark(&self, marks: &mut Marks) {
        marks.set(Mark::Located, self.position.is_some());
        let near = self.position.is_some_and(|[lat, lon]| nearest_city(lat, lon).1 < 25.0);
        marks.set(Mark::NearCity, near);
        marks.set(Mark::Manual, self.manual);
        marks.set(Mark::Private, self.private);
    }
}

pub(super) fn apply(json: &str, patch: &str) -> Result<Edit, EditError> {
    let mut fields: Fields = serde_json::from_str(json).map_err(EditError::NotAnObject)?;
    let patch: Fields = serde_json::from_str(patch).map_err(EditError::NotAnObject)?;
    for fixed in ["id", "athlete"] {
        if patch.contains_key(fixed) {
            return Err(EditError::Fixed(fixed));
        }
    }
    fields.extend(patch);
    let json = serde_json::to_string(&fields).map_err(EditError::NotAnObject)?;
    let start = read::<String>(&fields, "start_date")
        .and_then(|text| DateTime::parse_from_rfc3339(&text).ok())
        .map(|time| time.timestamp());
    Ok(Edit {
        json,
        sport_type: read(&fields, "sport_type"),
        start,
        position: read(&fields, "start_latlng"),
        manual: read(&fields, "manual").unwrap_or_default(),
        private: read(&fields, "private").unwrap_or_default(),
    })
}

/// The JSON of a list's activity with the fields that only its own page has.
pub(super) fn extend(
    json: &str,
    more: serde_json::Map<String, serde_json::Value>,
) -> Option<String> {
    let mut fields: Fields = serde_json::from_str(json).ok()?;
    for (name, value) in more {
        fields.insert(name, serde_json::value::to_raw_value(&value).ok()?);
    }
    serde_json::to_string(&fields).ok()
}

fn read<T: serde::de::DeserializeOwned>(fields: &Fields, name: &str) -> Option<T> {
    serde_json::from_str(fields.get(name)?.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIVITY: &str = r#"{"id":7,"name":"a","upload_id":987654321234567891234,"start_date":"2020-01-01T00:00:00Z","start_latlng":[52.5,13.4],"private":false}"#;

    #[test]
    fn a_patch_may_put_anything_anywhere_and_leaves_the_rest_as_it_was() {
        let edit = apply(ACTIVITY, r#"{"distance":"far","name":"\u0000","private":true}"#).unwrap();
        assert!(edit.json.contains("987654321234567891234"));
        assert!(edit.json.contains(r#""distance":"far""#));
        let mut marks = Marks::default();
        edit.mark(&mut marks);
        assert!(marks.has(Mark::Located) && marks.has(Mark::NearCity) && marks.has(Mark::Private));
    }

    #[test]
    fn a_position_taken_away_is_no_longer_counted() {
        let edit = apply(ACTIVITY, r#"{"start_latlng":[]}"#).unwrap();
        let mut marks = Marks::default();
        edit.mark(&mut marks);
        assert!(!marks.has(Mark::Located));
    }

    #[test]
    fn identity_cannot_be_patched() {
        assert!(matches!(apply(ACTIVITY, r#"{"id":8}"#), Err(EditError::Fixed("id"))));
        assert!(matches!(apply(ACTIVITY, "[]"), Err(EditError::NotAnObject(_))));
    }
}
