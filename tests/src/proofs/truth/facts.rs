//! What is stored, and what should be, in one shape; and what differs between the two.
//!
//! Values are JSON: times are Unix seconds, local times and days text, decimals text. It knows no provider.

use anyhow::Result;
use paceline_shared::db::Db;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A record: its table, its id, and what of it (a measure and what tells it apart; nothing for the other tables).
pub(super) type Key = (&'static str, String, String);

/// Records with their fields.
pub(super) type Facts = BTreeMap<Key, Map<String, Value>>;

pub(super) const ACTIVITIES: &str = "activities";
pub(super) const MEASUREMENTS: &str = "measurements";
pub(super) const DAYS: &str = "daily_summaries";

/// Two that were given as 32 bits agree to this part.
const SINGLE: f64 = 2e-7;

/// All that is stored of a connection.
#[derive(Debug, Default)]
pub(super) struct Stored {
    pub(super) live: Facts,
    pub(super) tombstones: BTreeSet<Key>,
    /// Live rows that have the key of another.
    pub(super) doubled: usize,
}

impl Stored {
    /// With statements of the proof's own.
    pub(super) async fn of(db: &Db, connection: Uuid) -> Result<Self> {
        let mut stored = Self::default();
        let all = [
            (
                ACTIVITIES,
                "select provider_record_id, case stream when 'activities' then '' else stream end, deleted_at is not null,
                        to_jsonb(a) - '{payload,provenance}'::text[] || jsonb_build_object('start_at', extract(epoch from start_at)::bigint)
                   from paceline.activities a where connection_id = $1",
            ),
            (
                MEASUREMENTS,
                "select provider_record_id, concat_ws('/', type, nullif(discriminator, '')), deleted_at is not null,
                        to_jsonb(m) - '{payload,provenance}'::text[] || jsonb_build_object('value', trim_scale(value)::text,
                          'measured_at', extract(epoch from measured_at)::bigint)
                   from paceline.measurements m where connection_id = $1",
            ),
            (
                DAYS,
                "select provider_record_id, kind, deleted_at is not null,
                        to_jsonb(d) - '{payload,provenance}'::text[] || jsonb_build_object('start_at', extract(epoch from start_at)::bigint,
                          'end_at', extract(epoch from end_at)::bigint)
                   from paceline.daily_summaries d where connection_id = $1",
            ),
        ];
        for (table, statement) in all {
            let rows: Vec<(String, String, bool, Value)> =
                sqlx::query_as(statement).bind(connection).fetch_all(db).await?;
            for (id, what, is_deleted, fields) in rows {
                let Value::Object(fields) = fields else { continue };
                let key = (table, id, what);
                if is_deleted {
                    stored.tombstones.insert(key);
                } else if stored.live.insert(key, fields).is_some() {
                    stored.doubled += 1;
                }
            }
        }
        Ok(stored)
    }
}

/// Rows of any provider whose instant, wall clock, offset and zone contradict each other, by Postgres's own calendar.
pub(super) async fn contradictions(db: &Db) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "with moments as (
           select provider, 'activities' as of, provider_record_id, start_at as at, start_local as local, zone, utc_offset_s
             from paceline.activities
           union all
           select provider, 'measurements', provider_record_id, measured_at, measured_local, zone, utc_offset_s
             from paceline.measurements
           union all
           select provider, 'daily_summaries', provider_record_id, start_at, null, zone, utc_offset_s
             from paceline.daily_summaries where start_at is not null)
         select format('%s %s %s: %s, %s on the wall, %s, %s s', provider, of, provider_record_id, at, local, zone, utc_offset_s)
           from moments
          where local <> (at at time zone 'UTC') + make_interval(secs => utc_offset_s)
             or zone is not null and extract(epoch from (at at time zone zone) - (at at time zone 'UTC')) <> utc_offset_s
          order by provider, of, provider_record_id",
    )
    .fetch_all(db)
    .await?)
}

/// What is wrong with a connection's records.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) compared: usize,
    pub(super) missing: Vec<String>,
    pub(super) surplus: Vec<String>,
    pub(super) differing: Vec<String>,
}

