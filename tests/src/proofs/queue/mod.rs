//! The queue's speed, with jobs that do nothing: two real workers with a thousand slots each, every promise switched
//! on (fence, progress rows, live key, history), beside a raw loop of SQL in the same database and the same run.

mod drain;
mod raw;
mod statements;

use super::report::Report;
use anyhow::Result;
use clap::{Args, ValueEnum};
use std::io::Write as _;

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Jobs of the large backlog.
    #[arg(long, default_value_t = 200_000)]
    rows: i32,
    /// Go on measuring the drain for so long; the round with the median ratio counts.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// A small run with looser floors, for a shared machine.
    #[arg(long, conflicts_with = "rows")]
    short: bool,
    /// Only these figures.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Drained jobs a second, what they cost, and what a backlog changes.
    Drain,
}

/// Sizes and floors of a run.
struct Plan {
    rows: i32,
    seconds: u64,
    floors: Floors,
}

/// Ratios of one run.
struct Floors {
    drained: f64,
    backlog: f64,
    held: f64,
}

impl Options {
    fn plan(&self) -> Plan {
        let full = Floors { drained: 0.35, backlog: 0.8, held: 0.85 };
        // A small machine that others use as well: a backlog is drained in a second or two.
        let loose = Floors { drained: 0.15, backlog: 0.6, held: 0.6 };
        Plan {
            rows: if self.short { 40_000 } else { self.rows },
            seconds: self.seconds,
            floors: if self.short { loose } else { full },
        }
    }

    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let plan = options.plan();
    let mut report = Report::new("queue");
    if options.wants(Part::Drain) {
        let mut out = std::io::stderr();
        writeln!(out, "the raw loop:\n{};\n{};\n", raw::CLAIM, raw::COMPLETE)?;
        drain::prove(&mut report, &plan).await?;
    }
    Ok(report)
}
