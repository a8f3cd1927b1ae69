//! What a group of measures says: which measure a type is, whose it is, what its decimals are.
//!
//! A group is an item. Its id is no key: several groups may have one, taken at different times, or one measure twice
//! with different attributions. So a record is a group id at a time, its values are told apart by type and position,
//! and of twins the one with the better attribution counts, whichever stands first. With the time in the record's id,
//! a group that was moved to another time, or one of several with its id that was deleted, leaves nothing behind.
//!
//! `modified` is no order of edits here: of twins, the worse may be the younger.

use super::json::{Fields, decimal, odd, offset_s};
use crate::providers::{Glance, Item, Unreadable};
use chrono_tz::Tz;
use paceline_shared::record::{Measure, Measurement, Record};
use rust_decimal::Decimal;
use serde_json::{Map, Value, value::RawValue};
use std::collections::{HashMap, HashSet};

/// The types that are kept, each with what it measures and, where two types measure one thing, the part of the body.
const TYPES: [(i64, Measure, Option<&str>); 35] = [
    (1, Measure::Weight, None),
    (4, Measure::Height, None),
    (5, Measure::FatFreeMass, None),
    (6, Measure::BodyFat, None),
    (8, Measure::FatMass, None),
    (9, Measure::BloodPressureDiastolic, None),
    (10, Measure::BloodPressureSystolic, None),
    (11, Measure::HeartRate, None),
    (12, Measure::Temperature, None),
    (54, Measure::Spo2, None),
    (71, Measure::BodyTemperature, None),
    (73, Measure::SkinTemperature, None),
    (76, Measure::MuscleMass, None),
    (77, Measure::Hydration, None),
    (88, Measure::BoneMass, None),
    (91, Measure::PulseWaveVelocity, None),
    (123, Measure::Vo2Max, None),
    (130, Measure::AfibEcg, None),
    (135, Measure::QrsInterval, None),
    (136, Measure::PrInterval, None),
    (137, Measure::QtInterval, None),
    (138, Measure::CorrectedQtInterval, None),
    (155, Measure::VascularAge, None),
    (168, Measure::ExtracellularWater, None),
    (169, Measure::IntracellularWater, None),
    (170, Measure::VisceralFat, None),
    (173, Measure::SegmentalFatFreeMass, None),
    (174, Measure::SegmentalFatMass, None),
    (175, Measure::SegmentalMuscleMass, None),
    (196, Measure::ElectrodermalActivity, None),
    (197, Measure::ElectrodermalActivity, Some("left_foot")),
    (198, Measure::ElectrodermalActivity, Some("right_foot")),
    (226, Measure::BasalMetabolicRate, None),
    (227, Measure::MetabolicAge, None),
    (229, Measure::SkinConductance, None),
];

/// Parts of the body by Withings' number.
const POSITIONS: [&str; 15] = [
    "right_wrist",
    "left_wrist",
    "right_arm",
    "left_arm",
    "right_foot",
    "left_foot",
    "between_legs",
    "whole_body",
    "left_part",
    "right_part",
    "left_leg",
    "right_leg",
    "torso",
    "left_hand",
    "right_hand",
];

/// What is really measured; 2 is a goal.
const REAL: i64 = 1;

/// The types to ask for.
pub(super) fn types() -> String {
    TYPES.map(|(number, ..)| number.to_string()).join(",")
}

/// How good an attribution is, the best first; `None`: a device that does not know whose measure it is.
///
/// 0 and 8: a device that knows its user; 7: confirmed by the user; 5: an average that a device made; 2: by hand;
/// 4: by hand when the account was made. Others are kept where there is nothing better.
const fn rank(attribution: Option<i64>) -> Option<u8> {
    match attribution {
        Some(1) => None,
        Some(0) => Some(0),
        Some(8) => Some(1),
        Some(7) => Some(2),
        Some(5) => Some(3),
        Some(2) => Some(4),
        Some(4) => Some(5),
        _ => Some(6),
    }
}

/// A type, and a position where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    number: i64,
    position: Option<i64>,
}