impl Verdict {
    /// Holds what is stored against the truth, without the records that are `beyond` what was read.
    pub(super) fn on(stored: &Facts, truth: &Facts, beyond: &BTreeSet<Key>) -> Self {
        let mut verdict = Self::default();
        for (key, fields) in truth.iter().filter(|(key, _)| !beyond.contains(key)) {
            let Some(row) = stored.get(key) else {
                verdict.missing.push(format!("{key:?}"));
                continue;
            };
            verdict.compared += 1;
            for (name, value) in fields {
                let is = row.get(name).unwrap_or(&Value::Null);
                if !same(is, value) {
                    verdict
                        .differing
                        .push(format!("{key:?}: {name} is stored as {is}, and is {value}"));
                }
            }
        }
        let surplus =
            stored.keys().filter(|key| !truth.contains_key(*key) && !beyond.contains(*key));
        verdict.surplus.extend(surplus.map(|key| format!("{key:?}")));
        verdict
    }

    /// With a name before each line.
    pub(super) fn named(mut self, name: &str) -> Self {
        for lines in [&mut self.missing, &mut self.surplus, &mut self.differing] {
            for line in lines.iter_mut() {
                line.insert_str(0, &format!("{name} "));
            }
        }
        self
    }

    pub(super) fn add(&mut self, other: Self) {
        self.compared += other.compared;
        self.missing.extend(other.missing);
        self.surplus.extend(other.surplus);
        self.differing.extend(other.differing);
    }
}

/// The keys under which two truths say different things.
pub(super) fn changed(before: &Facts, after: &Facts) -> Vec<Key> {
    let keys: BTreeSet<&Key> = before.keys().chain(after.keys()).collect();
    keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() <= SINGLE * one.abs().max(other.abs()),
        _ => one == other,
    }
}

/// A field of a provider's record, or null.
pub(super) fn field(record: &Value, name: &str) -> Value {
    record.get(name).cloned().unwrap_or_default()
}

/// A number times a factor.
pub(super) fn times(value: &Value, factor: f64) -> Value {
    value.as_f64().map_or(Value::Null, |number| json!(number * factor))
}

/// A number that means nothing when it is 0 or less, as a pulse.
pub(super) fn positive(value: &Value) -> Value {
    value.as_f64().filter(|number| *number > 0.0).map_or(Value::Null, |number| json!(number))
}

/// The sum of what is told; null when nothing is.
pub(super) fn sum(parts: &[Value]) -> Value {
    let told = parts.iter().filter_map(Value::as_f64);
    told.reduce(|one, other| one + other).map_or(Value::Null, |sum| json!(sum))
}

/// A number's text as decimals are compared: without zeros at the end.
pub(super) fn decimal(value: &Value) -> Value {
    let text = value.to_string();
    if text.contains('.') {
        return text.trim_end_matches('0').trim_end_matches('.').into();
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(of: &[(&str, Value)]) -> Facts {
        let key = |id: &str| (MEASUREMENTS, id.to_owned(), String::new());
        of.iter().map(|(id, fields)| (key(id), fields.as_object().cloned().unwrap())).collect()
    }

    #[test]
    fn what_is_missing_too_much_or_different_is_told() {
        let truth =
            facts(&[("a", json!({"x": 1.0})), ("b", json!({"x": 2, "y": null})), ("d", json!({}))]);
        let stored = facts(&[
            ("a", json!({"x": 1.000_000_01, "z": 1})),
            ("b", json!({"x": 3, "y": 1})),
            ("c", json!({})),
        ]);
        let verdict = Verdict::on(&stored, &truth, &BTreeSet::new());
        assert_eq!((verdict.compared, verdict.differing.len()), (2, 2), "{verdict:?}");
        assert_eq!((verdict.missing.len(), verdict.surplus.len()), (1, 1));
        let beyond = changed(&truth, &stored).into_iter().collect();
        let verdict = Verdict::on(&stored, &truth, &beyond);
        assert!(
            verdict.missing.is_empty()
                && verdict.surplus.is_empty()
                && verdict.differing.is_empty()
        );
    }

    #[test]
    fn decimals_are_compared_by_their_text() {
        assert_eq!(decimal(&json!(71.50)), "71.5");
        assert_eq!(decimal(&json!(70)), "70");
        assert_ne!(decimal(&json!(71.5)), decimal(&json!(71.51)));
    }
}
