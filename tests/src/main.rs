//! `cargo run --release -p paceline-tests -- <proof>`: promises, checked through the front door with real
//! processes, HTTP and SQL. Prints its figures; exits non-zero when a promise is broken.

mod proofs;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand, ValueEnum};
use paceline_postgres::{Cluster, Options, test_home};
use proofs::{
    bulk, fair, faults, limits, model, pipeline, queue, report::Report, status, tokens, truth,
};
use std::{
    ffi::OsStr,
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
    /// Processes killed, frozen, cut off and replaced: nothing lost, doubled or stuck, no attempt burnt.
    Faults(faults::Options),
    /// How fast two workers drain jobs that do nothing, beside a raw loop of SQL, and what the queue costs otherwise.
    Queue(queue::Options),
    /// One user with thousands of backfill slices: how much longer the others wait.
    Fair(fair::Options),
    /// A retry of very many failed jobs by an admin: accepted at once, done soon, stopped when asked, noted down.
    Bulk(bulk::Options),
    /// The lease protocol under concurrent actors, against a pure model.
    Model(model::Options),
    /// Limits that a fleet keeps together: syncs of a provider at once, and calls to it, whoever is killed.
    Limits(limits::Options),
    /// All providers at once, with edits, deletions, faults, kills and expiring tokens: what is stored is what they hold.
    Truth(truth::Options),
    /// The single-sync face: how soon a status is told while syncs run, one start of a hundred, nothing lost by a restart.
    Status(status::Options),
    /// No token, code, secret or key in the database, in a log at debug level, or in an answer, in any form.
    Tokens(tokens::Options),
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
        return on_a_private_server(cli);
    }
    let runtime = tokio::runtime::Runtime::new()?;
    let report: Report = match &cli.proof {
        Proof::Pipeline(options) => runtime.block_on(pipeline::prove(options))?,
        Proof::Faults(options) => runtime.block_on(faults::prove(options))?,
        Proof::Queue(options) => runtime.block_on(queue::prove(options))?,
        Proof::Fair(options) => runtime.block_on(fair::prove(options))?,
        Proof::Bulk(options) => runtime.block_on(bulk::prove(options))?,
        Proof::Model(options) => runtime.block_on(model::prove(options))?,
        Proof::Limits(options) => runtime.block_on(limits::prove(options))?,
        Proof::Truth(options) => runtime.block_on(truth::prove(options))?,
        Proof::Status(options) => runtime.block_on(status::prove(options))?,
        Proof::Tokens(options) => runtime.block_on(tokens::prove(options))?,
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
fn on_a_private_server(cli: &Cli) -> Result<ExitCode> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let homes = test_home(workspace);
    let may_stop = matches!(&cli.proof, Proof::Faults(options) if options.stops_postgres());
    if matches!(&cli.proof, Proof::Limits(_)) {
        // Sixteen workers.
        let options = Options { max_connections: 300, ..Options::new(homes.join("proofs-limits")) };
        return again_on(&options, &[]);
    }
    if matches!(&cli.proof, Proof::Truth(_)) {
        // A killed worker's connections linger beside those of the next one.
        let options = Options { max_connections: 300, ..Options::new(homes.join("proofs-truth")) };
        return again_on(&options, &[]);
    }
    if matches!(&cli.proof, Proof::Status(_) | Proof::Tokens(_)) {
        // Two APIs and, after a kill, four workers, of which two are only remembered.
        let options =
            Options { max_connections: 200, ..Options::new(homes.join("proofs-accounts")) };
        return again_on(&options, &[]);
    }
    match &cli.proof {
        Proof::Queue(_) => return again_on(&queue::server(homes.join("proofs-queue")), &[]),
        // What a crash of the machine would cost is none of its business.
        Proof::Model(_) => return again_on(&Options::for_tests(homes.join("proofs-model")), &[]),
        _ => {}
    }
    if !may_stop {
        return again_on(&Options::new(homes.join("proofs")), &[]);
    }
    // Nobody else's proof is to lose its server.
    let home = homes.join(format!("proofs-{}", std::process::id()));
    let code =
        again_on(&faults::cluster_options(&home), &["--cluster-home".as_ref(), home.as_os_str()]);
    std::fs::remove_dir_all(&home).with_context(|| format!("removing {}", home.display()))?;
    code
}

fn again_on(options: &Options, arguments: &[&OsStr]) -> Result<ExitCode> {
    let cluster = Cluster::start(options).context("starting a Postgres for the proof")?;
    let status = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .args(arguments)
        .env("TEST_DATABASE_URL", cluster.url("postgres"))
        .status();
    cluster.release()?;
    let code = status?.code().unwrap_or(1);
    Ok(u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from))
}
