//! The single-sync face under many polls: how soon a status is told while syncs run, that progress moves and never goes
//! back, that of a hundred simultaneous starts one is taken, and that nothing of it is lost when all processes are killed.

use super::{
    everywhere::{self, Account, PLACES},
    report::{Bound, Report},
};
use anyhow::{Context as _, Result, ensure};
use clap::Args;
use futures::future::{join_all, try_join_all};
use paceline_simulator::{Config, GarminSettings};
use paceline_tests::{
    client::Client,
    process::Process,
    stack::{Stack, WorkerSetup},
};
use serde::Deserialize;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

/// What to run.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How long statuses are asked for.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(5..))]
    seconds: u64,
    /// Seed of the histories.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Users, each with an account at every provider.
const USERS: usize = 5;
const POLLS_PER_S: u64 = 200;
/// At once, for one account.
const STARTS: usize = 100;
const LIMIT: Duration = Duration::from_mins(3);
/// A provider answers after so long: its syncs take some seconds.
const LATENCY: Duration = Duration::from_millis(25);
const STORM_LATENCY: Duration = Duration::from_secs(3);
const START_LIMIT_S: f64 = 2.0;
const STANDSTILL_LIMIT_S: f64 = 30.0;
/// Progress is told at least so often, or every [`STANDSTILL_LIMIT_S`].
const STEP: f64 = 0.1;

/// Lines of each kind that are told of what is wrong.
const TOLD: usize = 5;

/// As the face tells it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Status {
    #[serde(rename = "status")]
    state: String,
    progress: f64,
    job_type: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
    error_message: Option<String>,
}

/// Runs the proof.
pub(crate) async fn prove(options: &Options) -> Result<Report> {
    let garmin = GarminSettings { backfill_days_per_minute: u32::MAX, ..GarminSettings::default() };
    let world = Config { seed: options.seed, latency: LATENCY, garmin, ..Config::default() };
    let mut stack = Stack::in_world(world).await;
    let mut workers = workers(&mut stack).await;
    let accounts = accounts(&stack).await?;
    let mut report = Report::new("status");

    // Connecting started a sync for each; its face is idle for whoever has connected nothing.
    let idle = look(&stack.client("nobody"), "/strava/sync/status").await?;
    report.count("idle where there was no sync", usize::from(is_idle(&idle)), Bound::AtLeast(1.0));

    let watched = watch(&accounts, Duration::from_secs(options.seconds)).await?;
    watched.tell(&mut report);
    rest(&accounts).await?;
    // The one that is taken must not be over before the last start has come.
    stack.world().set_latency(STORM_LATENCY);
    storm(&accounts, &mut report).await?;
    stack.world().set_latency(LATENCY);
    rest(&accounts).await?;
    restart(&mut stack, &mut workers, accounts, &mut report).await?;
    Ok(report)
}

async fn workers(stack: &mut Stack) -> Vec<Process> {
    let mut workers = Vec::new();
    for _ in 0..2 {
        let options = everywhere::options(&stack.sim.base_url());
        let setup = WorkerSetup { slots: 8, options, ..WorkerSetup::default() };
        workers.push(stack.worker_with(setup).await);
    }
    workers
}

async fn accounts(stack: &Stack) -> Result<Vec<Account>> {
    let mut accounts = Vec::new();
    for user in 0..USERS {
        let owner = stack.client(&format!("user-{user}"));
        for place in PLACES {
            let account = Account::new(stack, place, &owner).await?;
            account.connect().await?;
            accounts.push(account);
        }
    }
    Ok(accounts)
}

async fn look(client: &Client, path: &str) -> Result<Status> {
    let answer = client.get(path).await;
    ensure!(answer.status == 200, "{path}: {}", answer.text);
    serde_json::from_value(answer.body).with_context(|| format!("{path}: {}", answer.text))
}

fn is_idle(status: &Status) -> bool {
    let Status { state, progress, job_type, start_time, end_time, error_message } = status;
    let says_nothing =
        [job_type, start_time, end_time, error_message].iter().all(|it| it.is_none());
    state == "idle" && *progress == 0.0 && says_nothing
}

/// What was seen of one sync.
#[derive(Debug)]
struct Seen {
    progress: f64,
    /// When it was first seen to be so far.
    since: Instant,
}

/// What many looks showed.
#[derive(Debug, Default)]
struct Watched {
    took_ms: Vec<f64>,
    syncs: usize,
    running: usize,
    moves: usize,
    back: usize,
    unlike: Vec<String>,
    unanswered: Vec<String>,
    longest_still: Duration,
    late_leaps: usize,
    last: HashMap<(usize, String), Seen>,
}

