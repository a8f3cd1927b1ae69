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
mod line;
mod people;
mod strava;
mod trouble;
mod withings;

use super::report::{Bound, Report};
use anyhow::{Result, ensure};
use clap::Args;
use expiry::Refreshes;
use facts::{Facts, Key, Stored, Verdict};
use futures::future::try_join_all;
use line::Line;
use paceline_simulator::{
    Allowance, Config, FitbitQuota, FitbitSettings, FitbitWindow, GarminSettings, StravaQuota,
    StravaWindows, WithingsQuota,
};
use paceline_tests::stack::{Stack, WorkerSetup};
use people::Account;
use std::{collections::BTreeSet, time::Duration};
use trouble::{Done, Fleet};

/// A provider answers after so long.
const LATENCY: Duration = Duration::from_millis(10);
/// Of so many requests one goes wrong.
const FAULTS: f64 = 0.1;
/// Trouble comes in parts; after each, all tokens end.
const ROUNDS: u32 = 4;
const SLOTS: u16 = 3;
/// The most requests for a sync of what is new, of the fewest.
const WASTE: f64 = 1.3;
/// Lines of each kind of difference that are told.
const TOLD: usize = 12;

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
    tell_tokens(&mut report, &refreshes);

    try_join_all(accounts.iter().map(Account::sync_new)).await?;
    let verdict = judge(&stack, &accounts, |number, _| done.unknown[number].clone()).await?;
    tell(&mut report, &NEW, &verdict);
    waste(&stack, &accounts, &mut report).await?;

    try_join_all(accounts.iter().map(Account::sync_all)).await?;
    let untold = |number: usize, truth: &Facts| {
        untold(accounts[number].line, &at_first[number], &done.unknown[number], truth)
    };
    let verdict = judge(&stack, &accounts, untold).await?;
    tell(&mut report, &WHOLE, &verdict);
    tombstones(&stack, &accounts, &at_first, &mut report).await?;
    rest(&stack, &lines, &mut report).await?;
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

/// Compares all accounts; `beyond`: which records of one need not be right yet.
async fn judge(
    stack: &Stack,
    accounts: &[Account],
    beyond: impl Fn(usize, &Facts) -> BTreeSet<Key>,
) -> Result<Verdict> {
    let mut all = Verdict::default();
    for (number, account) in accounts.iter().enumerate() {
        let truth = account.line.truth(stack.world(), &account.id)?;
        let stored = Stored::of(&stack.db, account.connection).await?;
        let mut verdict = Verdict::on(&stored.live, &truth, &beyond(number, &truth));
        if stored.doubled > 0 {
            verdict.surplus.push(format!("{} records twice", stored.doubled));
        }
        all.add(verdict.named(account.line.name()));
    }
    Ok(all)
}

/// What was deleted at a provider that tells nobody.
fn untold(
    line: &dyn Line,
    at_first: &Facts,
    touched: &BTreeSet<Key>,
    truth: &Facts,
) -> BTreeSet<Key> {
    if line.tells_deletions() {
        return BTreeSet::new();
    }
    let once = at_first.keys().chain(touched);
    once.filter(|key| !truth.contains_key(*key)).cloned().collect()
}

/// The names of a comparison's figures.
struct Names {
    compared: &'static str,
    missing: &'static str,
    surplus: &'static str,
    differing: &'static str,
}

const NEW: Names = Names {
    compared: "records compared after what is new",
    missing: "of these missing",
    surplus: "stored and gone, or twice",
    differing: "fields that differ",
};
const WHOLE: Names = Names {
    compared: "records compared after a whole read",
    missing: "of these missing at last",
    surplus: "stored and gone, or twice, at last",
    differing: "fields that differ at last",
};

fn tell(report: &mut Report, names: &Names, verdict: &Verdict) {
    report.count(names.compared, verdict.compared, Bound::AtLeast(1.0));
    for (name, which) in [
        (names.missing, &verdict.missing),
        (names.surplus, &verdict.surplus),
        (names.differing, &verdict.differing),
    ] {
        report.count(name, which.len(), Bound::AtMost(0.0));
        which.iter().take(TOLD).for_each(|line| report.remark(format!("{name}: {line}")));
    }
}

