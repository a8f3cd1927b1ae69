//! The lease protocol against a pure model: concurrent actors, a million acts through the application's own
//! statements. What it promises is in `paceline_tests::model`.

use super::report::{Bound, Report};
use anyhow::Result;
use clap::Args;
use paceline_tests::{
    database::TestDb,
    model::{self, Plan},
};
use std::time::{Duration, Instant};

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Acts on jobs, at least.
    #[arg(long, default_value_t = 1_000_000)]
    steps: u64,
    /// Go on, with further seeds, for so long.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Seed of the die.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A few thousand acts.
    #[arg(long, conflicts_with = "steps")]
    short: bool,
}

/// Jobs at a time.
const PEOPLE: usize = 400;
const WORKERS: usize = 8;

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let steps = if options.short { 20_000 } else { options.steps };
    let (began, mut seed) = (Instant::now(), options.seed);
    let mut report = Report::new("model");
    let mut total = model::Tally::default();
    let mut broken = 0;
    while total.rounds == 0 || began.elapsed() < Duration::from_secs(options.seconds) {
        let db = TestDb::new().await;
        match model::run(&db, Plan { steps, people: PEOPLE, workers: WORKERS, seed }).await {
            Ok(tally) => total += tally,
            Err(error) => {
                broken += 1;
                report.remark(format!("{error:#}"));
                break;
            }
        }
        seed += 1;
    }
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    report.count("jobs that no order of acts explains", broken, Bound::AtMost(0.0));
    report.count("acts on jobs", count(total.steps), Bound::AtLeast(1.0));
    report.count("rounds of acts at the same time", count(total.rounds), Bound::None);
    report.count("jobs queued, all of which ended", count(total.jobs), Bound::AtLeast(1.0));
    report.count(
        "acts of former owners, all of them refused",
        count(total.stale),
        Bound::AtLeast(1.0),
    );
    report.count(
        "leases that ran out and were taken back",
        count(total.reclaimed),
        Bound::AtLeast(1.0),
    );
    report.count("acts undone because others were in the way", count(total.busy), Bound::None);
    report.figure("longest round", total.longest_round.as_secs_f64(), "s", Bound::None);
    report.figure("seconds", total.took.as_secs_f64(), "s", Bound::None);
    Ok(report)
}
