//! Those who act: workers, workers that froze and come back late, sweepers, and people. Each on its own
//! connection, all at once; what they do is thrown by a seeded die, what comes of it is up to Postgres.

pub(super) use super::job::Act;

use super::{
    LEASE, Plan,
    job::{At, End, Job},
    order::Timed,
    tables,
};
use anyhow::{Result, bail};
use fastrand::Rng;
use futures::future::try_join_all;
use paceline_shared::{
    ConnectionId, JobId, JobType, Provider, UserId, WorkerId,
    db::{
        self, Db, Error,
        fenced::{Advance, FenceError, Fenced},
        sync_jobs::{self, Cursor, Enqueued, NewSync, RetryOptions, RetryOutcome, WhenLive},
        sync_outcomes::{self, Lease, Outcome},
        sync_runs,
        workers::Presence,
    },
    failure::{Code, Failure},
    job_state::JobState,
    progress::{Checkpoint, Counts, Phase},
    sync_spec::{Class, SyncOptions},
};
use sqlx::{postgres::types::PgRange, types::Uuid};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
    sync::atomic::{AtomicI32, AtomicU64, Ordering},
    time::Duration,
};

/// Leases of lost workers that somebody still believes in, at most.
const MEMORY: usize = 400;

type Acts = Vec<(Option<JobId>, Timed)>;

/// A person with a connection, and his job.
struct Person {
    user: UserId,
    connection: ConnectionId,
    job: Option<JobId>,
}

struct Worker {
    id: WorkerId,
    leases: Vec<Lease>,
}

/// Everybody.
pub(super) struct Crowd {
    people: Vec<Person>,
    workers: Vec<Worker>,
    /// Of workers that were lost: they do not know it.
    frozen: Vec<Lease>,
    chance: Rng,
    tick: AtomicU64,
    page: AtomicI32,
}

/// What one actor did.
#[derive(Default)]
struct Done {
    acts: Acts,
    busy: u64,
    taken: Vec<Lease>,
    left: HashSet<(JobId, i64)>,
}

