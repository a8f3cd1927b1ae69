//! SIGSTOP for three leases, then SIGCONT: at any instant, and inside a transaction, where the frozen
//! owner holds the lock that others need.

use super::{
    Options,
    fleet::{Fleet, LATENCY, Member, drain},
    judge::{NONE, judge, percentile},
    witness::{self, Held},
};
use crate::proofs::report::{Bound, Report};
use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use paceline_tests::proxy::Proxy;
use std::time::{Duration, Instant};
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(13);
const RECLAIM_S: f64 = 20.0;
const SLOTS: u16 = 6;
/// Less than the others have room for: what is measured is no wait for a slot.
const BACKLOG: usize = 30;
/// Users of a round, who are made while the provider is quick.
const USERS: usize = 400;
/// Syncs that outlast a freeze, so that somebody else is at them when their former owner wakes up.
const LONG: u64 = 10;
const LONG_PAGES: u32 = 20;
const PAGE_TAKES: Duration = Duration::from_secs(2);
/// How long a worker that woke up does not hear that its leases are lost.
const IN_THE_DARK: Duration = Duration::from_secs(4);
/// A page takes so long then: it comes while the dark lasts, and while others are still at theirs.
const PAGE_TAKES_THEN: Duration = Duration::from_millis(300);
/// Workers that are frozen, each in its way.
const VICTIMS: usize = 3;
/// Workers that go on, with room for all.
const ROOM: u16 = 24;
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
    workers.extend(fleet.spawn_all(VICTIMS - 1, SLOTS).await);
    let length = Duration::from_secs(options.seconds);
    let freezing = Box::pin(freeze(&fleet, &proxy, &workers, length));
    let freezes = fleet.under_load(BACKLOG, false, freezing).await?;
    fleet.set_latency(LATENCY);
    fleet.settle(SETTLE).await;
    let ended = workers.iter_mut().filter_map(|w| (!w.process.is_running()).then_some(())).count();
    let mut report = Report::new("faults freeze");
    report.count("processes that ended", ended, NONE);
    report.count("workers that did nothing more or ended badly", freezes.idle, NONE);
    tell(&fleet, &freezes, &mut report).await?;
    judge(&fleet, &mut report).await?;
    drain(workers).await;
    Ok(report)
}

/// What the mischief came to.
#[derive(Default)]
struct Freezes {
    all: Vec<Freeze>,
    /// Syncs of frozen workers that others were at when these woke up: a late write would do harm there.
    contested: usize,
    /// Workers that claimed nothing once awake.
    idle: usize,
}

/// Freezes three workers at a time, again and again.
async fn freeze(
    fleet: &Fleet,
    proxy: &Proxy,
    workers: &[Member],
    length: Duration,
) -> Result<Freezes> {
    let end = Instant::now() + length;
    let db = &fleet.stack.db;
    let mut freezes = Freezes::default();
    while freezes.all.is_empty() || Instant::now() < end {
        fleet.set_latency(LATENCY);
        fleet.prepare(USERS).await;
        let long = fleet.ask_long(LONG, LONG_PAGES).await?;
        fleet.set_latency(PAGE_TAKES);
        let began = Instant::now();
        while witness::running(db, &long).await? < long.len() && began.elapsed() < SEARCH {
            tokio::time::sleep(STOPPED).await;
        }
        // Those who go on come now: the long ones are in the hands of those who are frozen.
        let others = fleet.spawn_all(OTHERS, ROOM).await;
        let mut frozen = vec![freeze_behind(fleet, proxy, &workers[0]).await?];
        let candidates = &workers[1..];
        let found = freeze_in_transaction(fleet, candidates).await?;
        let rest = candidates.iter().find(|worker| worker.name != found.name);
        frozen.push(found);
        let rest = rest.context("another worker")?;
        let at = witness::now(db).await?;
        rest.process.sigstop();
        frozen.push(note(fleet, rest, at, false).await?);
        tokio::time::sleep(LEASE * 3).await;
        let taken: Vec<Uuid> = frozen.iter().flat_map(|f| &f.held).map(|held| held.job).collect();
        freezes.contested += witness::running(db, &taken).await?;
        freezes.idle += wake(fleet, proxy, workers, others).await?;
        freezes.all.extend(frozen);
    }
    Ok(freezes)
}

/// Wakes workers up; the first one hears of its leases later than of everything else, so that nothing but
/// the fence keeps it from writing. The others end; answers how many then
/// did nothing, or did not end well.
async fn wake(
    fleet: &Fleet,
    proxy: &Proxy,
    workers: &[Member],
    others: Vec<Member>,
) -> Result<usize> {
    let links = proxy.links();
    let control = || links.iter().filter(|link| link.name() == "paceline-worker-control");
    control().for_each(|link| link.silence());
    fleet.set_latency(PAGE_TAKES_THEN);
    let woken = witness::now(&fleet.stack.db).await?;
    for worker in workers {
        worker.process.sigcont();
    }
    tokio::time::sleep(IN_THE_DARK).await;
    control().for_each(|link| link.resume());
    let mut idle = drain(others).await;
    for worker in workers {
        idle += usize::from(!works_again(fleet, &worker.name, woken).await?);
    }
    Ok(idle)
}

/// What a frozen worker has.
async fn note(
    fleet: &Fleet,
    worker: &Member,
    at: DateTime<Utc>,
    is_in_transaction: bool,
) -> Result<Freeze> {
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
        let at = witness::now(db).await?;
        let inside = witness::in_transaction(db).await?;
        let Some(worker) = candidates.iter().find(|worker| inside.contains(&worker.name)) else {
            continue;
        };
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

async fn tell(fleet: &Fleet, freezes: &Freezes, report: &mut Report) -> Result<()> {
    let (mut inside, mut all) = (Vec::new(), Vec::new());
    let Freezes { all: freezes, contested, .. } = freezes;
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
    let some = Bound::AtLeast(1.0);
    report.count("others were at them when they woke up", *contested, some);
    report.figure("from freeze to next claim, p99", percentile(&mut all, 0.99), "s", bound);
    report.figure("the same inside a transaction, p99", percentile(&mut inside, 0.99), "s", bound);
    report.figure(
        "the same inside a transaction, longest",
        percentile(&mut inside, 1.0),
        "s",
        bound,
    );
    Ok(())
}
