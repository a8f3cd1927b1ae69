//! The one binary: reads the command line, starts the runtime, and turns how a command ended into an
//! exit code. What the commands do is in `commands`, a file each.

mod admin;
mod admin_options;
mod args;
mod client;
mod commands;
mod consent;
mod exit;
mod follow;
mod home;
mod local;
mod metrics;
mod options;
mod output;
mod parse;
mod port_file;
mod provider_options;
mod retention;
mod screen;
mod shutdown;
mod sync;

use anyhow::Context as _;
use args::Cli;
use clap::Parser as _;
use exit::{Ending, Exit};
use paceline_shared::telemetry;
use screen::Screen;
use std::{process::ExitCode, time::Duration};

/// How long the runtime may wait for blocking calls (name look-ups, the cluster) once a command is done.
const LAST_CALLS: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let screen = Screen::new();
    match run(Cli::parse(), &screen) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = exit::code(&error);
            if exit != Exit::Done {
                screen.line(&format!("error: {}", exit::one_line(&error)));
            }
            exit.into()
        }
    }
}

fn run(cli: Cli, screen: &Screen) -> anyhow::Result<Exit> {
    let filter = cli.log.filter.as_deref().unwrap_or_else(|| cli.command.log_filter());
    telemetry::log(filter, cli.log.format.into(), screen.clone()).map_err(|error| match error {
        telemetry::Error::Filter(..) => anyhow::Error::new(error).context(Ending::Usage),
        other => other.into(),
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime cannot be started")?;
    let ended = runtime.block_on(commands::run(cli, screen));
    runtime.shutdown_timeout(LAST_CALLS);
    ended
}
