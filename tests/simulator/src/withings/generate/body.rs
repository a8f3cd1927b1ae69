//! What a person's body measures at an instant: weight and what it is made of, pressure, temperature.
//!
//! Owns the figures and how an answer writes them. Must not know groups.

use serde_json::{Map, Value, json};

use super::Subject;
use crate::dice::Dice;
use crate::numbers::{float, scaled};

/// A body on a scale.
pub(super) struct Body {
    pub(super) weight_kg: f64,
    pub(super) fat_percent: f64,
}

impl Body {
    /// A slow wave over the years, one over each year, and a day's own difference.
    pub(super) fn at(subject: &Subject, at: i64, dice: &mut Dice) -> Self {
        let person = &subject.person;
        let phase = float(i64::try_from(person.seed % 1000).unwrap_or(0));
        let years = float(at) / 31_557_600.0;
        let wave = 2.5 * (years + phase).sin() + 1.1 * (years * std::f64::consts::TAU).cos();
        let lean = if person.sex == "F" { 25.0 } else { 17.5 };
        Self {
            weight_kg: person.weight_kg + wave + dice.between(-0.6, 0.6),
            fat_percent: lean + wave * 0.8 + dice.between(-0.5, 0.5),
        }
    }

    pub(super) fn fat_kg(&self) -> f64 {
        self.weight_kg * self.fat_percent / 100.0
    }

    /// What a simple scale tells: types 1, 6, 8, 5, 76, 77 and 88. The exponent of the weight differs
    /// from one kind of scale, and one year's firmware, to the next.
    pub(super) fn composition(&self, dice: &mut Dice) -> Vec<Value> {
        let digits = match dice.below(10) {
            0..7 => 3,
            7..9 => 2,
            _ => 4,
        };
        let lean = self.weight_kg - self.fat_kg();
        [
            (1, self.weight_kg, digits),
            (6, self.fat_percent, dice.pick(&[1, 2, 3])),
            (8, self.fat_kg(), 2),
            (5, lean, 2),
            (76, lean * 0.95, 2),
            (77, lean * 0.68, 2),
            (88, lean * 0.05, 2),
        ]
        .map(|(kind, real, digits)| measured(kind, real, digits))
        .to_vec()
    }

    /// What a scale with a handle adds: visceral fat, waters, metabolism, and each part of the body.
    /// As real ones do, it tells the whole body's lean and fat mass twice over.
    pub(super) fn segments(&self) -> Vec<Value> {
        let lean = self.weight_kg - self.fat_kg();
        let whole = [
            (5, lean, 2),
            (5, lean, 2),
            (8, self.fat_kg(), 2),
            (8, self.fat_kg(), 2),
            (168, lean * 0.28, 2),
            (169, lean * 0.4, 2),
            (170, self.fat_percent / 6.0, 1),
            (226, lean * 29.0, 0),
            (227, 20.0 + self.fat_percent, 0),
        ];
        let mut measures = vec![measured(1, self.weight_kg, 3)];
        measures.extend(whole.map(|(kind, real, digits)| at_position(kind, real, digits, 7)));
        for (kind, all) in [(173, lean), (174, self.fat_kg()), (175, lean * 0.95)] {
            let parts = [(12, 0.52), (10, 0.18), (11, 0.18), (3, 0.06), (2, 0.06)];
            measures.extend(parts.map(|(part, share)| at_position(kind, all * share, 2, part)));
        }
        // The fat ratio comes without the deprecated fields.
        measures.push(plain(6, self.fat_percent, 3));
        measures
    }
}

/// A measure as a device tells it, `digits` of its decimals.
pub(super) fn measured(kind: u16, real: f64, digits: u8) -> Value {
    with(plain(kind, real, digits), &[("algo", 3425), ("fm", 3)])
}

fn at_position(kind: u16, real: f64, digits: u8, position: i64) -> Value {
    with(measured(kind, real, digits), &[("position", position)])
}

/// A measure as a person tells it.
pub(super) fn plain(kind: u16, real: f64, digits: u8) -> Value {
    json!({ "value": scaled(real, digits), "type": kind, "unit": -i64::from(digits) })
}

fn with(measure: Value, more: &[(&str, i64)]) -> Value {
    let Value::Object(mut fields) = measure else { return measure };
    let more = more.iter().map(|(name, value)| ((*name).to_owned(), json!(value)));
    fields.extend(more.collect::<Map<_, _>>());
    Value::Object(fields)
}