impl Key {
    fn of(measure: &Fields<'_>) -> Result<Self, Unreadable> {
        let number = measure.whole("type")?.ok_or_else(|| odd("type"))?;
        Ok(Self { number, position: measure.whole("position")? })
    }

    fn name(self) -> String {
        let Self { number, position } = self;
        position.map_or_else(|| number.to_string(), |position| format!("{number}/{position}"))
    }
}

/// What must be known of a group to tell it from others.
struct Brief {
    id: String,
    /// `None`: it is not kept.
    rank: Option<u8>,
    keys: Vec<Key>,
}

impl Brief {
    fn of(raw: &str) -> Result<Self, Unreadable> {
        let group = Fields::of(raw)?;
        let measures = group.list("measures")?;
        let keys = measures.into_iter().map(|raw| Key::of(&Fields::of(raw.get())?));
        Ok(Self {
            id: record_id_of(&group)?,
            rank: kept(&group)?,
            keys: keys.collect::<Result<_, _>>()?,
        })
    }
}

/// How good a group is; `None`: it is a goal, or of nobody knows whom.
fn kept(group: &Fields<'_>) -> Result<Option<u8>, Unreadable> {
    let is_real = group.whole("category")?.is_none_or(|category| category == REAL);
    Ok(if is_real { rank(group.whole("attrib")?) } else { None })
}

/// The groups of a page. Of those with one id and one time the better comes first, and `distinct` names the measures
/// that none before has: a twin without any is a duplicate.
///
/// A group that is not kept has no id here, so that one which became a goal, or of nobody, is gone from the store.
pub(super) fn items<'a>(groups: &[&'a RawValue]) -> Vec<Item<'a>> {
    let briefs: Vec<Option<Brief>> =
        groups.iter().map(|group| Brief::of(group.get()).ok()).collect();
    let mut claimed: HashMap<&str, HashSet<Key>> = HashMap::new();
    let mut items = Vec::with_capacity(groups.len());
    for index in best_first(&briefs) {
        let raw = groups[index].get();
        let (mut record_id, mut distinct) = (None, None);
        match &briefs[index] {
            Some(brief) if brief.rank.is_some() => {
                let twins = claimed.entry(&brief.id).or_default();
                let mut keys: Vec<Key> =
                    brief.keys.iter().copied().filter(|key| !twins.contains(key)).collect();
                if keys.is_empty() {
                    // As the first of the twins.
                    keys.clone_from(&brief.keys);
                }
                twins.extend(&keys);
                record_id = Some(brief.id.clone());
                distinct = Some(named(keys));
            }
            Some(_) => {}
            // It fails alone when it is stored; until then it is there.
            None => record_id = Fields::of(raw).and_then(|group| record_id_of(&group)).ok(),
        }
        items.push(Item { raw, glance: Glance { record_id, distinct, ..Glance::default() } });
    }
    items
}

/// The order of a page in which twins have changed places where the better stood behind.
fn best_first(briefs: &[Option<Brief>]) -> Vec<usize> {
    let mut twins: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, brief) in briefs.iter().enumerate() {
        if let Some(Brief { id, rank: Some(_), .. }) = brief {
            twins.entry(id).or_default().push(index);
        }
    }
    let mut order: Vec<usize> = (0..briefs.len()).collect();
    for places in twins.into_values().filter(|places| places.len() > 1) {
        let mut best = places.clone();
        best.sort_by_key(|index| briefs[*index].as_ref().and_then(|brief| brief.rank));
        for (place, index) in places.into_iter().zip(best) {
            order[place] = index;
        }
    }
    order
}

/// Measures as text: `1,6,173/10`.
fn named(keys: Vec<Key>) -> String {
    let mut names: Vec<String> = keys.into_iter().map(Key::name).collect();
    names.sort_unstable();
    names.join(",")
}

/// `12/1594245600`: a group at a time.
fn record_id_of(group: &Fields<'_>) -> Result<String, Unreadable> {
    let id = group.id("grpid").ok_or_else(|| odd("grpid"))?;
    let taken = group.whole("date")?.ok_or_else(|| odd("date"))?;
    Ok(format!("{id}/{taken}"))
}

