//! `paceline demo`: a few simulated users connect their accounts, and their years are fetched, enriched and stored
//! before your eyes, and then counted.

mod compare;
mod report;

use crate::{
    args::LogOptions,
    exit::Exit,
    follow::{Line, follow},
    local::{self, Account, Choice, Local, Person, Plan},
    options::HomeOptions,
    output,
    screen::Screen,
    shutdown::{Again, Shutdown},
};
use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use compare::Synced;
use report::Report;
use secrecy::SecretString;
use std::{net::SocketAddr, sync::Arc};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};
use uuid::Uuid;

/// The share of answers that fail where they are flaky.
const FLAKY: f64 = 0.1;
/// People who connect at a time.
const AT_A_TIME: usize = 8;

/// See it work: a few simulated users connect their accounts, and years are fetched, enriched and stored
///
/// Starts Postgres, the API, two workers and simulated providers as processes of their own, connects each user's accounts
/// at Strava, Withings, Fitbit and Garmin by the providers' consent pages, follows the syncs that come with that, and
/// compares what Postgres holds with what the providers hold, record by record. Leaves nothing behind. Exit code 0 only
/// when they agree, 3 when a sync failed.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Simulated users
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    users: u16,
    /// Activities of each user at Strava, at least; what they have elsewhere is in proportion
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
    /// A line an account, and a total
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
        return_urls: Vec::new(),
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
    let people = local.people(&prefix, options.users, options.activities).await?;
    if options.faults == Faults::Flaky {
        local.simulator.make_flaky(FLAKY).await?;
    }
    let began = Instant::now();
    let synced = tokio::select! {
        synced = sync_all(people, screen) => synced?,
        _ = worlds.changed() => bail!("the simulated world ended, and took its people with it"),
    };
    let took = began.elapsed();
    compare::compare(local, synced, took).await
}

/// Connects everybody's accounts, and follows each first sync to its end; in the order of people and their accounts.
async fn sync_all(people: Vec<Person>, screen: &Screen) -> anyhow::Result<Vec<Synced>> {
    let connecting = Arc::new(Semaphore::new(AT_A_TIME));
    let mut under_way = JoinSet::new();
    for person in people {
        for account in person.accounts.clone() {
            let number = under_way.len();
            let line = Line::new(person.label(account.provider), screen);
            let (person, connecting) = (person.clone(), connecting.clone());
            under_way.spawn(async move {
                anyhow::Ok((number, sync(&person, account, &line, &connecting).await?))
            });
        }
    }
    let mut ended = Vec::new();
    while let Some(one) = under_way.join_next().await {
        ended.push(one??);
    }
    ended.sort_by_key(|(number, _)| *number);
    Ok(ended.into_iter().map(|(_, one)| one).collect())
}

async fn sync(
    person: &Person,
    account: Account,
    line: &Line,
    connecting: &Semaphore,
) -> anyhow::Result<Synced> {
    let connected = {
        let _turn = connecting.acquire().await?;
        line.say("connecting");
        person.connect(&account).await?
    };
    let began = Instant::now();
    let sync = follow(&person.client, connected.first_sync, line, |_| Ok(())).await;
    let sync = sync.with_context(|| format!("the sync of {}", person.label(account.provider)))?;
    Ok(Synced {
        user: person.subject.clone(),
        account,
        connection: connected.connection,
        sync,
        took: began.elapsed(),
    })
}