impl Watched {
    fn hear(
        &mut self,
        account: usize,
        told: Result<Status>,
        asked: Instant,
        took: Duration,
    ) -> Option<Status> {
        self.took_ms.push(took.as_secs_f64() * 1_000.0);
        match told {
            Ok(status) => {
                self.see(account, &status, asked, Instant::now());
                Some(status)
            }
            Err(error) => {
                self.unanswered.push(format!("{error:#}"));
                None
            }
        }
    }

    /// An answer to a question that was asked before the last news came may be older than them.
    fn see(&mut self, account: usize, status: &Status, asked: Instant, now: Instant) {
        let Some(start) = &status.start_time else {
            self.unlike.push(format!("account {account} is {status:?} after it was synced"));
            return;
        };
        if status.state == "failed" || (status.state == "completed") != (status.progress >= 1.0) {
            self.unlike.push(format!("account {account}: {status:?}"));
        }
        self.running += usize::from(status.state == "in_progress");
        let seen = self.last.entry((account, start.clone())).or_insert_with(|| {
            self.syncs += 1;
            Seen { progress: status.progress, since: now }
        });
        let step = status.progress - seen.progress;
        self.back += usize::from(step < 0.0 && asked > seen.since);
        let still = now.duration_since(seen.since);
        if step > 0.0 {
            self.moves += 1;
            self.late_leaps += usize::from(step > STEP && still.as_secs_f64() > STANDSTILL_LIMIT_S);
            (seen.progress, seen.since) = (status.progress, now);
        }
        if status.state == "in_progress" {
            self.longest_still = self.longest_still.max(still);
        }
    }

    fn tell(mut self, report: &mut Report) {
        self.took_ms.sort_by(f64::total_cmp);
        let share = |part: usize| {
            let place = self.took_ms.len() * part / 100;
            self.took_ms.get(place).or(self.took_ms.last()).copied().unwrap_or(f64::MAX)
        };
        report.count("polls", self.took_ms.len(), Bound::AtLeast(1.0));
        report.count("of these while the sync was running", self.running, Bound::AtLeast(1.0));
        report.figure("a status is told in, half of them", share(50), "ms", Bound::None);
        report.figure("a status is told in, 99 in 100", share(99), "ms", Bound::AtMost(50.0));
        report.count("syncs watched", self.syncs, Bound::AtLeast(1.0));
        report.count("moves of their progress", self.moves, Bound::AtLeast(1.0));
        report.count("moves backwards", self.back, Bound::AtMost(0.0));
        report.figure(
            "longest standstill of one in progress",
            self.longest_still.as_secs_f64(),
            "s",
            Bound::AtMost(STANDSTILL_LIMIT_S),
        );
        report.count("leaps of over 10 % after over 30 s", self.late_leaps, Bound::AtMost(0.0));
        report.count("statuses that contradict themselves", self.unlike.len(), Bound::AtMost(0.0));
        report.count("polls without a status", self.unanswered.len(), Bound::AtMost(0.0));
        let lines =
            self.unlike.into_iter().take(TOLD).chain(self.unanswered.into_iter().take(TOLD));
        lines.for_each(|line| report.remark(line));
    }
}

/// Asks for statuses at a steady rate, whatever the answers take, and keeps syncs running meanwhile.
async fn watch(accounts: &[Account], length: Duration) -> Result<Watched> {
    let mut watched = Watched::default();
    let (mut polls, mut starts) = (JoinSet::new(), JoinSet::new());
    let mut tick = interval(Duration::from_secs(1) / u32::try_from(POLLS_PER_S)?);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < length {
        let due = tick.tick().await;
        let (nth, account) = (number % accounts.len(), accounts[number % accounts.len()].clone());
        number += 1;
        polls.spawn(async move {
            // From when it was due: a queue in front of a slow answer counts.
            let asked = Instant::now();
            let status = look(&account.owner, &account.status_path()).await;
            (nth, status, asked, due.elapsed())
        });
        while let Some(done) = polls.try_join_next() {
            let (nth, status, asked, took) = done?;
            let status = watched.hear(nth, status, asked, took);
            if status.is_some_and(|status| status.state == "completed") {
                let account = accounts[nth].clone();
                starts.spawn(async move { account.read_all().await });
            }
        }
        while let Some(status) = starts.try_join_next() {
            let status = status?;
            if !matches!(status, 202 | 409) {
                watched.unanswered.push(format!("a start was answered {status}"));
            }
        }
    }
    while let Some(done) = polls.join_next().await {
        let (nth, status, asked, took) = done?;
        watched.hear(nth, status, asked, took);
    }
    starts.join_all().await;
    Ok(watched)
}

