//! The lease protocol, tried against a pure model ([`job`]).
//!
//! Workers, frozen workers, sweepers and people act on the same jobs at the same time, through the application's own
//! statements on a real Postgres, by the choices of a seeded die. After each round every job must be what some order of
//! these acts makes of it in the model. So there is one live epoch a job, epochs only rise, a stale lease writes nothing,
//! attempts are counted as the model counts them; and in the end every job ends.

mod acts;
mod crowd;
pub mod job;
mod order;
mod parts;
mod tables;

use acts::Act;
use anyhow::{Context, Result, bail, ensure};
use crowd::Crowd;
use job::{At, Job};
use order::Timed;
use paceline_shared::{
    JobId,
    db::{Db, fenced::IDLE_LIMIT},
    job_state::JobState,
};
use std::{
    collections::{BTreeMap, HashMap},
    ops::{Deref, DerefMut},
    time::{Duration, Instant},
};

/// How long a lease holds without a beat.
const LEASE: Duration = Duration::from_secs(13);
/// Two clocks are never read at the same time.
const MARGIN: Duration = Duration::from_secs(1);
/// Rounds in which the last jobs must end when nobody disturbs them any more.
const LAST_ROUNDS: usize = 50;

/// How much to try.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Acts on jobs, at least.
    pub steps: u64,
    /// People, each with one job at a time.
    pub people: usize,
    /// Workers at a time.
    pub workers: usize,
    /// Of the die.
    pub seed: u64,
}

/// What was tried.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Acts on jobs.
    pub steps: u64,
    /// Rounds of acts at the same time.
    pub rounds: u64,
    /// Jobs that were queued, and ended.
    pub jobs: u64,
    /// Writes, ends and beats under a lease that was another's by then.
    pub stale: u64,
    /// Leases that ran out and were taken back, as far as it shows.
    pub reclaimed: u64,
    /// Acts that Postgres undid because others were in the way.
    pub busy: u64,
    /// The longest round: somebody waited for a lock, or the machine was busy.
    pub longest_round: Duration,
    /// How long it took.
    pub took: Duration,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.steps += other.steps;
        self.rounds += other.rounds;
        self.jobs += other.jobs;
        self.stale += other.stale;
        self.reclaimed += other.reclaimed;
        self.busy += other.busy;
        self.longest_round = self.longest_round.max(other.longest_round);
        self.took += other.took;
    }
}

/// The jobs as the model has them.
struct Jobs {
    all: BTreeMap<JobId, Job>,
    /// How old the last beats were when they were last read.
    beat_ages_s: HashMap<JobId, f64>,
    /// When that was.
    seen: Instant,
}

impl Jobs {
    fn new() -> Self {
        Self { all: BTreeMap::new(), beat_ages_s: HashMap::new(), seen: Instant::now() }
    }
}

impl Deref for Jobs {
    type Target = BTreeMap<JobId, Job>;
    fn deref(&self) -> &Self::Target {
        &self.all
    }
}

impl DerefMut for Jobs {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.all
    }
}

/// Runs rounds until there are enough steps, then lets every job end. Fails at the first job that no order of acts
/// explains.
pub async fn run(db: &Db, plan: Plan) -> Result<Tally> {
    let began = Instant::now();
    tables::wait_until_aged_beats_are_younger_than_the_server(db).await?;
    let mut crowd = Crowd::gather(db, &plan).await?;
    let mut jobs = Jobs::new();
    let mut tally = Tally::default();
    while tally.steps < plan.steps {
        let ended = jobs.iter().filter(|(_, job)| matches!(job.at, At::Ended(_)));
        for id in
            crowd.enqueue_for_the_idle(db, ended.map(|(id, job)| (*id, job.at)).collect()).await?
        {
            jobs.insert(id, Job::new());
            tally.steps += 1;
            tally.jobs += 1;
        }
        // Those that completed, and were replaced, have no further life.
        jobs.retain(|id, job| job.at != At::Ended(JobState::Completed) || crowd.has(*id));
        crowd.lose_workers(db, &mut jobs).await?;
        round(db, &mut crowd, &mut jobs, &mut tally).await.with_context(|| {
            format!("seed {}, round {}, after {} steps", plan.seed, tally.rounds, tally.steps)
        })?;
    }
    finish(db, &mut crowd, &mut jobs, &mut tally).await?;
    tally.took = began.elapsed();
    Ok(tally)
}

