//! Figures of a proof, each with the bound that it must keep, where it has one.

use serde_json::{Map, Value, json};
use std::fmt;

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    /// Anything: it is told, not judged.
    None,
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::None => true,
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::AtMost(bound) => write!(f, "≤ {bound}"),
            Self::AtLeast(bound) => write!(f, "≥ {bound}"),
        }
    }
}

#[derive(Debug)]
struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    bound: Bound,
}

/// A proof's outcome.
#[derive(Debug)]
pub(crate) struct Report {
    proof: &'static str,
    figures: Vec<Figure>,
    remarks: Vec<String>,
}

impl Report {
    pub(crate) const fn new(proof: &'static str) -> Self {
        Self { proof, figures: Vec::new(), remarks: Vec::new() }
    }

    /// Adds a figure.
    pub(crate) fn figure(
        &mut self,
        name: &'static str,
        value: f64,
        unit: &'static str,
        bound: Bound,
    ) {
        self.figures.push(Figure { name, value, unit, bound });
    }

    /// Adds a number of things.
    #[expect(clippy::cast_precision_loss, reason = "counts of a proof's size")]
    pub(crate) fn count(&mut self, name: &'static str, count: usize, bound: Bound) {
        self.figure(name, count as f64, "", bound);
    }

    /// Adds what helps to find out why a bound is broken.
    pub(crate) fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    /// Whether every figure keeps its bound.
    pub(crate) fn holds(&self) -> bool {
        self.figures.iter().all(|figure| figure.bound.holds(figure.value))
    }

    /// One object: the figures by name, and whether the proof holds.
    pub(crate) fn to_json(&self) -> String {
        let mut object = Map::from_iter([
            ("proof".to_owned(), Value::from(self.proof)),
            ("holds".to_owned(), Value::from(self.holds())),
        ]);
        for figure in &self.figures {
            object.insert(figure.name.replace([' ', ',', '/'], "_"), json!(figure.value));
        }
        if !self.remarks.is_empty() {
            object.insert("remarks".to_owned(), json!(self.remarks));
        }
        Value::Object(object).to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "proof {}: {}", self.proof, if self.holds() { "holds" } else { "BROKEN" })?;
        for Figure { name, value, unit, bound } in &self.figures {
            let mark = if bound.holds(*value) { " " } else { "!" };
            let decimals = if value.fract() == 0.0 { 0 } else { 2 };
            writeln!(f, "{mark} {name:<44} {value:>12.decimals$} {unit:<4} {bound}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "  {remark}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_broken_as_soon_as_one_bound_is() {
        let mut report = Report::new("x");
        report.figure("told", 5.0, "s", Bound::None);
        report.figure("kept", 1.0, "", Bound::AtMost(1.0));
        assert!(report.holds());
        report.figure("broken one", 0.2, "", Bound::AtLeast(0.25));
        assert!(!report.holds());
        assert!(
            report.to_string().contains("BROKEN") && report.to_string().contains("! broken one")
        );
        assert!(report.to_json().contains(r#""broken_one":0.2"#));
    }
}