/// Until none is in progress any more.
async fn rest(accounts: &[Account]) -> Result<Vec<Status>> {
    let ends = accounts.iter().map(async |account| {
        loop {
            let status = look(&account.owner, &account.status_path()).await?;
            if status.state != "in_progress" {
                return Ok::<_, anyhow::Error>(status);
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    timeout(LIMIT, try_join_all(ends)).await.context("syncs do not end")?
}

/// A hundred starts at once for each provider: one is taken.
async fn storm(accounts: &[Account], report: &mut Report) -> Result<()> {
    let (mut taken, mut refused, mut other, mut longest) = (0, 0, Vec::new(), Duration::ZERO);
    let stormed: Vec<&Account> = accounts.iter().take(PLACES.len()).collect();
    for account in &stormed {
        let path = account.start_path();
        let starts = (0..STARTS).map(async |_| {
            let began = Instant::now();
            let answer = account.owner.post_nothing(&path).await;
            (answer, began.elapsed())
        });
        for (answer, took) in join_all(starts).await {
            longest = longest.max(took);
            match answer.status.as_u16() {
                202 => taken += 1,
                409 if answer.problem().sync_id.is_some() => refused += 1,
                status => other.push(format!("{path}: {status} {}", answer.text)),
            }
        }
    }
    let each = stormed.len();
    report.count("rounds of 100 simultaneous starts", each, Bound::AtLeast(1.0));
    let one_each = usize::from(taken == each && refused == each * (STARTS - 1));
    report.count("202s", taken, Bound::None);
    report.count("409s", refused, Bound::None);
    report.count("rounds as they must be: 1 and 99", one_each * each, exactly(each));
    report.figure(
        "the slowest was answered in",
        longest.as_secs_f64(),
        "s",
        Bound::AtMost(START_LIMIT_S),
    );
    report.count("other answers", other.len(), Bound::AtMost(0.0));
    other.into_iter().take(TOLD).for_each(|line| report.remark(line));
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
const fn exactly(count: usize) -> Bound {
    Bound::AtLeast(count as f64)
}

/// Kills the API and the workers in the middle of a sync of every account, and starts them again.
async fn restart(
    stack: &mut Stack,
    workers: &mut Vec<Process>,
    accounts: Vec<Account>,
    report: &mut Report,
) -> Result<()> {
    // Some stay as they ended, the others are in the middle of it.
    let (ended, running) = accounts.split_at(PLACES.len());
    let before = rest(ended).await?;
    for account in running {
        ensure!(account.read_all().await == 202, "a sync did not start");
    }
    let under_way = try_join_all(running.iter().map(async |account| {
        loop {
            let status = look(&account.owner, &account.status_path()).await?;
            if status.state != "in_progress" || status.progress > 0.0 {
                return Ok::<_, anyhow::Error>(status);
            }
        }
    }));
    let under_way = timeout(LIMIT, under_way).await.context("syncs do not begin")??;
    let living = under_way.iter().filter(|status| status.state == "in_progress").count();
    report.count("syncs in progress when all was killed", living, Bound::AtLeast(1.0));
    stack.api.kill_9();
    workers.iter_mut().for_each(Process::kill_9);
    let api = stack.another_api("api-again", &["--allow-local-issuer"]).await;
    let at = |account: &Account| {
        let base = format!("http://{}", api.address());
        Account {
            owner: Client::new(base, account.owner.token().map(str::to_owned)),
            ..account.clone()
        }
    };
    let (ended, running): (Vec<_>, Vec<_>) =
        (ended.iter().map(at).collect(), running.iter().map(at).collect());
    let (mut lost, mut lines) = (0, Vec::new());
    for (account, was) in ended.iter().zip(before) {
        let is = look(&account.owner, &account.status_path()).await?;
        lost += usize::from(is != was);
    }
    for (account, was) in running.iter().zip(&under_way) {
        let is = look(&account.owner, &account.status_path()).await?;
        let goes_on = is.start_time == was.start_time && is.progress >= was.progress;
        lost += usize::from(!goes_on);
        if !goes_on {
            lines.push(format!("{was:?} became {is:?}"));
        }
    }
    report.count("statuses lost by the restart", lost, Bound::AtMost(0.0));
    workers.clear();
    *workers = self::workers(stack).await;
    let ends = rest(&running).await?;
    let same = ends
        .iter()
        .zip(&under_way)
        .filter(|(is, was)| is.state == "completed" && is.start_time == was.start_time);
    report.count("of these completed after it", same.count(), exactly(running.len()));
    lines.into_iter().take(TOLD).for_each(|line| report.remark(line));
    Ok(())
}
