//! `cargo run --release -p paceline-tests -- <proof>`: promises, checked through the front door with real
//! processes, HTTP and SQL. Prints its figures; exits non-zero when a promise is broken.

mod proofs;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use paceline_postgres::{Cluster, Options, test_home};
use proofs::{crash, pipeline, report::Report};
use std::{
    io::Write as _,
    path::Path,
    process::{Command, ExitCode},
};

/// Checks a promise of Paceline's and prints the figures.
#[derive(Debug, Parser)]
#[command(name = "paceline-tests", version)]
struct Cli {
    #[command(subcommand)]
    proof: Proof,
    /// How to print the figures.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    output: Output,
    /// A Postgres to use; without it a private one is started, with everything on that keeps data safe.
    #[arg(long, global = true, env = "TEST_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    #[default]
    Table,
    /// One object.
    Json,
}

#[derive(Debug, Subcommand)]
enum Proof {
    /// How fast a history goes through fetch, enrich and store, beside a plain COPY of the same rows; what
    /// memory and waiting it costs.
    Pipeline(pipeline::Options),
    /// Workers killed at random instants: nothing lost, nothing doubled, at most a page repeated a kill.
    Crash(crash::Options),
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "paceline-tests: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode> {
    if cli.database_url.is_none() {
        return on_a_private_server();
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let report: Report = match &cli.proof {
        Proof::Pipeline(options) => runtime.block_on(pipeline::prove(options))?,
        Proof::Crash(options) => runtime.block_on(crash::prove(options))?,
    };
    let text = match cli.output {
        Output::Table => report.to_string(),
        Output::Json => report.to_json(),
    };
    writeln!(std::io::stdout(), "{text}")?;
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs this program again with the address of a private server. The tests' own server has fsync off; a
/// figure from it would flatter.
fn on_a_private_server() -> Result<ExitCode> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let home = test_home(workspace).join("proofs");
    let cluster =
        Cluster::start(&Options::new(home)).context("starting a Postgres for the proof")?;
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env("TEST_DATABASE_URL", cluster.url("postgres"))
        .status();
    cluster.release()?;
    let code = status?.code().unwrap_or(1);
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}
