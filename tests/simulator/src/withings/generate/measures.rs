//! The groups of measures: who stood on which device, and how sure Withings is of it.
//!
//! Owns the kinds of moments and their share, and every oddity that real answers have: goals, users
//! that are not certain, and one group id under several attributions.

use serde_json::{Value, json};

use super::body::{Body, measured, plain};
use super::{CUFF, Device, SCALE, SEGMENTAL, Subject, THERMOMETER, WATCH};
use crate::dice::Dice;
use crate::withings::record::WithingsKind;

const MOMENTS: u64 = 0x77_6d;

/// `moments` over the years; with any at all also the height and weight told when the account was
/// made, and two goals.
pub(super) fn list(subject: &Subject, moments: u32) -> Vec<Value> {
    let instants = subject.instants(MOMENTS, moments);
    let Some(&first) = instants.first() else { return Vec::new() };
    let mut groups = account(subject, first);
    let told = u64::try_from(groups.len()).unwrap_or(0);
    for (turn, at) in (told..).zip(instants) {
        moment(subject, turn, at, &mut groups);
    }
    groups
}

/// What a person typed in at the beginning (`attrib` 4) and wished for (`category` 2).
fn account(subject: &Subject, first: i64) -> Vec<Value> {
    let mut dice = subject.dice(MOMENTS, 0);
    let at = first - 3600;
    let body = Body::at(subject, at, &mut dice);
    let height = dice.between(1.55, 1.95);
    let start = vec![plain(4, height, 2), plain(1, body.weight_kg, 0)];
    let goal = vec![plain(1, body.weight_kg - 4.0, 3)];
    let fat = vec![plain(6, body.fat_percent - 3.0, 1)];
    let group = |turn, attrib, measures| Group { turn, attrib, at, device: None, measures };
    let mut groups = vec![group(0, 4, start).told(subject, &mut dice)];
    for (turn, wish) in [(1, goal), (2, fat)] {
        let mut told = group(turn, 2, wish).told(subject, &mut dice);
        told["category"] = json!(2);
        groups.push(told);
    }
    groups
}

/// A plain weighing: what a late upload is, too.
pub(super) fn weighing(subject: &Subject, turn: u64, at: i64) -> Value {
    let mut dice = subject.dice(MOMENTS, turn);
    let measures = Body::at(subject, at, &mut dice).composition(&mut dice);
    Group { turn, attrib: 0, at, device: Some(SCALE), measures }.told(subject, &mut dice)
}

fn moment(subject: &Subject, turn: u64, at: i64, into: &mut Vec<Value>) {
    let mut dice = subject.dice(MOMENTS, turn);
    let body = Body::at(subject, at, &mut dice);
    let chance = dice.below(1000);
    let (attrib, device, measures) = match chance {
        600..660 => (0, Some(SEGMENTAL), body.segments()),
        660..780 => (dice.pick(&[0, 0, 0, 5, 7]), Some(CUFF), pressure(&mut dice)),
        780..820 => (2, None, vec![plain(1, body.weight_kg, dice.pick(&[0, 1, 2]))]),
        820..850 => (0, Some(THERMOMETER), temperatures(&mut dice)),
        850..880 => (0, Some(WATCH), vec![measured(54, dice.between(92.0, 99.9), 0)]),
        // Somebody stood on the scale; whose weight it is, nobody knows.
        880..910 => (1, Some(SCALE), body.composition(&mut dice)),
        910..930 => (8, Some(SCALE), vec![measured(1, body.weight_kg, 2)]),
        930..945 => (15, Some(SEGMENTAL), nerves(&mut dice)),
        945..950 => (17, Some(SCALE), vec![measured(1, body.weight_kg, 3)]),
        950..980 => (0, Some(WATCH), heart(&mut dice)),
        // The common case, and the one that groups with several attributions begin with.
        0..600 | 980.. => (0, Some(SCALE), body.composition(&mut dice)),
    };
    let group = Group { turn, attrib, at, device, measures };
    into.push(group.told(subject, &mut dice));
    if chance < 980 {
        return;
    }
    // The same group id again: uncertain, or typed in over it, or typed in and weighed once more.
    let again = |attrib, at, shift| Group {
        turn,
        attrib,
        at,
        device: (attrib != 2).then_some(SCALE),
        measures: vec![plain(1, body.weight_kg + shift, 3)],
    };
    let more = match chance {
        980..990 => vec![again(1, at, 0.0)],
        990..996 => vec![again(2, at, 0.5)],
        _ => vec![again(2, at, 0.5), again(0, at + 90, 0.2)],
    };
    into.extend(more.into_iter().map(|group| group.told(subject, &mut dice)));
}