fn tell_tokens(report: &mut Report, refreshes: &Refreshes) {
    report.count("expiries of tokens", refreshes.expiries, Bound::AtLeast(1.0));
    report.count(
        "refreshes",
        usize::try_from(refreshes.refreshes).unwrap_or(usize::MAX),
        Bound::None,
    );
    report.count(
        "expiries without exactly one refresh",
        refreshes.not_one.len(),
        Bound::AtMost(0.0),
    );
    report.count(
        "refreshes with a dead token",
        usize::try_from(refreshes.refused).unwrap_or(usize::MAX),
        Bound::AtMost(0.0),
    );
    refreshes.not_one.iter().take(TOLD).for_each(|line| report.remark(line.clone()));
}

/// Everybody reads what is new once more, in peace: how many requests that takes.
async fn waste(stack: &Stack, accounts: &[Account], report: &mut Report) -> Result<()> {
    let last = stack.world().log(0, usize::MAX).last().map_or(0, |entry| entry.seq);
    try_join_all(accounts.iter().map(Account::sync_new)).await?;
    let log = stack.world().log(last, usize::MAX);
    let (mut made, mut fewest) = (0, 0);
    for account in accounts {
        let reads = log.iter().filter(|entry| {
            account.line.is_read(entry) && entry.user.as_deref() == Some(&*account.id)
        });
        let (reads, needed) = (reads.count(), account.line.fewest(stack.world(), &account.id)?);
        ensure!(reads > 0, "{} of {} was not asked", account.line.name(), account.id);
        if made_too_many(reads, needed) {
            report.remark(format!(
                "{} {}: {reads} requests where {needed} do",
                account.line.name(),
                account.id
            ));
        }
        made += reads;
        fewest += usize::try_from(needed)?;
    }
    report.count("requests of a quiet sync, all accounts", made, Bound::None);
    report.count("fewest that do", fewest, Bound::None);
    report.figure("requests made of the fewest", share(made, fewest), "", Bound::AtMost(WASTE));
    Ok(())
}

fn made_too_many(made: usize, needed: u64) -> bool {
    share(made, usize::try_from(needed).unwrap_or(usize::MAX)) > WASTE
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn share(part: usize, of: usize) -> f64 {
    part as f64 / of.max(1) as f64
}

/// What was there at first, was stored, and is gone: it has a tombstone where the provider tells it at all.
async fn tombstones(
    stack: &Stack,
    accounts: &[Account],
    at_first: &[Facts],
    report: &mut Report,
) -> Result<()> {
    let (mut gone, mut without, mut untold) = (0, Vec::new(), 0);
    for (account, once) in accounts.iter().zip(at_first) {
        let truth = account.line.truth(stack.world(), &account.id)?;
        let stored = Stored::of(&stack.db, account.connection).await?;
        for key in once.keys().filter(|key| !truth.contains_key(*key)) {
            if !account.line.tells_deletions() {
                untold += 1;
            } else if stored.tombstones.contains(key) {
                gone += 1;
            } else {
                without.push(format!("{}: {key:?} has no tombstone", account.line.name()));
            }
        }
    }
    report.count("tombstones of what was deleted", gone, Bound::AtLeast(1.0));
    report.count("deleted without a tombstone", without.len(), Bound::AtMost(0.0));
    report.count("deleted where nobody tells it", untold, Bound::None);
    without.into_iter().take(TOLD).for_each(|line| report.remark(line));
    Ok(())
}

/// What no account alone tells.
async fn rest(stack: &Stack, lines: &[&'static dyn Line], report: &mut Report) -> Result<()> {
    let clocks = facts::contradictions(&stack.db).await?;
    report.count("times that contradict their zone", clocks.len(), Bound::AtMost(0.0));
    clocks.into_iter().take(TOLD).for_each(|line| report.remark(line));
    let over: u64 = lines.iter().map(|line| line.over_limit(stack.world())).sum();
    for line in lines.iter().filter(|line| line.over_limit(stack.world()) > 0) {
        report.remark(format!(
            "{} calls over {}'s limit",
            line.over_limit(stack.world()),
            line.name()
        ));
    }
    report.count("calls over a limit", usize::try_from(over)?, Bound::AtMost(0.0));
    for (name, statement) in [
        (
            "connections not active",
            "select count(*) from paceline.connections where state <> 'active'",
        ),
        ("records set aside", "select count(*) from paceline.record_failures"),
    ] {
        let count: i64 = sqlx::query_scalar(statement).fetch_one(&*stack.db).await?;
        report.count(name, usize::try_from(count)?, Bound::AtMost(0.0));
    }
    Ok(())
}
