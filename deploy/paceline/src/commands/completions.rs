//! `paceline completions`.

use crate::{args::Cli, exit::Exit, output};
use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print the completion script of a shell
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<Exit> {
    // Into memory first: the generator panics when a write fails.
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "paceline", &mut script);
    output::text(&String::from_utf8(script).context("the script is no text")?)?;
    Ok(Exit::Done)
}
