//! Limits that a fleet keeps together: how many syncs of a provider run at once, and how many calls it
//! is asked. Neither is overrun, and nearly all of either is used.

mod calls;
mod lane;

use super::report::Report;
use anyhow::Result;
use clap::Args;

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How long each of the two is measured; calls for as many whole days as fit in, one at least.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: u64,
    /// Seed of the histories and of who is killed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Workers that share the calls.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    workers: u16,
    /// Seconds of what stands for Strava's quarter hour.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..))]
    window: u32,
    /// Calls allowed in it.
    #[arg(long, default_value_t = 200)]
    limit: u32,
    /// Seconds of what stands for the day.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(4..))]
    day: u32,
    /// Calls allowed in it.
    #[arg(long, default_value_t = 1_000)]
    day_limit: u32,
    /// Seconds between two kills of a worker that has calls reserved; 0 kills nobody.
    #[arg(long, default_value_t = 8)]
    kill_every: u64,
}

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let mut report = Report::new("limits");
    lane::prove(&mut report, options).await?;
    calls::prove(&mut report, options).await?;
    Ok(report)
}
