//! Processes killed, frozen, cut off and replaced while thousands of syncs run: nothing is lost,
//! doubled or stuck, and no attempt is burnt. A file a kind of fault.

mod fleet;
mod freeze;
mod judge;
mod kill;
mod network;
mod postgres;
mod rolling;
mod witness;

use super::report::Report;
use anyhow::Result;
use clap::{Args, Subcommand};
use std::path::PathBuf;

pub(crate) use postgres::cluster_options;

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(subcommand)]
    fault: Fault,
    /// How long there are faults; then the rest is done in peace.
    #[arg(long, global = true, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: u64,
    /// Seed of the histories and of the instants.
    #[arg(long, global = true, default_value_t = 1)]
    seed: u64,
    /// The cluster that `postgres` stops: the program that started it says where it is.
    #[arg(long, global = true, hide = true)]
    cluster_home: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
enum Fault {
    /// Workers killed at random instants: reclaimed within 20 s, a page repeated at most a sync in hand.
    Kill,
    /// Workers frozen for three leases, inside a transaction too: others go on, and they write nothing.
    Freeze,
    /// Postgres stopped without a word again and again, gone for a minute, out of connections.
    Postgres,
    /// A network that delays, resets, falls silent, and cuts between a commit and its answer.
    Network,
    /// All workers and the API replaced while they work.
    Rolling,
}

impl Options {
    /// Whether it needs a Postgres that it may stop.
    pub(crate) fn stops_postgres(&self) -> bool {
        self.fault == Fault::Postgres
    }
}

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    match options.fault {
        Fault::Kill => Box::pin(kill::prove(options)).await,
        Fault::Freeze => Box::pin(freeze::prove(options)).await,
        Fault::Postgres => Box::pin(postgres::prove(options)).await,
        Fault::Network => Box::pin(network::prove(options)).await,
        Fault::Rolling => Box::pin(rolling::prove(options)).await,
    }
}
