//! What the groups of measures truly say, value by value: the answer a client's store is held to.
//!
//! Owns the rules that decide which values count: real measures only (`category` 1), none whose user
//! is uncertain (`attrib` 1), and of several with the same group, time, type and position the one
//! with the lowest `attrib`, then the one held first. Must not know how groups come about.

use std::collections::BTreeMap;

use serde::Serialize;

use super::record::{Measure, Record, WithingsKind};

/// One true value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WithingsValue {
    /// The group.
    pub grpid: i64,
    /// When it was taken; Unix seconds.
    pub date: i64,
    /// As in 1 for a weight.
    #[serde(rename = "type")]
    pub kind: i64,
    /// The part of the body, for segments.
    pub position: Option<i64>,
    /// The value without its exponent, as it stands in the answer.
    pub value: i64,
    /// The exponent of ten.
    pub unit: i64,
    /// The exact value in decimals, without zeros at its end.
    pub decimal: String,
    /// How the user was found.
    pub attrib: i64,
    /// Unix seconds of the group's last change.
    pub modified: i64,
}

/// Group, time, type, position.
type Key = (i64, i64, i64, Option<i64>);

/// All true values of these groups, by group, time, type and position.
pub(super) fn truth<'a>(groups: impl Iterator<Item = &'a Record>) -> Vec<WithingsValue> {
    let mut kept: BTreeMap<Key, WithingsValue> = BTreeMap::new();
    for group in groups.filter(|group| group.counts(WithingsKind::Measures)) {
        let (Some(grpid), Some(attrib)) = (group.number("grpid"), group.attrib) else { continue };
        for measure in group.measures().unwrap_or_default() {
            let Measure { value, kind, unit, position } = measure;
            let key = (grpid, group.at, kind, position);
            if kept.get(&key).is_none_or(|other| attrib < other.attrib) {
                let told = WithingsValue {
                    grpid,
                    date: group.at,
                    kind,
                    position,
                    value,
                    unit,
                    decimal: decimal(value, unit),
                    attrib,
                    modified: group.modified,
                };
                kept.insert(key, told);
            }
        }
    }
    kept.into_values().collect()
}

/// `value` times ten to the power of `unit`, exactly.
fn decimal(value: i64, unit: i64) -> String {
    let places = usize::try_from(unit.unsigned_abs().min(64)).unwrap_or(0);
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs().to_string();
    if value == 0 {
        return "0".to_owned();
    }
    if unit >= 0 {
        return format!("{sign}{digits}{}", "0".repeat(places));
    }
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    let part = part.trim_end_matches('0');
    let point = if part.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{part}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn group(grpid: i64, attrib: i64, date: i64, value: i64) -> Record {
        let measure = json!({ "value": value, "type": 1, "unit": -3 });
        let group = json!({ "grpid": grpid, "attrib": attrib, "category": 1, "date": date,
            "modified": date, "measures": [measure] });
        Record::new(WithingsKind::Measures, &group).unwrap()
    }

    #[test]
    fn decimals_are_exact() {
        let cases = [
            (65_750, -3, "65.75"),
            (657_501, -4, "65.7501"),
            (215, -1, "21.5"),
            (5, -3, "0.005"),
            (-40, -1, "-4"),
            (72, 0, "72"),
            (3, 2, "300"),
            (0, -4, "0"),
            (i64::MIN, 0, "-9223372036854775808"),
        ];
        for (value, unit, text) in cases {
            assert_eq!(decimal(value, unit), text);
        }
    }

    #[test]
    fn of_groups_with_one_number_the_surest_attribution_is_kept_and_other_times_stand_apart() {
        let groups = [
            group(7, 2, 100, 70_000),
            group(7, 0, 100, 71_000),
            group(7, 0, 100, 71_500),
            group(7, 1, 100, 72_000),
            group(7, 0, 190, 73_000),
            group(8, 1, 100, 74_000),
        ];
        let truth = truth(groups.iter());
        let told: Vec<_> = truth.iter().map(|one| (one.grpid, one.date, one.value)).collect();
        assert_eq!(told, [(7, 100, 71_000), (7, 190, 73_000)]);
    }
}
