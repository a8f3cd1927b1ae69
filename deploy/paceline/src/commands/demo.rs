//! `paceline demo`: a few simulated users' years, fetched, enriched and stored before your eyes, and
//! then counted.

mod report;

use crate::{
    args::LogOptions,
    client::{self, NewSync, TimeRange},
    exit::Exit,
    follow::{Line, follow},
    local::{self, Choice, Local, Person, Plan},
    options::HomeOptions,
    output,
    screen::Screen,
    shutdown::{Again, Shutdown},
    sync::SyncView,
};
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use paceline_shared::{JobType, Provider};
use report::Report;
use secrecy::SecretString;
use std::{net::SocketAddr, time::Duration};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

/// The share of answers that fail where they are flaky.
const FLAKY: f64 = 0.1;

/// See it work: a few simulated users' years of activities, fetched, enriched and stored
///
/// Starts Postgres, the API, two workers and simulated providers as processes of their own, connects
/// the users, runs their syncs, and compares what Postgres holds with what the providers hold. Leaves
/// nothing behind. Exit code 0 only when they agree, 3 when a sync failed.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Simulated users
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    users: u16,
    /// Activities of each user, at least
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    activities: u32,
    /// What goes wrong at the providers
    #[arg(long, value_enum, default_value_t)]
    faults: Faults,
    /// Athletes, activities, weather and faults follow from it
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How to print the result
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value_t)]
    output: Format,
    /// Use this Postgres, as it is, instead of a fresh database in an embedded one
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<SecretString>,
    #[command(flatten)]
    home: HomeOptions,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Faults {
    /// Nothing
    #[default]
    None,
    /// One answer in ten fails: errors, resets, stalls, broken bodies
    Flaky,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line a user, and a total
    #[default]
    Table,
    /// One object with the total, in the last line
    Json,
}

pub(crate) async fn run(
    options: Options,
    log: &LogOptions,
    screen: &Screen,
) -> anyhow::Result<Exit> {
    let shutdown = Shutdown::on_signals(Again::Hurry)?;
    let plan = Plan {
        database: Choice::given_or(options.database_url.clone(), Choice::Fresh),
        home: options.home.home()?,
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        seed: options.seed,
        log: log.clone(),
        quiet: true,
    };
    let show = async |local: &Local<'_>| demonstrate(local, &options, screen).await;
    let report = local::run(plan, &shutdown, screen, show).await?;
    match options.output {
        Format::Table => output::text(&report.table())?,
        Format::Json => output::json(&report.total())?,
    }
    Ok(report.exit())
}

async fn demonstrate(
    local: &Local<'_>,
    options: &Options,
    screen: &Screen,
) -> anyhow::Result<Report> {
    let mut worlds = local.fleet.worlds();
    // A database that was given may know a demo-1 from another run, with another history.
    let prefix = match &options.database_url {
        Some(_) => format!("demo-{:08x}", Uuid::new_v4().as_fields().0),
        None => "demo".to_owned(),
    };
    tracing::info!(
        "the API is at {}, the simulated providers at {}",
        local.api,
        local.simulator.base()
    );
    let people = local.connect_people(&prefix, options.users, options.activities).await?;
    if options.faults == Faults::Flaky {
        local.simulator.make_flaky(FLAKY).await?;
    }
    let began = Instant::now();
    let syncs = tokio::select! {
        syncs = sync_all(local, &people, screen) => syncs?,
        _ = worlds.changed() => bail!("the simulated world ended, and took its people with it"),
    };
    let took = began.elapsed();
    report::compare(local, people.into_iter().zip(syncs), took).await
}

/// Starts everybody's sync and follows each to its end; in the order of `people`.
async fn sync_all(
    local: &Local<'_>,
    people: &[Person],
    screen: &Screen,
) -> anyhow::Result<Vec<(SyncView, Duration)>> {
    let mut under_way = JoinSet::new();
    for (number, person) in people.iter().enumerate() {
        let (client, label) = (local.client_of(person), person.subject.clone());
        let line = Line::new(label.clone(), screen);
        under_way.spawn(async move {
            let began = Instant::now();
            let asked = NewSync {
                provider: Provider::Strava,
                job_type: JobType::Activities,
                time_range: TimeRange::default(),
                options: client::Options::default(),
            };
            let ended = async {
                let started = client.start(&asked).await?;
                follow(&client, started.sync_id, &line, |_| Ok(())).await
            };
            let ended = ended.await.with_context(|| format!("the sync of {label}"))?;
            anyhow::Ok((number, (ended, began.elapsed())))
        });
    }
    let mut ended = Vec::new();
    while let Some(one) = under_way.join_next().await {
        ended.push(one??);
    }
    ended.sort_by_key(|(number, _)| *number);
    Ok(ended.into_iter().map(|(_, one)| one).collect())
}
