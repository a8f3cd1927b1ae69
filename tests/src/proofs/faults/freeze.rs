//! SIGSTOP for three leases, then SIGCONT: at any instant, and inside a transaction, where the frozen
//! owner holds the lock that others need.

use super::{
    Options,
    fleet::{Fleet, Member, drain},
    judge::{NONE, judge, percentile},
    witness::{self, Held},
};
use crate::proofs::report::{Bound, Report};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use paceline_tests::proxy::Proxy;
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_secs(13);
const RECLAIM_S: f64 = 20.0;
const SLOTS: u16 = 4;
const BACKLOG: usize = 60;
/// Workers that are frozen, each in its way.
const VICTIMS: usize = 3;
/// Workers that go on.
const OTHERS: usize = 2;
/// A transaction is somewhere within this.
const SEARCH: Duration = Duration::from_mins(1);
/// A process that was stopped has stopped, and what it had sent has been done.
const STOPPED: Duration = Duration::from_millis(50);
/// One that woke up is at work again.
const AWAKE: Duration = Duration::from_secs(30);
const SETTLE: Duration = Duration::from_mins(3);

struct Freeze {
    at: DateTime<Utc>,
    name: String,
    is_in_transaction: bool,
    held: Vec<Held>,
}

pub(super) async fn prove(options: &Options) -> Result<Report> {
    let fleet = Fleet::new(options.seed).await?;
    let proxy = Proxy::start(fleet.stack.db.url()).await;
    let mut workers = vec![fleet.spawn_over(SLOTS, &proxy.url()).await];
    workers.extend(fleet.spawn_all(VICTIMS - 1 + OTHERS, SLOTS).await);
    let length = Duration::from_secs(options.seconds);
    let freezing = freeze(&fleet, &proxy, &workers, length);
    let (freezes, idle) = fleet.under_load(BACKLOG, true, freezing).await?;
    fleet.settle(SETTLE).await;
    let ended = workers.iter_mut().filter_map(|w| (!w.process.is_running()).then_some(())).count();
    let mut report = Report::new("faults freeze");
    report.count("processes that ended", ended, NONE);
    report.count("workers that did nothing once awake", idle, NONE);
    tell(&fleet, &freezes, &mut report).await?;
    judge(&fleet, &mut report).await?;
    drain(workers).await;
    Ok(report)
}

/// Freezes three workers at a time, again and again; answers also how many did not work afterwards.
async fn freeze(
    fleet: &Fleet,
    proxy: &Proxy,
    workers: &[Member],
    length: Duration,
) -> Result<(Vec<Freeze>, usize)> {
    let end = Instant::now() + length;
    let (mut freezes, mut idle) = (Vec::new(), 0);
    while freezes.is_empty() || Instant::now() < end {
        let mut frozen = vec![freeze_behind(fleet, proxy, &workers[0]).await?];
        let candidates = &workers[1..VICTIMS];
        let found = freeze_in_transaction(fleet, candidates).await?;
        let rest = candidates.iter().find(|worker| worker.name != found.name);
        frozen.push(found);
        let rest = rest.context("another worker")?;
        let at = witness::now(&fleet.stack.db).await?;
        rest.process.sigstop();
        frozen.push(note(fleet, rest, at, false).await?);
        tokio::time::sleep(LEASE * 3).await;
        let woken = witness::now(&fleet.stack.db).await?;
        let victims = || workers.iter().take(VICTIMS);
        victims().for_each(|worker| worker.process.sigcont());
        for worker in victims() {
            idle += usize::from(!works_again(fleet, &worker.name, woken).await?);
        }
        freezes.extend(frozen);
    }
    Ok((freezes, idle))
}

/// What a frozen worker has.
async fn note(fleet: &Fleet, worker: &Member, at: DateTime<Utc>, is_in_transaction: bool) -> Result<Freeze> {
    let held = witness::held(&fleet.stack.db, &worker.name).await?;
    Ok(Freeze { at, name: worker.name.clone(), is_in_transaction, held })
}

/// Freezes a worker while it waits for an answer inside a transaction: the proxy holds the answer.
async fn freeze_behind(fleet: &Fleet, proxy: &Proxy, worker: &Member) -> Result<Freeze> {
    let db = &fleet.stack.db;
    let began = Instant::now();
    while began.elapsed() < SEARCH {
        let caught = proxy.hold_in_transaction("paceline-worker");
        let Ok(answer) = tokio::time::timeout(SEARCH, caught).await else { break };
        let at = witness::now(db).await?;
        worker.process.sigstop();
        tokio::time::sleep(STOPPED).await;
        if witness::locked(db, &worker.name).await? > 0 {
            drop(answer);
            return note(fleet, worker, at, true).await;
        }
        worker.process.sigcont();
    }
    anyhow::bail!("no transaction of {} holds a job", worker.name)
}

/// Freezes whichever worker is inside a transaction that holds a job.
async fn freeze_in_transaction(fleet: &Fleet, candidates: &[Member]) -> Result<Freeze> {
    let db = &fleet.stack.db;
    let began = Instant::now();
    while began.elapsed() < SEARCH {
        let inside = witness::in_transaction(db).await?;
        let Some(worker) = candidates.iter().find(|worker| inside.contains(&worker.name)) else {
            continue;
        };
        let at = witness::now(db).await?;
        worker.process.sigstop();
        tokio::time::sleep(STOPPED).await;
        // It may have committed just before.
        if witness::locked(db, &worker.name).await? > 0 {
            return note(fleet, worker, at, true).await;
        }
        worker.process.sigcont();
    }
    anyhow::bail!("no worker was found inside a transaction")
}

/// Whether it claims again.
async fn works_again(fleet: &Fleet, name: &str, since: DateTime<Utc>) -> Result<bool> {
    let began = Instant::now();
    while began.elapsed() < AWAKE {
        if witness::has_claimed(&fleet.stack.db, name, since).await? {
            return Ok(true);
        }
        tokio::time::sleep(STOPPED).await;
    }
    Ok(false)
}

async fn tell(fleet: &Fleet, freezes: &[Freeze], report: &mut Report) -> Result<()> {
    let (mut inside, mut all) = (Vec::new(), Vec::new());
    for freeze in freezes {
        let again = witness::claimed_again_s(&fleet.stack.db, freeze.at, &freeze.held).await?;
        all.extend_from_slice(&again);
        if freeze.is_in_transaction {
            inside.extend(again);
        }
    }
    let in_transaction = freezes.iter().filter(|freeze| freeze.is_in_transaction).count();
    let held: usize = freezes.iter().map(|freeze| freeze.held.len()).sum();
    let bound = Bound::AtMost(RECLAIM_S);
    report.count("freezes of three leases", freezes.len(), Bound::None);
    report.count("of these inside a transaction", in_transaction, Bound::AtLeast(2.0));
    report.count("syncs in their hands", held, Bound::AtLeast(1.0));
    report.count("of these claimed by others", all.len(), Bound::AtLeast(1.0));
    report.figure("from freeze to next claim, p99", percentile(&mut all, 0.99), "s", bound);
    report.figure("the same inside a transaction, p99", percentile(&mut inside, 0.99), "s", bound);
    report.figure("the same inside a transaction, longest", percentile(&mut inside, 1.0), "s", bound);
    Ok(())
}
