//! Everybody who acts: workers, workers that froze and come back late, sweepers, and people. All at once, each on
//! its own connection; what they do is thrown by a seeded die, what comes of it is up to Postgres.

use super::{
    Plan,
    acts::{Acts, Done, Hands},
    job::{At, End, Job},
    parts::Worker,
    tables,
};
use anyhow::{Result, bail};
use fastrand::Rng;
use futures::future::try_join_all;
use paceline_shared::{
    ConnectionId, JobId, JobType, Provider, UserId,
    db::{
        Db,
        sync_jobs::{self, Enqueued, NewSync, WhenLive},
        sync_outcomes::Lease,
    },
    job_state::JobState,
    sync_spec::{Class, SyncOptions},
};
use sqlx::{postgres::types::PgRange, types::Uuid};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
};

/// Leases of lost workers that somebody still believes in, at most.
const MEMORY: usize = 400;

/// A person with a connection, and his job.
struct Person {
    user: UserId,
    connection: ConnectionId,
    job: Option<JobId>,
}

/// Everybody.
pub(super) struct Crowd {
    people: Vec<Person>,
    workers: Vec<Worker>,
    /// Of workers that were lost: they do not know it.
    frozen: Vec<Lease>,
    chance: Rng,
    hands: Hands,
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
            hands: Hands::new(),
        })
    }

    /// Whether a person still thinks of this job as his.
    pub(super) fn has(&self, job: JobId) -> bool {
        self.people.iter().any(|person| person.job == Some(job))
    }

    /// Queues a new job for everybody who has none, or whose last one completed.
    pub(super) async fn enqueue_for_the_idle(
        &mut self,
        db: &Db,
        ended: HashMap<JobId, At>,
    ) -> Result<Vec<JobId>> {
        let mut queued = Vec::new();
        for person in &mut self.people {
            let at = person.job.and_then(|job| ended.get(&job));
            let wants = at == Some(&At::Ended(JobState::Completed)) || person.job.is_none();
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
        let hands = &self.hands;
        let workers =
            self.workers.iter().zip(&seeds).map(|(worker, seed)| hands.work(db, worker, *seed));
        let frozen = late
            .iter()
            .zip(&seeds[self.workers.len()..])
            .map(|(leases, seed)| hands.come_back(db, leases, Rng::with_seed(*seed)));
        let people = seeds[self.workers.len() + 2..][..2]
            .iter()
            .map(|seed| hands.ask(db, &known, Rng::with_seed(*seed)));
        let sweepers = seeds[self.workers.len() + 4..]
            .iter()
            .map(|seed| hands.sweep(db, Rng::with_seed(*seed).i64(1..60)));
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
        let mut done = self.hands.sweep(db, 1_000).await?;
        acts.append(&mut done.acts);
        let worker = Worker::new();
        let mut taken = Done::default();
        self.hands.claim(db, worker.id, 1_000, &mut taken).await?;
        let mut before = usize::MAX;
        while taken.taken.len() != before {
            before = taken.taken.len();
            self.hands.claim_alone(db, worker.id, &mut taken).await?;
        }
        let ends = taken.taken.iter().map(|lease| (*lease, End::As(JobState::Completed))).collect();
        self.hands.settle(db, ends, &mut taken).await?;
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
}