impl Crowd {
    /// People with connections, and workers.
    pub(super) async fn gather(db: &Db, plan: &Plan) -> Result<Self> {
        let ids: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "with u as (insert into paceline.users (id, external_id)
                        select id, id::text from (select gen_random_uuid() as id from generate_series(1, $1)) n returning id)
             insert into paceline.connections (id, user_id, provider, provider_account_id)
             select gen_random_uuid(), id, 'strava', id::text from u returning user_id, id",
        )
        .bind(i32::try_from(plan.people)?)
        .fetch_all(db)
        .await?;
        let person = |(user, connection)| Person {
            user: UserId(user),
            connection: ConnectionId(connection),
            job: None,
        };
        Ok(Self {
            people: ids.into_iter().map(person).collect(),
            workers: (0..plan.workers).map(|_| Worker::new()).collect(),
            frozen: Vec::new(),
            chance: Rng::with_seed(plan.seed),
            tick: AtomicU64::new(0),
            page: AtomicI32::new(2),
        })
    }

    /// Whether a person still thinks of this job as his.
    pub(super) fn has(&self, job: JobId) -> bool {
        self.people.iter().any(|person| person.job == Some(job))
    }

    /// Queues a new job for everybody who has none, or whose last one completed; now and then also instead of one
    /// that failed or was cancelled, which another round might have retried.
    pub(super) async fn enqueue_for_the_idle(
        &mut self,
        db: &Db,
        ended: HashMap<JobId, At>,
    ) -> Result<Vec<JobId>> {
        let mut queued = Vec::new();
        for person in &mut self.people {
            let at = person.job.and_then(|job| ended.get(&job));
            let wants = match (person.job, at) {
                (None, _) | (_, Some(At::Ended(JobState::Completed))) => true,
                _ => false,
            };
            if !wants {
                continue;
            }
            let sync = NewSync {
                user: person.user,
                connection: person.connection,
                provider: Provider::Strava,
                job_type: JobType::Activities,
                class: Class::Scheduled,
                range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
                options: SyncOptions::default(),
                trace: None,
                requested_by: None,
            };
            let mut tx = db.begin().await?;
            let Enqueued::New(job) = sync_jobs::enqueue(&mut tx, &sync, WhenLive::Refuse).await?
            else {
                bail!("the place of a job that completed is taken");
            };
            tx.commit().await?;
            person.job = Some(job);
            queued.push(job);
        }
        Ok(queued)
    }

    /// Now and then a worker freezes or dies: its leases fall silent, and another process takes its place.
    pub(super) async fn lose_workers(
        &mut self,
        db: &Db,
        jobs: &mut BTreeMap<JobId, Job>,
    ) -> Result<()> {
        for n in 0..self.workers.len() {
            if self.chance.u32(..8) == 0 {
                self.lose(db, n, jobs).await?;
            }
        }
        Ok(())
    }

    /// All workers, for the end; and the frozen ones, some of which renewed a lease that nobody had taken yet.
    pub(super) async fn lose_everybody(
        &mut self,
        db: &Db,
        jobs: &mut BTreeMap<JobId, Job>,
    ) -> Result<()> {
        let mut held = Vec::new();
        for (id, job) in jobs.iter_mut() {
            if let At::Running { silent, .. } = &mut job.at {
                *silent = true;
                held.push(*id);
            }
        }
        self.workers.clear();
        self.frozen.clear();
        tables::age(db, &held).await
    }

    async fn lose(&mut self, db: &Db, n: usize, jobs: &mut BTreeMap<JobId, Job>) -> Result<()> {
        let lost = std::mem::replace(&mut self.workers[n], Worker::new());
        let mut aged = Vec::new();
        for lease in &lost.leases {
            let Some(job) = jobs.get_mut(&lease.job) else { continue };
            if let At::Running { worker, silent, .. } = &mut job.at
                && *worker == lease.worker
                && job.epoch == lease.epoch
            {
                *silent = true;
                aged.push(lease.job);
            }
        }
        tables::age(db, &aged).await?;
        self.frozen.extend(lost.leases);
        self.chance.shuffle(&mut self.frozen);
        self.frozen.truncate(MEMORY);
        Ok(())
    }

    /// A round: everybody at the same time.
    pub(super) async fn act(
        &mut self,
        db: &Db,
        jobs: &BTreeMap<JobId, Job>,
        busy: &mut u64,
    ) -> Result<Acts> {
        let seeds: Vec<u64> = (0..self.workers.len() + 6).map(|_| self.chance.u64(..)).collect();
        let late: Vec<Vec<Lease>> = (0..2).map(|_| self.pick_frozen(8)).collect();
        let known: Vec<(UserId, JobId, bool)> = self
            .people
            .iter()
            .filter_map(|person| {
                let job = person.job?;
                let ended = matches!(jobs.get(&job)?.at, At::Ended(_));
                Some((person.user, job, ended))
            })
            .collect();
        let this = &*self;
        let workers =
            this.workers.iter().zip(&seeds).map(|(worker, seed)| this.work(db, worker, *seed));
        let frozen = late
            .iter()
            .zip(&seeds[this.workers.len()..])
            .map(|(leases, seed)| this.come_back(db, leases, Rng::with_seed(*seed)));
        let people = seeds[this.workers.len() + 2..][..2]
            .iter()
            .map(|seed| this.ask(db, &known, Rng::with_seed(*seed)));
        let sweepers = seeds[this.workers.len() + 4..]
            .iter()
            .map(|seed| this.sweep(db, Rng::with_seed(*seed).i64(1..60)));
        let (workers, frozen, people, sweepers) = futures::try_join!(
            try_join_all(workers),
            try_join_all(frozen),
            try_join_all(people),
            try_join_all(sweepers),
        )?;
        let mut acts = Vec::new();
        for (n, mut done) in workers.into_iter().enumerate() {
            let leases = &mut self.workers[n].leases;
            leases.append(&mut done.taken);
            leases.retain(|lease| !done.left.contains(&(lease.job, lease.epoch)));
            acts.append(&mut done.acts);
            *busy += done.busy;
        }
        for mut done in frozen.into_iter().chain(people).chain(sweepers) {
            acts.append(&mut done.acts);
            *busy += done.busy;
        }
        Ok(acts)
    }

    /// A round of the end: what is due comes back, and everything is claimed and completed.
    pub(super) async fn work_off(&mut self, db: &Db, busy: &mut u64) -> Result<Acts> {
        let mut acts = Vec::new();
        let mut done = self.sweep(db, 1_000).await?;
        acts.append(&mut done.acts);
        let worker = Worker::new();
        let mut taken = Done::default();
        self.claim(db, worker.id, 1_000, &mut taken).await?;
        let mut before = usize::MAX;
        while taken.taken.len() != before {
            before = taken.taken.len();
            self.claim_alone(db, worker.id, &mut taken).await?;
        }
        let ends = taken.taken.iter().map(|lease| (*lease, End::As(JobState::Completed))).collect();
        self.settle(db, ends, &mut taken).await?;
        acts.append(&mut taken.acts);
        *busy += done.busy + taken.busy;
        Ok(acts)
    }

    fn pick_frozen(&mut self, most: usize) -> Vec<Lease> {
        let mut picked = HashSet::new();
        let mut leases = Vec::new();
        for _ in 0..most.min(self.frozen.len()) {
            let lease = self.frozen[self.chance.usize(..self.frozen.len())];
            if picked.insert(lease.job) {
                leases.push(lease);
            }
        }
        leases
    }

    fn now(&self) -> u64 {
        self.tick.fetch_add(1, Ordering::AcqRel)
    }

    /// A worker's part of a round: it claims, beats, writes for some jobs and lets go of some.
    async fn work(&self, db: &Db, worker: &Worker, seed: u64) -> Result<Done> {
        let mut chance = Rng::with_seed(seed);
        let mut done = Done::default();
        if chance.bool() {
            self.claim(db, worker.id, chance.i64(1..24), &mut done).await?;
        }
        if chance.u32(..4) == 0 {
            self.claim_alone(db, worker.id, &mut done).await?;
        }
        let mut held: Vec<Lease> = worker.leases.iter().chain(&done.taken).copied().collect();
        chance.shuffle(&mut held);
        self.beat(db, worker.id, &held, &mut done).await?;
        for lease in held.iter().take(chance.usize(..4)) {
            self.write(db, *lease, chance.bool(), &mut done).await?;
        }
        chance.shuffle(&mut held);
        let ends = held
            .iter()
            .take(chance.usize(..10))
            .map(|lease| (*lease, any_end(&mut chance)))
            .collect();
        self.settle(db, ends, &mut done).await?;
        Ok(done)
    }

    /// A worker that froze goes on where it stopped.
    async fn come_back(&self, db: &Db, leases: &[Lease], mut chance: Rng) -> Result<Done> {
        let mut done = Done::default();
        let (mut ends, mut beats) = (Vec::new(), HashMap::<WorkerId, Vec<Lease>>::new());
        for lease in leases {
            match chance.u32(..3) {
                0 => self.write(db, *lease, true, &mut done).await?,
                1 => ends.push((*lease, any_end(&mut chance))),
                _ => beats.entry(lease.worker).or_default().push(*lease),
            }
        }
        self.settle(db, ends, &mut done).await?;
        for (worker, leases) in beats {
            self.beat(db, worker, &leases, &mut done).await?;
        }
        Ok(done)
    }

    /// People cancel and retry.
    async fn ask(&self, db: &Db, known: &[(UserId, JobId, bool)], mut chance: Rng) -> Result<Done> {
        let mut done = Done::default();
        for _ in 0..chance.usize(..4) {
            let (user, job, _) = known[chance.usize(..known.len())];
            let from = self.now();
            match sync_jobs::cancel(db, user, job).await {
                Ok(outcome) => self.note(&mut done, job, from, Act::Cancelled(outcome)),
                Err(error) => self.in_the_way(&mut done, error)?,
            }
        }
        let ended: Vec<_> = known.iter().filter(|(_, _, ended)| *ended).collect();
        for _ in 0..chance.usize(..8) {
            let any = &known[chance.usize(..known.len())];
            let (user, job, _) =
                if ended.is_empty() { any } else { ended[chance.usize(..ended.len())] };
            let from = self.now();
            let asked: Result<RetryOutcome, Error> = async {
                let mut tx = db::begin(db).await?;
                let outcome =
                    sync_jobs::retry(&mut tx, *user, *job, RetryOptions::default()).await?;
                tx.commit().await?;
                Ok(outcome)
            }
            .await;
            match asked {
                Ok(outcome) => {
                    let queued = matches!(outcome, RetryOutcome::Queued(_));
                    self.note(&mut done, *job, from, Act::Retried(queued));
                }
                Err(error) => self.in_the_way(&mut done, error)?,
            }
        }
        Ok(done)
    }

    /// Takes back what is silent, and puts back what is due.
    async fn sweep(&self, db: &Db, limit: i64) -> Result<Done> {
        let mut done = Done::default();
        let from = self.now();
        if let Err(error) = sync_runs::reclaim(db, LEASE, limit).await {
            self.in_the_way(&mut done, error)?;
        }
        let act = Act::MayReclaim;
        done.acts.push((None, Timed { act, from, until: self.now() }));
        let from = self.now();
        if let Err(error) = sync_jobs::promote(db).await {
            self.in_the_way(&mut done, error)?;
        }
        let act = Act::MayPromote;
        done.acts.push((None, Timed { act, from, until: self.now() }));
        Ok(done)
    }

    async fn claim(&self, db: &Db, worker: WorkerId, limit: i64, done: &mut Done) -> Result<()> {
        let from = self.now();
        match sync_jobs::claim(db, worker, Provider::Strava, limit, Cursor::START).await {
            Ok(claim) => {
                for job in claim.jobs {
                    self.took(done, worker, from, &job, false);
                }
                Ok(())
            }
            Err(error) => self.in_the_way(done, error),
        }
    }

    async fn claim_alone(&self, db: &Db, worker: WorkerId, done: &mut Done) -> Result<()> {
        let from = self.now();
        match sync_jobs::claim_suspect(db, worker, &[Provider::Strava]).await {
            Ok(job) => {
                if let Some(job) = job {
                    self.took(done, worker, from, &job, true);
                }
                Ok(())
            }
            Err(error) => self.in_the_way(done, error),
        }
    }

    fn took(
        &self,
        done: &mut Done,
        worker: WorkerId,
        from: u64,
        job: &sync_jobs::Claimed,
        alone: bool,
    ) {
        done.taken.push(Lease { job: job.id, epoch: job.epoch, worker });
        let act = Act::Claimed { worker, epoch: job.epoch, attempt: job.attempt, alone };
        self.note(done, job.id, from, act);
    }

    async fn beat(
        &self,
        db: &Db,
        worker: WorkerId,
        leases: &[Lease],
        done: &mut Done,
    ) -> Result<()> {
        let me = Presence {
            id: worker,
            label: "model",
            host: "model",
            pid: 1,
            providers: &[],
            slots: 1_000,
            payload_version: 1,
            version: "model",
            jobs: i32::try_from(leases.len())?,
            rss_bytes: 0,
            listening: true,
            draining: false,
        };
        let held: Vec<(JobId, i64)> = leases.iter().map(|lease| (lease.job, lease.epoch)).collect();
        let from = self.now();
        match sync_runs::beat(db, &me, &held).await {
            Ok(heard) => {
                for (job, epoch, heard) in heard.leases {
                    self.note(done, job, from, Act::Beat { epoch, worker, heard });
                    if heard == sync_runs::Beat::Lost {
                        done.left.insert((job, epoch));
                    }
                }
                Ok(())
            }
            Err(error) => self.in_the_way(done, error),
        }
    }

    /// Moves the checkpoint; `slowly`: others get a chance between the fence and the commit.
    async fn write(&self, db: &Db, lease: Lease, slowly: bool, done: &mut Done) -> Result<()> {
        let page = self.page.fetch_add(1, Ordering::AcqRel);
        let from = self.now();
        let wrote: Result<(), FenceError> = async {
            let fenced = Fenced::begin(db, lease).await?;
            if slowly {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let checkpoint = Checkpoint::Fetch { next_page: page };
            let counts = Counts::default();
            fenced
                .commit(Advance {
                    checkpoint,
                    counts: &counts,
                    estimated_total: None,
                    publish: None,
                })
                .await
        }
        .await;
        let accepted = match wrote {
            Ok(()) => true,
            Err(FenceError::LeaseLost) => false,
            Err(FenceError::Db(error)) => return self.in_the_way(done, error),
        };
        let Lease { job, epoch, worker } = lease;
        self.note(done, job, from, Act::Wrote { epoch, worker, page, accepted });
        Ok(())
    }

    async fn settle(&self, db: &Db, ends: Vec<(Lease, End)>, done: &mut Done) -> Result<()> {
        if ends.is_empty() {
            return Ok(());
        }
        let outcomes: Vec<(Lease, Outcome)> =
            ends.iter().map(|(lease, end)| (*lease, outcome(*end))).collect();
        let from = self.now();
        match sync_outcomes::settle(db, &outcomes).await {
            Ok(settled) => {
                for (Lease { job, epoch, worker }, end) in ends {
                    let held = settled.held.contains(&job);
                    self.note(done, job, from, Act::Settled { epoch, worker, end, held });
                    done.left.insert((job, epoch));
                }
                Ok(())
            }
            Err(error) => self.in_the_way(done, error),
        }
    }

    fn note(&self, done: &mut Done, job: JobId, from: u64, act: Act) {
        done.acts.push((Some(job), Timed { act, from, until: self.now() }));
    }

    /// An act that Postgres undid did not happen.
    fn in_the_way(&self, done: &mut Done, error: Error) -> Result<()> {
        let Error::Busy(_) = error else { return Err(error.into()) };
        done.busy += 1;
        Ok(())
    }
}