/// The values of a group. `zone`: that of the answer, where the group names none.
pub(super) fn records(item: &Item<'_>, zone: Option<Tz>) -> Result<Vec<Record>, Unreadable> {
    let group = Fields::of(item.raw)?;
    if kept(&group)?.is_none() {
        return Ok(vec![]);
    }
    let own: Option<HashSet<&str>> =
        item.glance.distinct.as_deref().map(|names| names.split(',').collect());
    let id = record_id_of(&group)?;
    let measured_at = group.instant("date")?.ok_or_else(|| odd("date"))?;
    let zone = group.zone("timezone").or(zone).ok_or_else(|| odd("timezone"))?;
    let mut records = Vec::new();
    for raw in group.list("measures")? {
        let measure = Fields::of(raw.get())?;
        let key = Key::of(&measure)?;
        let is_own = own.as_ref().is_none_or(|own| own.contains(key.name().as_str()));
        let known = TYPES.iter().find(|(number, ..)| *number == key.number);
        let Some((_, what, part)) = known.filter(|_| is_own) else { continue };
        let position = key.position.map(|position| position.to_string());
        let told_apart_by = [part.map(str::to_owned), position];
        let discriminator = told_apart_by.into_iter().flatten().collect::<Vec<_>>().join("/");
        records.push(Record::Measurement(Box::new(Measurement {
            record_id: id.clone(),
            measure: *what,
            discriminator,
            value: value(&measure)?,
            measured_at,
            measured_local: measured_at.with_timezone(&zone).naive_local(),
            zone: Some(zone.name().to_owned()),
            utc_offset_s: Some(offset_s(measured_at, zone)),
            upstream: None,
            provenance: provenance(&group, &measure, key)?,
            revision: None,
        })));
    }
    Ok(records)
}

/// `value` × 10^`unit`, exactly.
fn value(measure: &Fields<'_>) -> Result<Decimal, Unreadable> {
    let value = measure.raw("value").and_then(decimal).ok_or_else(|| odd("value"))?;
    let unit = measure.whole("unit")?.ok_or_else(|| odd("unit"))?;
    scaled(value, unit).ok_or_else(|| odd("unit"))
}

/// A number with its point moved; `None` where a decimal cannot hold it.
fn scaled(value: Decimal, exponent: i64) -> Option<Decimal> {
    let places = u32::try_from(exponent.unsigned_abs()).ok()?;
    let (mantissa, scale) = (value.mantissa(), value.scale());
    if exponent <= 0 {
        return Decimal::try_from_i128_with_scale(mantissa, scale.checked_add(places)?).ok();
    }
    // What stands behind the point comes before it, then zeros.
    let zeros = 10_i128.checked_pow(places.saturating_sub(scale))?;
    let scale = scale.saturating_sub(places);
    Decimal::try_from_i128_with_scale(mantissa.checked_mul(zeros)?, scale).ok()
}

fn provenance(group: &Fields<'_>, measure: &Fields<'_>, key: Key) -> Result<Value, Unreadable> {
    let attribution = group.whole("attrib")?;
    let mut facts = Map::new();
    let mut tell = |name: &str, fact: Option<Value>| {
        if let Some(fact) = fact {
            facts.insert(name.to_owned(), fact);
        }
    };
    let device = group.text("deviceid")?.or(group.text("hash_deviceid")?);
    tell("device", device.map(Into::into));
    tell("model", group.text("model")?.map(Into::into));
    tell("algorithm", measure.whole("algo")?.map(Into::into));
    tell("attribution", attribution.map(Into::into));
    tell("manual", Some(matches!(attribution, Some(2 | 4)).into()));
    let part = key.position.and_then(|position| usize::try_from(position).ok());
    let part = part.and_then(|position| POSITIONS.get(position));
    tell("position", part.map(|part| (*part).into()));
    Ok(Value::Object(facts))
}

#[cfg(test)]
mod tests;
