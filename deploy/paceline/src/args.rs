//! The command line as a whole: which commands there are, and how they log. What a command takes is
//! beside the command.

use crate::commands::{
    api, audit, completions, connections, demo, dev, doctor, failures, healthcheck, jobs, migrate,
    openapi, providers, sim, sync, token, worker, workers,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use paceline_shared::telemetry::LogFormat;

/// Syncs each user's activities from fitness providers, adds weather and place, and stores them in
/// Postgres.
///
/// To see it work: `paceline demo`. To try things: `paceline dev`, and in another terminal
/// `paceline sync start --user demo-1 --watch`.
///
/// Data goes to standard output, logs and progress to standard error. Exit codes: 0 done, 1 failed,
/// 2 wrong usage or configuration, 3 finished with failed syncs, 4 not ready, 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "paceline", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: LogOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to log.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logging")]
pub(crate) struct LogOptions {
    /// What to log, as in `info` or `warn,paceline_worker=debug`; each command has its own default
    #[arg(id = "log", long, value_name = "FILTER", env = "PACELINE_LOG", global = true)]
    pub(crate) filter: Option<String>,
    /// How log lines look
    #[arg(
        id = "log-format",
        long,
        value_name = "FORMAT",
        env = "PACELINE_LOG_FORMAT",
        global = true,
        value_enum,
        default_value_t
    )]
    pub(crate) format: LogLines,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLines {
    /// For people
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

impl LogLines {
    /// As it is written on the command line.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl From<LogLines> for LogFormat {
    fn from(lines: LogLines) -> Self {
        match lines {
            LogLines::Text => Self::Text,
            LogLines::Json => Self::Json,
        }
    }
}

/// What a process of the fleet logs when nobody says what: its own doings, and its libraries' warnings.
pub(crate) const SERVICE_LOG: &str = "info,apalis_core=warn,sqlx=warn";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Demo(demo::Options),
    Dev(dev::Options),
    Api(Box<api::Options>),
    Worker(Box<worker::Options>),
    Migrate(migrate::Options),
    #[command(subcommand)]
    Sync(sync::Command),
    #[command(subcommand)]
    Jobs(Box<jobs::Command>),
    Failures(failures::Options),
    #[command(subcommand)]
    Workers(workers::Command),
    #[command(subcommand)]
    Providers(providers::Command),
    #[command(subcommand)]
    Connections(connections::Command),
    Audit(audit::Options),
    Doctor(doctor::Options),
    Healthcheck(healthcheck::Options),
    Sim(sim::Options),
    Token(token::Options),
    Openapi(openapi::Options),
    Completions(completions::Options),
}

impl Command {
    /// What is logged when nobody says what.
    pub(crate) const fn log_filter(&self) -> &'static str {
        match self {
            Self::Api(_) | Self::Worker(_) | Self::Sim(_) | Self::Dev(_) => SERVICE_LOG,
            // The program of the demo is the demo; the cluster's start is not part of it.
            Self::Demo(_) => "warn,paceline=info,paceline_postgres=warn,paceline_worker=warn",
            Self::Sync(_) | Self::Jobs(_) => "warn,paceline=info",
            Self::Migrate(_)
            | Self::Failures(_)
            | Self::Workers(_)
            | Self::Providers(_)
            | Self::Connections(_)
            | Self::Audit(_)
            | Self::Doctor(_)
            | Self::Healthcheck(_)
            | Self::Token(_)
            | Self::Openapi(_)
            | Self::Completions(_) => "warn",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_has_an_option_that_clap_takes_for_a_global_one() {
        let globals: Vec<_> = Cli::command()
            .get_arguments()
            .filter(|argument| argument.is_global_set())
            .map(|argument| argument.get_id().clone())
            .collect();
        assert_eq!(globals.len(), 2, "{globals:?}");
        let mut commands: Vec<_> = Cli::command().get_subcommands().cloned().collect();
        while let Some(command) = commands.pop() {
            for argument in command.get_arguments() {
                let (name, id) = (command.get_name(), argument.get_id());
                assert!(!globals.contains(id), "{name} {id}");
            }
            commands.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn every_command_says_what_it_does() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                assert!(
                    argument.get_help().is_some(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
        }
    }
}