impl Worker {
    fn new() -> Self {
        Self { id: WorkerId::fresh(), leases: Vec::new() }
    }
}

fn any_end(chance: &mut Rng) -> End {
    match chance.u32(..12) {
        0..3 => End::As(JobState::Completed),
        3..5 => End::As(JobState::Failed),
        5 => End::As(JobState::Cancelled),
        6..8 => End::Released,
        8..10 => End::Parked,
        _ => End::Retry,
    }
}

fn outcome(end: End) -> Outcome {
    let failure = || Failure {
        code: Code::NetworkError,
        message: "the model failed it".to_owned(),
        phase: Phase::Fetch,
        context: serde_json::Map::new(),
        at: chrono::Utc::now(),
    };
    match end {
        End::As(JobState::Failed) => Outcome::Failed(failure()),
        End::As(JobState::Cancelled) => Outcome::Cancelled,
        End::As(_) => Outcome::Completed,
        End::Released => Outcome::Released,
        // Due at once: when it comes back is for the sweepers to say.
        End::Parked => Outcome::Parked {
            reason: "rate_limit",
            until: chrono::Utc::now() - chrono::TimeDelta::seconds(5),
            message: "the model parked it".to_owned(),
        },
        End::Retry => Outcome::Retry { failure: failure(), after: Duration::ZERO },
    }
}