fn pressure(dice: &mut Dice) -> Vec<Value> {
    vec![
        measured(9, dice.between(62.0, 88.0), 0),
        measured(10, dice.between(104.0, 141.0), 0),
        measured(11, dice.between(48.0, 84.0), 0),
    ]
}

fn temperatures(dice: &mut Dice) -> Vec<Value> {
    vec![
        measured(12, dice.between(35.9, 37.4), 3),
        measured(71, dice.between(36.1, 37.6), 3),
        measured(73, dice.between(32.0, 35.0), 1),
    ]
}

fn nerves(dice: &mut Dice) -> Vec<Value> {
    vec![
        measured(167, dice.between(60.0, 90.0), 0),
        measured(196, dice.between(40.0, 90.0), 0),
        measured(197, dice.between(40.0, 90.0), 0),
        measured(198, dice.between(40.0, 90.0), 0),
        measured(229, dice.between(50.0, 90.0), 1),
    ]
}

fn heart(dice: &mut Dice) -> Vec<Value> {
    vec![
        measured(11, dice.between(48.0, 84.0), 0),
        measured(91, dice.between(5.5, 9.0), 3),
        measured(123, dice.between(34.0, 58.0), 1),
        measured(130, dice.pick(&[0.0, 0.0, 0.0, 2.0]), 0),
        measured(135, dice.between(80.0, 110.0), 0),
        measured(136, dice.between(130.0, 190.0), 0),
        measured(137, dice.between(350.0, 420.0), 0),
        measured(138, dice.between(380.0, 440.0), 0),
        measured(155, dice.between(25.0, 60.0), 0),
    ]
}

struct Group {
    /// Tells the group's id; a group under several attributions has one turn.
    turn: u64,
    attrib: u8,
    at: i64,
    device: Option<Device>,
    measures: Vec<Value>,
}

impl Group {
    fn told(self, subject: &Subject, dice: &mut Dice) -> Value {
        let created = subject.stored(self.at, dice);
        let modified = if dice.chance(0.04) { subject.stored(created, dice) } else { created };
        let id = self.device.map(|device| subject.device_id(device));
        let comment = if self.device.is_none() && dice.chance(0.3) {
            json!("before breakfast")
        } else {
            Value::Null
        };
        json!({
            "grpid": subject.id(WithingsKind::Measures, self.turn),
            "attrib": self.attrib,
            "date": self.at,
            "created": created,
            "modified": modified,
            "category": 1,
            "deviceid": id,
            "hash_deviceid": id,
            "measures": self.measures,
            "modelid": self.device.map(|device| device.model_id),
            "model": self.device.map(|device| device.model),
            "comment": comment,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::person::Person;

    #[test]
    fn years_hold_every_attribution_every_exponent_goals_and_ids_used_twice() {
        let until = "2026-11-20".parse().unwrap();
        let person = Person::new(4);
        let subject = Subject { person, first_id: 5_000_000_000, years: 6, until };
        let groups = list(&subject, 4000);
        let of = |name: &str| -> BTreeSet<i64> {
            groups.iter().filter_map(|group| group[name].as_i64()).collect()
        };
        assert_eq!(of("attrib"), BTreeSet::from([0, 1, 2, 4, 5, 7, 8, 15, 17]));
        assert_eq!(of("category"), BTreeSet::from([1, 2]));
        let measures = || groups.iter().flat_map(|group| group["measures"].as_array().unwrap());
        let units: BTreeSet<i64> = measures().map(|one| one["unit"].as_i64().unwrap()).collect();
        assert_eq!(units, (-4..=0).collect());
        assert!(measures().any(|one| one["position"] == 12));
        let mut ids = BTreeMap::<i64, usize>::new();
        for group in &groups {
            *ids.entry(group["grpid"].as_i64().unwrap()).or_default() += 1;
        }
        let times: BTreeSet<usize> = ids.into_values().collect();
        assert_eq!(times, BTreeSet::from([1, 2, 3]));
        assert!(groups.iter().any(|group| group["deviceid"].is_null()));
        assert!(list(&subject, 0).is_empty());
    }
}
