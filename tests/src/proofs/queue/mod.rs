//! The queue's speed, with jobs that do nothing: two real workers with a thousand slots each, every promise switched
//! on (fence, progress rows, live key, history), beside a raw loop of SQL in the same database and the same run.

mod beats;
mod drain;
mod enqueue;
mod looks;
mod pickup;
mod raw;
mod statements;

pub(crate) use enqueue::new_sync;

use super::report::Report;
use anyhow::Result;
use clap::{Args, ValueEnum};
use paceline_postgres::Options as Server;
use std::{path::PathBuf, time::Duration};

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Jobs of the large backlog.
    #[arg(long, default_value_t = 200_000)]
    rows: i32,
    /// Jobs that ended, in the large tables.
    #[arg(long, default_value_t = 500_000)]
    finished: i32,
    /// Jobs that wait, in the large tables.
    #[arg(long, default_value_t = 100_000)]
    waiting: i32,
    /// Jobs that are ready, in the large tables.
    #[arg(long, default_value_t = 50_000)]
    ready: i32,
    /// Go on measuring the drain for so long; the round with the median ratio counts.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Of everything random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A small run with looser floors, for a shared machine.
    #[arg(long, conflicts_with_all = ["rows", "finished", "waiting", "ready"])]
    short: bool,
    /// Only these figures.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Drained jobs a second, what they cost, and what a backlog changes.
    Drain,
    /// Jobs queued a second, in batches and one by one.
    Enqueue,
    /// How soon a job is in a worker's hands.
    Pickup,
    /// Claims, lists and counts in large tables.
    Claims,
    /// What five hundred beating incarnations write.
    Beats,
    /// The memory of an idle worker.
    Idle,
}

/// Sizes and floors of a run.
#[derive(Debug)]
struct Plan {
    rows: i32,
    finished: i32,
    waiting: i32,
    ready: i32,
    seconds: u64,
    seed: u64,
    /// Claims measured in the large tables.
    claims: usize,
    clients_for: Duration,
    pickup_for: Duration,
    incarnations: i32,
    beats_for: Duration,
    floors: Floors,
}

/// What figures must keep. Ratios are of one run.
#[derive(Debug)]
struct Floors {
    drained: f64,
    backlog: f64,
    held: f64,
    enqueued: f64,
    singles: f64,
    /// Of a half, and of 99 in 100.
    pickup_ms: [f64; 2],
    claim_ms: f64,
    list_ms: f64,
    counts_ms: f64,
    idle_mib: f64,
}

impl Options {
    fn plan(&self) -> Plan {
        if self.short {
            return Plan {
                rows: 40_000,
                finished: 100_000,
                waiting: 20_000,
                ready: 12_000,
                seconds: self.seconds,
                seed: self.seed,
                claims: 500,
                clients_for: Duration::from_secs(3),
                pickup_for: Duration::from_secs(6),
                incarnations: 100,
                beats_for: Duration::from_secs(10),
                // A small machine that others use as well: what is a moment's work there is left room, what is a
                // ratio of two long measurements little.
                floors: Floors {
                    drained: 0.2,
                    backlog: 0.6,
                    held: 0.6,
                    enqueued: 0.2,
                    singles: 0.3,
                    pickup_ms: [15.0, 120.0],
                    claim_ms: 50.0,
                    list_ms: 750.0,
                    counts_ms: 250.0,
                    idle_mib: 30.0,
                },
            };
        }
        Plan {
            rows: self.rows,
            finished: self.finished,
            waiting: self.waiting,
            ready: self.ready,
            seconds: self.seconds,
            seed: self.seed,
            claims: 2_000,
            clients_for: Duration::from_secs(8),
            pickup_for: Duration::from_secs(30),
            incarnations: 500,
            beats_for: Duration::from_secs(30),
            floors: Floors {
                drained: 0.35,
                backlog: 0.8,
                held: 0.85,
                enqueued: 0.33,
                singles: 0.6,
                pickup_ms: [3.0, 12.0],
                claim_ms: 10.0,
                list_ms: 150.0,
                counts_ms: 50.0,
                idle_mib: 25.0,
            },
        }
    }

    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

/// A private server that counts statements, with everything on that keeps data safe.
pub(crate) fn server(home: PathBuf) -> Server {
    let settings = [
        ("shared_preload_libraries", "pg_stat_statements"),
        // A statement that is planned anew for each batch costs that as well.
        ("pg_stat_statements.track_planning", "on"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Server { settings: settings.into(), ..Server::new(home) }
}

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let plan = options.plan();
    let mut report = Report::new("queue");
    if options.wants(Part::Drain) {
        report.remark(format!("the raw loop:\n{};\n{};", raw::CLAIM, raw::COMPLETE));
        drain::prove(&mut report, &plan).await?;
    }
    if options.wants(Part::Enqueue) {
        enqueue::prove(&mut report, &plan).await?;
    }
    if options.wants(Part::Pickup) {
        pickup::quiet(&mut report, &plan).await?;
    }
    if options.wants(Part::Claims) {
        pickup::large(&mut report, &plan).await?;
    }
    if options.wants(Part::Beats) {
        beats::beats(&mut report, &plan).await?;
    }
    if options.wants(Part::Idle) {
        beats::idle(&mut report, &plan).await?;
    }
    Ok(report)
}
