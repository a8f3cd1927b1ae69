//! What goes wrong and what people do meanwhile: workers killed, records edited, uploaded late and deleted, syncs asked
//! for by two faces at once.

use super::facts::{Key, changed};
use super::line::Act;
use super::people::Account;
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use paceline_tests::{
    process::Process,
    stack::{Stack, WorkerSetup},
};
use std::{
    collections::BTreeSet,
    ops::Range,
    time::{Duration, Instant},
};

/// Between two acts of all users together, two kills, and two times that an account is asked for, in milliseconds.
const ACT: Range<u64> = 20..180;
const KILL: Range<u64> = 600..2_400;
const ASK: Range<u64> = 300..2_500;
/// Of so many times that somebody looks, one is at the dashboard.
const DASHBOARD: u8 = 4;

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) found: usize,
    pub(super) beyond: usize,
    pub(super) kills: usize,
    pub(super) asked: usize,
    /// By account: records whose state only a read of everything must know.
    pub(super) unknown: Vec<BTreeSet<Key>>,
}

/// The workers, and how one is made.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) workers: Vec<Process>,
    pub(super) setup: WorkerSetup,
    made: usize,
}

impl Fleet {
    pub(super) async fn start(stack: &Stack, count: usize, setup: WorkerSetup) -> Self {
        let mut fleet = Self { workers: Vec::new(), setup, made: 0 };
        for _ in 0..count {
            let worker = fleet.another(stack).await;
            fleet.workers.push(worker);
        }
        fleet
    }

    async fn another(&mut self, stack: &Stack) -> Process {
        self.made += 1;
        let way = ["--database-url".to_owned(), stack.db.url().to_owned()];
        stack.worker_over(&format!("worker-{}", self.made), &way, self.setup.clone()).await
    }

    async fn killed(&mut self, stack: &Stack, chance: &mut fastrand::Rng, until: Instant) -> usize {
        let mut kills = 0;
        while pause(chance, KILL, until).await {
            let victim = chance.usize(..self.workers.len());
            self.workers[victim].kill_9();
            self.workers[victim] = self.another(stack).await;
            kills += 1;
        }
        kills
    }
}

/// Trouble for so long.
pub(super) async fn make(
    stack: &Stack,
    accounts: &[Account],
    fleet: &mut Fleet,
    length: Duration,
    seed: u64,
    done: &mut Done,
) -> Result<()> {
    let until = Instant::now() + length;
    done.unknown.resize_with(accounts.len(), BTreeSet::new);
    let mut chances = fastrand::Rng::with_seed(seed);
    let (mut killing, mut acting) = (chances.fork(), chances.fork());
    let asking = accounts.iter().map(|account| ask(account, chances.fork(), until));
    let asking: Vec<_> = asking.collect();
    let (kills, acted, asked) = tokio::join!(
        fleet.killed(stack, &mut killing, until),
        act(stack, accounts, &mut acting, until, done),
        try_join_all(asking),
    );
    acted?;
    done.kills += kills;
    done.asked += asked?.into_iter().sum::<usize>();
    Ok(())
}

/// False: the time is over.
async fn pause(chance: &mut fastrand::Rng, length_ms: Range<u64>, until: Instant) -> bool {
    tokio::time::sleep(Duration::from_millis(chance.u64(length_ms))).await;
    Instant::now() < until
}

async fn act(
    stack: &Stack,
    accounts: &[Account],
    chance: &mut fastrand::Rng,
    until: Instant,
    done: &mut Done,
) -> Result<()> {
    while pause(chance, ACT, until).await {
        let number = chance.usize(..accounts.len());
        let Account { line, id, .. } = &accounts[number];
        let before = line.truth(stack.world(), id)?;
        match line.act(stack.world(), id, chance)? {
            Act::Found => done.found += 1,
            Act::Nothing => {}
            Act::Beyond => {
                done.beyond += 1;
                let keys = changed(&before, &line.truth(stack.world(), id)?);
                done.unknown[number].extend(keys);
            }
        }
    }
    Ok(())
}

async fn ask(account: &Account, mut chance: fastrand::Rng, until: Instant) -> Result<usize> {
    let mut asked = 0;
    while pause(&mut chance, ASK, until).await {
        if chance.u8(..DASHBOARD) == 0 {
            let shown = account.client.get("/api/v1/data?staleAfter=10").await;
            ensure!(shown.status == 200, "the dashboard: {}", shown.text);
        } else {
            asked += usize::from(account.ask().await?);
        }
    }
    Ok(asked)
}