async fn round(db: &Db, crowd: &mut Crowd, jobs: &mut Jobs, tally: &mut Tally) -> Result<()> {
    let acts = crowd.act(db, jobs, &mut tally.busy).await?;
    check(db, jobs, acts, tally).await
}

/// Compares every job with what the model makes of it.
async fn check(
    db: &Db,
    jobs: &mut Jobs,
    acts: Vec<(Option<JobId>, Timed)>,
    tally: &mut Tally,
) -> Result<()> {
    let mut of: HashMap<JobId, Vec<Timed>> = HashMap::new();
    let mut of_all = Vec::new();
    for (job, act) in acts {
        match job {
            Some(job) => of.entry(job).or_default().push(act),
            None => of_all.push(act),
        }
    }
    let real = tables::read(db, &jobs.keys().copied().collect::<Vec<_>>()).await?;
    ensure!(real.len() == jobs.len(), "{} of {} jobs are there", real.len(), jobs.len());
    tally.rounds += 1;
    let took = jobs.seen.elapsed();
    jobs.seen = Instant::now();
    tally.longest_round = tally.longest_round.max(took);
    let Jobs { all, beat_ages_s, .. } = jobs;
    for (id, job) in all.iter_mut() {
        let mut acts = of.remove(id).unwrap_or_default();
        let steps = acts.len();
        tally.steps += steps as u64;
        tally.stale += acts.iter().filter(|one| is_stale(one.act)).count() as u64;
        acts.extend(of_all.iter().copied());
        let age_s = beat_ages_s.get(id).copied().unwrap_or_default();
        if age_s + (took + MARGIN).as_secs_f64() >= LEASE.as_secs_f64() {
            acts.push(Timed { act: Act::MayFallSilent, from: 0, until: u64::MAX });
        }
        let (now, age_s) = real.get(id).with_context(|| format!("job {id} is lost"))?;
        ensure!(acts.len() <= 32, "too much at once for job {id}");
        if !order::explains(*job, &acts, now) {
            bail!("no order explains job {id}\nbefore: {job:?}\nacts: {acts:#?}\nafter: {now:?}");
        }
        ensure!(now.epoch >= job.epoch, "the epoch of job {id} fell");
        if now.attempt < job.attempt
            && acts.iter().all(|one| !matches!(one.act, Act::Settled { .. }))
        {
            tally.reclaimed += 1;
        }
        *job = *now;
        beat_ages_s.insert(*id, *age_s);
    }
    // Former owners of jobs that completed long ago, whose people went on to others.
    for (id, acts) in of {
        ensure!(acts.iter().all(|one| is_stale(one.act)), "job {id} is over, and yet: {acts:?}");
        tally.stale += acts.len() as u64;
        tally.steps += acts.len() as u64;
    }
    tables::check_whole(db).await
}

const fn is_stale(act: Act) -> bool {
    use paceline_shared::db::sync_runs::Beat;
    matches!(
        act,
        Act::Wrote { accepted: false, .. }
            | Act::Settled { held: false, .. }
            | Act::Beat { heard: Beat::Lost, .. }
    )
}

/// Nobody disturbs any more: every job must end, in the same rounds of everybody's acts.
async fn finish(db: &Db, crowd: &mut Crowd, jobs: &mut Jobs, tally: &mut Tally) -> Result<()> {
    crowd.lose_everybody(db, jobs).await?;
    for _ in 0..LAST_ROUNDS {
        if jobs.values().all(|job| matches!(job.at, At::Ended(_))) {
            return Ok(());
        }
        let acts = crowd.work_off(db, &mut tally.busy).await?;
        check(db, jobs, acts, tally).await?;
    }
    let live = jobs.iter().find(|(_, job)| !matches!(job.at, At::Ended(_)));
    bail!("a job never ends: {live:?}")
}

/// What a worker that froze for this long finds: its lease ran out, and a transaction of its was ended.
const AGED_BY: Duration = Duration::from_secs(LEASE.as_secs() + IDLE_LIMIT.as_secs() - 4);
