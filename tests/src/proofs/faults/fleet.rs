//! A fleet under load: workers that are known by name, and users whose syncs never cease.

use super::witness;
use anyhow::{Context, Result, bail};
use futures::stream::{self, StreamExt as _};
use paceline_simulator::{Config, FULL_SCOPE, Population};
use paceline_tests::{
    process::Process,
    stack::{Stack, User, WorkerSetup},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

/// A request to a provider takes so long, so that faults meet syncs in every phase.
pub(super) const LATENCY: Duration = Duration::from_millis(15);
/// Of so many syncs one is large.
const LARGE_EVERY: u64 = 25;
const LARGE: u32 = 1_500;
/// Activities on a page.
const PAGE: u32 = 200;
const SMALL: std::ops::Range<u32> = 5..45;
/// Users who are made, or ask, at the same time.
const AT_ONCE: usize = 8;
/// Without an answer for so long, the API is taken for dead.
const PATIENCE: Duration = Duration::from_mins(3);
const AGAIN: Duration = Duration::from_millis(100);

/// A sync that was accepted.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) user: User,
    pub(super) id: Uuid,
}

/// A worker process.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) process: Process,
    /// Its sessions have it as `proof.worker`. Never used again.
    pub(super) name: String,
    pub(super) slots: u16,
}

/// Everything that a proof plays on.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) stack: Stack,
    /// Calls an API with the token of whom it is given.
    http: reqwest::Client,
    /// Where the API is now.
    api: Mutex<String>,
    seed: u64,
    users: AtomicU64,
    members: AtomicU64,
    ready: Mutex<VecDeque<User>>,
    accepted: Mutex<Vec<Accepted>>,
    is_fed: AtomicBool,
    kept: Mutex<Vec<Member>>,
    kept_api: Mutex<Option<Process>>,
}

impl Fleet {
    /// A world, an API and a database that takes notes; no worker yet.
    pub(super) async fn new(seed: u64) -> Result<Self> {
        let config =
            Config { seed, log_capacity: 1_000_000, latency: LATENCY, ..Config::default() };
        let stack = Stack::in_world(config).await;
        witness::install(&stack.db).await?;
        let http =
            reqwest::Client::builder().timeout(Duration::from_secs(30)).no_proxy().build()?;
        let api = Mutex::new(format!("http://{}", stack.api.address()));
        Ok(Self {
            stack,
            http,
            api,
            seed,
            users: AtomicU64::new(0),
            members: AtomicU64::new(0),
            ready: Mutex::default(),
            accepted: Mutex::default(),
            is_fed: AtomicBool::new(true),
            kept: Mutex::default(),
            kept_api: Mutex::default(),
        })
    }

    /// A worker that reaches Postgres directly.
    pub(super) async fn spawn(&self, slots: u16) -> Member {
        self.spawn_over(slots, self.stack.db.url()).await
    }

    /// The same by another way.
    pub(super) async fn spawn_over(&self, slots: u16, database_url: &str) -> Member {
        let number = self.members.fetch_add(1, Ordering::Relaxed);
        let name = format!("w{number}");
        let mark = if database_url.contains('?') { '&' } else { '?' };
        let url = format!("{database_url}{mark}options[proof.worker]={name}");
        let setup = WorkerSetup { slots, ..WorkerSetup::default() };
        let way = ["--database-url".to_owned(), url];
        let process = self.stack.worker_over(&name, &way, setup).await;
        Member { process, name, slots }
    }

    /// Several of a kind.
    pub(super) async fn spawn_all(&self, count: usize, slots: u16) -> Vec<Member> {
        stream::iter(0..count).then(|_| self.spawn(slots)).collect().await
    }

    /// From now on requests go to this API.
    pub(super) fn turn_to(&self, api: &Process) {
        *locked(&self.api) = format!("http://{}", api.address());
    }

    /// Makes users who will ask for a sync each.
    pub(super) async fn prepare(&self, count: usize) {
        stream::iter(0..count)
            .for_each_concurrent(AT_ONCE, |_| async {
                let n = self.users.fetch_add(1, Ordering::Relaxed);
                let mut chance = fastrand::Rng::with_seed(self.seed.wrapping_add(n));
                let is_large = n % LARGE_EVERY == LARGE_EVERY - 1;
                let population = Population {
                    activities: if is_large { LARGE } else { chance.u32(SMALL) },
                    years: 3,
                    seed: Some(self.seed + n),
                    ..Population::default()
                };
                let user =
                    self.stack.user_with(&format!("user-{n}"), &population, FULL_SCOPE).await;
                locked(&self.ready).push_back(user);
            })
            .await;
    }

