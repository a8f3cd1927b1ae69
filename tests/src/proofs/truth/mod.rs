//! The truth: users with accounts at every provider, whose records are edited, uploaded late and deleted while requests
//! fail, workers are killed and tokens end. In the end, after a quiet sync, what is stored is what the providers hold,
//! field by field.
//!
//! A quiet sync of what is new must find all that the provider's way of telling shows; a read of everything, the rest.
//! Both are judged. Garmin tells no deletion at all.

mod expiry;
mod facts;
mod fitbit;
mod garmin;
mod judge;
mod line;
mod people;
mod strava;
mod trouble;
mod withings;

use super::report::{Bound, Report};
use anyhow::Result;
use clap::Args;
use expiry::Refreshes;
use facts::Facts;
use futures::future::try_join_all;
use line::Line;
use paceline_simulator::{
    Allowance, Config, FitbitQuota, FitbitSettings, FitbitWindow, GarminSettings, StravaQuota,
    StravaWindows, WithingsQuota,
};
use paceline_tests::stack::{Stack, WorkerSetup};
use people::Account;
use std::time::Duration;
use trouble::{Done, Fleet};

/// A provider answers after so long.
const LATENCY: Duration = Duration::from_millis(10);
/// Of so many requests one goes wrong.
const FAULTS: f64 = 0.1;
/// Trouble comes in parts; after each, all tokens end.
const ROUNDS: u32 = 4;
const SLOTS: u16 = 3;

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How long there is trouble; then all of it is read in peace.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: u64,
    /// Seed of the histories and of the trouble.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Users, each with an account at every provider.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    users: u64,
    /// Worker processes.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..))]
    workers: u16,
}

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let mut report = Report::new("truth");
    let lines = tokio::task::spawn_blocking(line::lines).await??;
    let stack = Stack::in_world(world(options)).await;
    let mut fleet =
        Fleet::start(&stack, options.workers.into(), setup(&lines, &stack.sim.base_url())).await;
    let accounts = people::connect(&stack, &lines, options.users, options.seed).await?;
    try_join_all(accounts.iter().map(Account::sync_new)).await?;
    let at_first = truths(&stack, &accounts)?;

    let (mut done, mut refreshes) = (Done::default(), Refreshes::default());
    stack.world().make_flaky(FAULTS)?;
    for round in 0..ROUNDS {
        let length = Duration::from_secs(options.seconds) / ROUNDS;
        let seed = options.seed + u64::from(round);
        trouble::make(&stack, &accounts, &mut fleet, length, seed, &mut done).await?;
        expiry::round(&stack, &accounts, round % 2 == 1, &mut refreshes).await?;
    }
    let faults: u64 = stack.world().faults().iter().map(|fault| fault.fired).sum();
    stack.world().clear_faults();

    report.count("providers", lines.len(), Bound::AtLeast(1.0));
    report.count("accounts", accounts.len(), Bound::AtLeast(1.0));
    report.count("syncs asked for", done.asked, Bound::AtLeast(1.0));
    report.count("changes that a sync of what is new must find", done.found, Bound::AtLeast(1.0));
    report.count("changes that only a whole read finds", done.beyond, Bound::None);
    report.count("workers killed", done.kills, Bound::AtLeast(1.0));
    report.count("requests that went wrong", usize::try_from(faults)?, Bound::AtLeast(1.0));
    judge::tell_tokens(&mut report, &refreshes);

    try_join_all(accounts.iter().map(Account::sync_new)).await?;
    let verdict = judge::judge(&stack, &accounts, |number, _| done.unknown[number].clone()).await?;
    judge::tell(&mut report, &judge::NEW, &verdict);
    judge::waste(&stack, &accounts, &mut report).await?;

    try_join_all(accounts.iter().map(Account::sync_all)).await?;
    let untold = |number: usize, truth: &Facts| {
        judge::untold(accounts[number].line, &at_first[number], &done.unknown[number], truth)
    };
    let verdict = judge::judge(&stack, &accounts, untold).await?;
    judge::tell(&mut report, &judge::WHOLE, &verdict);
    judge::tombstones(&stack, &accounts, &at_first, &mut report).await?;
    judge::rest(&stack, &lines, &mut report).await?;
    Ok(report)
}

/// Windows of some seconds instead of minutes and hours: they are spent now and then, and nobody waits long.
fn world(options: &Options) -> Config {
    let read = Allowance { quarter_hour: 200, day: 45_000 };
    let overall = Allowance { quarter_hour: 400, day: 90_000 };
    let withings = WithingsQuota { calls: 1_200, window_s: 60, ..WithingsQuota::STANDARD };
    Config {
        seed: options.seed,
        latency: LATENCY,
        log_capacity: 2_000_000,
        strava_quota: StravaQuota { overall, read },
        strava_windows: StravaWindows { quarter_hour_s: 15, day_s: 3_600, border_s: 0 },
        fitbit: FitbitSettings {
            quota: FitbitQuota { hour: 150 },
            window: FitbitWindow { hour_s: 15, border_s: 0 },
            ..FitbitSettings::default()
        },
        withings_quota: WithingsQuota { same_arguments_s: 0, ..withings },
        garmin: GarminSettings {
            requests_per_minute: 6_000,
            backfill_delay_s: 1,
            ..GarminSettings::default()
        },
        ..Config::default()
    }
}

fn setup(lines: &[&'static dyn Line], base: &str) -> WorkerSetup {
    // What a lost worker reserved counts until its last call must have ended.
    let mut options = vec!["--http-timeout".to_owned(), "5s".to_owned()];
    for line in lines {
        let name = line.name();
        options.extend([format!("--{name}-limits"), line.limits().to_owned()]);
        // Every story has an application at Strava.
        if name != "strava" {
            let application =
                [("client-id", "1234"), ("client-secret", "a-secret-of-the-application")];
            options.extend(
                application
                    .iter()
                    .flat_map(|(what, value)| [format!("--{name}-{what}"), (*value).to_owned()]),
            );
        }
        options.extend(
            line.options(base).into_iter().flat_map(|(name, value)| [name.to_owned(), value]),
        );
    }
    WorkerSetup { slots: SLOTS, options, ..WorkerSetup::default() }
}

fn truths(stack: &Stack, accounts: &[Account]) -> Result<Vec<Facts>> {
    accounts.iter().map(|account| account.line.truth(stack.world(), &account.id)).collect()
}
