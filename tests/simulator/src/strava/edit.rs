//! An activity as edited, and the facts that counting must know about it.
//!
//! Must not know where activities are kept.

use chrono::DateTime;

use super::marks::{Mark, Marks};
use crate::patch::{EditError, Fields, patched, read, text};
use crate::places::nearest_city;

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
    let fields = patched(json, patch, &["id", "athlete"])?;
    let json = text(&fields)?;
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