    /// Syncs of so many pages; answers their ids.
    pub(super) async fn ask_long(&self, count: u64, pages: u32) -> Result<Vec<Uuid>> {
        let mut ids = Vec::new();
        for _ in 0..count {
            let n = self.users.fetch_add(1, Ordering::Relaxed);
            let seed = Some(self.seed + n);
            let population =
                Population { activities: pages * PAGE, years: 5, seed, ..Population::default() };
            let user = self.stack.user_with(&format!("user-{n}"), &population, FULL_SCOPE).await;
            let id = self.ask(&user).await?;
            locked(&self.accepted).push(Accepted { user, id });
            ids.push(id);
        }
        Ok(ids)
    }

    /// From now on a request to a provider takes so long.
    pub(super) fn set_latency(&self, latency: Duration) {
        self.stack.world().set_latency(latency);
    }

    /// Sees to it that about `backlog` syncs are under way, until [`Fleet::starve`]. With `makes_users` it makes
    /// those who ask; else those who were prepared must do.
    pub(super) async fn feed(&self, backlog: usize, makes_users: bool) -> Result<()> {
        while self.is_fed.load(Ordering::Relaxed) {
            let live = live(self).await.unwrap_or(backlog);
            let wanted = backlog.saturating_sub(live);
            if makes_users && locked(&self.ready).len() < wanted {
                self.prepare(AT_ONCE * 4).await;
            }
            let askers: Vec<User> = {
                let mut ready = locked(&self.ready);
                let count = wanted.min(ready.len());
                ready.drain(..count).collect()
            };
            if askers.is_empty() {
                tokio::time::sleep(AGAIN / 2).await;
                continue;
            }
            let mut asking = stream::iter(askers)
                .map(|user| async {
                    let id = self.ask(&user).await?;
                    Ok::<_, anyhow::Error>(Accepted { user, id })
                })
                .buffer_unordered(AT_ONCE);
            while let Some(accepted) = asking.next().await {
                locked(&self.accepted).push(accepted?);
            }
        }
        Ok(())
    }

    /// Processes that go on until the end.
    pub(super) fn keep(&self, members: Vec<Member>, api: Option<Process>) {
        locked(&self.kept).extend(members);
        *locked(&self.kept_api) = api;
    }

    /// No more syncs are asked for.
    pub(super) fn starve(&self) {
        self.is_fed.store(false, Ordering::Relaxed);
    }

    /// All that was accepted.
    pub(super) fn accepted(&self) -> Vec<Accepted> {
        locked(&self.accepted).clone()
    }

    /// Asks for a sync until there is an answer. One key, so that an answer that was lost makes no second one.
    async fn ask(&self, user: &User) -> Result<Uuid> {
        let key = Uuid::new_v4().to_string();
        let token = user.client.token().context("a user with a token")?;
        let body = json!({ "provider": "strava", "jobType": "activities", "options": {} });
        let began = Instant::now();
        loop {
            let url = format!("{}/api/v1/syncs", locked(&self.api));
            let request = self.http.request(Method::POST, url).bearer_auth(token);
            let asked = request.header("idempotency-key", &key).json(&body).send().await;
            let problem = match asked {
                Ok(answer) if answer.status() == StatusCode::ACCEPTED => {
                    if let Ok(sync) = answer.json::<Value>().await {
                        let id = sync["syncId"].as_str().context("a sync without an id")?;
                        return Ok(id.parse()?);
                    }
                    "half an answer".to_owned()
                }
                Ok(answer) if answer.status().is_server_error() => answer.status().to_string(),
                Ok(answer) => {
                    bail!("a sync was refused: {} {}", answer.status(), answer.text().await?)
                }
                Err(error) => error.to_string(),
            };
            if began.elapsed() > PATIENCE {
                bail!("a sync was not accepted within {PATIENCE:?}: {problem}");
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Runs a piece of mischief under load, and waits until the load's last request is answered.
    pub(super) async fn under_load<T>(
        &self,
        backlog: usize,
        makes_users: bool,
        mischief: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let mischief = async {
            let done = mischief.await;
            self.starve();
            done
        };
        let (fed, done) = futures::join!(self.feed(backlog, makes_users), mischief);
        fed?;
        done
    }

    /// Waits until no sync is live; answers how many still are after `limit`.
    pub(super) async fn settle(&self, limit: Duration) -> usize {
        let began = Instant::now();
        loop {
            let left = live(self).await.unwrap_or(usize::MAX);
            if left == 0 || began.elapsed() > limit {
                return left;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

async fn live(fleet: &Fleet) -> Result<usize> {
    let live: i64 = sqlx::query_scalar("select count(*) from paceline.sync_jobs")
        .fetch_one(&*fleet.stack.db)
        .await?;
    Ok(usize::try_from(live)?)
}

/// Asks workers to end and waits for them; answers how many did not end well.
pub(super) async fn drain(members: Vec<Member>) -> usize {
    for member in &members {
        member.process.sigterm();
    }
    let mut failed = 0;
    for mut member in members {
        let status = member.process.wait(Duration::from_secs(30)).await;
        failed += usize::from(!status.success());
    }
    failed
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
