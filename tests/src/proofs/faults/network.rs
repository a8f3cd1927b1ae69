//! A network between Paceline and its Postgres that delays, resets, falls silent, and cuts between a
//! commit and its answer. What was done is done once, and what did not arrive is missed soon.

use super::{
    Options,
    fleet::{Fleet, Member, drain},
    judge::{NONE, judge, percentile},
    witness,
};
use crate::proofs::report::{Bound, Report};
use anyhow::Result;
use paceline_tests::proxy::{Conditions, Proxy};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use uuid::Uuid;

const WORKERS: usize = 3;
const SLOTS: u16 = 4;
const BACKLOG: usize = 60;
/// How often a commit or its answer is lost.
const OFTEN: f64 = 0.08;
/// How often the answer to a single statement is: a claim that nobody hears of waits for its lease to run out.
const SELDOM: f64 = 0.01;
const DELAY: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_millis(500);
const RESET_EVERY: Duration = Duration::from_millis(300);
const SILENCE_EVERY: Duration = Duration::from_secs(1);
/// What listens and hears nothing is to be noticed within this.
const NOTICED_S: f64 = 10.0;
const PATIENCE: Duration = Duration::from_secs(25);
const AGAIN: Duration = Duration::from_millis(50);
const SETTLE: Duration = Duration::from_mins(3);

#[derive(Default)]
struct Trouble {
    resets: usize,
    silenced: usize,
    /// How long each worker took to notice that it hears nothing.
    noticed: Vec<f64>,
    claims_while_deaf: usize,
}

pub(super) async fn prove(options: &Options) -> Result<Report> {
    let fleet = Fleet::new(options.seed).await?;
    let proxy = Proxy::start(fleet.stack.db.url()).await;
    let mut api = fleet.stack.api_over("api-through-proxy", &proxy.url()).await;
    fleet.turn_to(&api);
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        workers.push(fleet.spawn_over(SLOTS, &proxy.url()).await);
    }
    let length = Duration::from_secs(options.seconds);
    let mischief = trouble(&fleet, &proxy, &workers, options.seed, length);
    let mut trouble = fleet.under_load(BACKLOG, true, mischief).await?;
    let began = Instant::now();
    let left = fleet.settle(SETTLE).await;
    let settled = began.elapsed();
    let is_gone = |is_running: bool| usize::from(!is_running);
    let ended: usize = workers.iter_mut().map(|w| is_gone(w.process.is_running())).sum::<usize>()
        + is_gone(api.is_running());
    let losses = proxy.losses();
    let mut report = Report::new("faults network");
    let some = Bound::AtLeast(1.0);
    report.figure("commits that did not arrive", f64::from(losses.commits), "", some);
    report.figure("commits whose answer was lost", f64::from(losses.answers), "", some);
    report.figure(
        "statements whose answer was lost",
        f64::from(losses.statements),
        "",
        Bound::None,
    );
    report.count("connections reset", trouble.resets, some);
    report.count("connections gone silent", trouble.silenced, some);
    let noticed = percentile(&mut trouble.noticed, 1.0);
    report.figure("until a deaf worker knows, longest", noticed, "s", Bound::AtMost(NOTICED_S));
    report.count("syncs claimed while deaf", trouble.claims_while_deaf, some);
    report.count("processes that ended", ended, NONE);
    report.count("syncs left", left, NONE);
    report.figure("until the backlog was done", settled.as_secs_f64(), "s", Bound::None);
    judge(&fleet, &mut report).await?;
    drain(workers).await;
    Ok(report)
}

async fn trouble(
    fleet: &Fleet,
    proxy: &Proxy,
    workers: &[Member],
    seed: u64,
    length: Duration,
) -> Result<Trouble> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut trouble = Trouble::default();
    let lossy = Conditions {
        commits_lost: OFTEN,
        answers_lost: OFTEN,
        statements_lost: SELDOM,
        ..Conditions::default()
    };
    proxy.set(lossy);
    tokio::time::sleep(length.mul_f64(0.4)).await;
    proxy.set(Conditions { delay: Some(DELAY), ..Conditions::default() });
    tokio::time::sleep(length.mul_f64(0.2)).await;
    proxy.set(Conditions::default());
    let end = Instant::now() + length.mul_f64(0.2);
    while Instant::now() < end {
        if let Some(link) = chance.choice(proxy.links()) {
            link.cut();
            trouble.resets += 1;
        }
        tokio::time::sleep(RESET_EVERY).await;
    }
    let end = Instant::now() + length.mul_f64(0.2);
    while Instant::now() < end {
        let speaking = proxy.links().into_iter().filter(|link| !link.is_silent());
        if let Some(link) = chance.choice(speaking.collect::<Vec<_>>()) {
            link.silence();
            trouble.silenced += 1;
        }
        tokio::time::sleep(SILENCE_EVERY).await;
    }
    let deaf = witness::now(&fleet.stack.db).await?;
    trouble.noticed = deafen(fleet, proxy, workers).await?;
    trouble.claims_while_deaf = witness::claims_since(&fleet.stack.db, deaf).await?;
    proxy.set(Conditions::default());
    Ok(trouble)
}

/// Lets everything that listens hear nothing; answers for each worker how long it took to know.
async fn deafen(fleet: &Fleet, proxy: &Proxy, workers: &[Member]) -> Result<Vec<f64>> {
    proxy.set(Conditions { deaf: true, ..Conditions::default() });
    for link in proxy.links().iter().filter(|link| link.listens()) {
        link.silence();
    }
    let began = Instant::now();
    let mut noticed: HashMap<Uuid, f64> = HashMap::new();
    while noticed.len() < workers.len() && began.elapsed() < PATIENCE {
        let deaf: Vec<Uuid> = sqlx::query_scalar(
            "select id from paceline.workers where not listening and stopped_at is null",
        )
        .fetch_all(&*fleet.stack.db)
        .await?;
        for id in deaf {
            noticed.entry(id).or_insert_with(|| began.elapsed().as_secs_f64());
        }
        tokio::time::sleep(AGAIN).await;
    }
    let mut seconds: Vec<f64> = noticed.into_values().collect();
    seconds.resize(workers.len(), PATIENCE.as_secs_f64());
    Ok(seconds)
}
