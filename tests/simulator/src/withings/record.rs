//! One record as Withings holds it: its JSON, and the little that lists are asked by.
//!
//! Records are text, so that an edit may put anything anywhere. Must not know how records come about.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::patch::{self, EditError, Fields};

/// The lists of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithingsKind {
    /// Groups of measures: weighings, blood pressures and the like.
    Measures,
    /// One summary a day.
    Activity,
    /// Workouts.
    Workouts,
    /// Nights, and now and then a nap.
    Sleep,
}

impl WithingsKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Measures, Self::Activity, Self::Workouts, Self::Sleep];

    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// Fields that tell a record from others, and so cannot be edited.
    const fn fixed(self) -> &'static [&'static str] {
        match self {
            Self::Measures => &["grpid"],
            Self::Activity => &["date"],
            Self::Workouts | Self::Sleep => &["id"],
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Record {
    /// When it was taken or began; Unix seconds, 0 where an edit left no such thing.
    pub(super) at: i64,
    /// The local day it is listed under; measures have none.
    pub(super) day: Option<NaiveDate>,
    /// Unix seconds of its making or last change.
    pub(super) modified: i64,
    /// Of measures: 1 for real ones, 2 for goals.
    pub(super) category: Option<i64>,
    /// Of measures: how the user was found.
    pub(super) attrib: Option<i64>,
    /// Of measures: the types in the group.
    pub(super) types: Vec<i64>,
    pub(super) json: Box<RawValue>,
}

/// A measure as far as it must be understood to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Measure {
    pub(super) value: i64,
    #[serde(rename = "type")]
    pub(super) kind: i64,
    pub(super) unit: i64,
    pub(super) position: Option<i64>,
}

impl Record {
    pub(super) fn new(kind: WithingsKind, value: &serde_json::Value) -> Result<Self, EditError> {
        let fields = serde_json::from_str(&value.to_string()).map_err(EditError::NotAnObject)?;
        Self::of(kind, &fields)
    }

    fn of(kind: WithingsKind, fields: &Fields) -> Result<Self, EditError> {
        let start = if kind == WithingsKind::Measures { "date" } else { "startdate" };
        let measures = kind == WithingsKind::Measures;
        let day = (!measures).then(|| patch::read(fields, "date")).flatten();
        let types: Option<Vec<BTreeMap<String, Box<RawValue>>>> = patch::read(fields, "measures");
        let types = types.unwrap_or_default();
        let json = serde_json::value::to_raw_value(fields).map_err(EditError::NotAnObject)?;
        Ok(Self {
            at: patch::read(fields, start).unwrap_or_default(),
            day,
            modified: patch::read(fields, "modified").unwrap_or_default(),
            category: patch::read(fields, "category").filter(|_| measures),
            attrib: patch::read(fields, "attrib").filter(|_| measures),
            types: types.iter().filter_map(|one| patch::read(one, "type")).collect(),
            json,
        })
    }

    /// With the fields of `patch` in their place, and changed at `now` unless the patch says when.
    pub(super) fn patched(
        &self,
        kind: WithingsKind,
        patch: &str,
        now: i64,
    ) -> Result<Self, EditError> {
        let touched = format!("{{\"modified\":{now}}}");
        let touched = patch::patched(self.json.get(), &touched, &[])?;
        let fields = patch::patched(&patch::text(&touched)?, patch, kind.fixed())?;
        Self::of(kind, &fields)
    }

    /// The group's measures, when they can all be read.
    pub(super) fn measures(&self) -> Option<Vec<Measure>> {
        let fields: Fields = serde_json::from_str(self.json.get()).ok()?;
        patch::read(&fields, "measures")
    }

    /// A number that the record has under `name`.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let fields: Fields = serde_json::from_str(self.json.get()).ok()?;
        patch::read(&fields, name)
    }

    /// Whether a client must keep it: of measures, the real ones that are surely the user's.
    pub(super) fn counts(&self, kind: WithingsKind) -> bool {
        kind != WithingsKind::Measures
            || (self.category == Some(1) && self.attrib.is_some_and(|attrib| attrib != 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn group(attrib: i64) -> Record {
        let measure = json!({ "value": 65_750, "type": 1, "unit": -3 });
        let group = json!({ "grpid": 7, "attrib": attrib, "category": 1, "date": 1_594_245_600,
            "modified": 1_594_257_200, "measures": [measure] });
        Record::new(WithingsKind::Measures, &group).unwrap()
    }

    #[test]
    fn ambiguous_groups_and_goals_do_not_count() {
        let counts = |record: &Record| record.counts(WithingsKind::Measures);
        for attrib in [0, 2, 4, 5, 7, 8, 15, 17] {
            assert!(counts(&group(attrib)), "{attrib}");
        }
        assert!(!counts(&group(1)));
        let goal = group(0).patched(WithingsKind::Measures, r#"{"category":2}"#, 5).unwrap();
        assert!(!counts(&goal));
    }

    #[test]
    fn an_edit_moves_the_time_of_change_and_may_break_what_it_likes() {
        let kind = WithingsKind::Measures;
        let edited = group(0).patched(kind, r#"{"measures":[{"value":"far","type":6}]}"#, 99);
        let edited = edited.unwrap();
        assert_eq!((edited.modified, edited.at), (99, 1_594_245_600));
        assert_eq!((edited.types.as_slice(), edited.measures()), (&[6][..], None));
        let fixed = group(0).patched(kind, r#"{"grpid":8}"#, 99);
        assert!(matches!(fixed, Err(EditError::Fixed("grpid"))));
        let dated = group(0).patched(kind, r#"{"modified":5}"#, 99).unwrap();
        assert_eq!(dated.modified, 5);
    }
}
