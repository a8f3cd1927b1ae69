//! Single acts through the application's own statements, each noted down with its answer and its time.

pub(super) use super::job::Act;

use super::{LEASE, job::End, order::Timed};
use anyhow::Result;
use paceline_shared::{
    JobId, Provider, WorkerId,
    db::{
        Db, Error,
        fenced::{Advance, FenceError, Fenced},
        sync_jobs::{self, Cursor},
        sync_outcomes::{self, Lease, Outcome},
        sync_runs,
        workers::Presence,
    },
    failure::{Code, Failure},
    job_state::JobState,
    progress::{Checkpoint, Counts, Phase},
};
use std::{
    collections::HashSet,
    sync::atomic::{AtomicI32, AtomicU64, Ordering},
    time::Duration,
};

/// Acts with their jobs; those without one may have met any.
pub(super) type Acts = Vec<(Option<JobId>, Timed)>;

/// What one actor did.
#[derive(Default)]
pub(super) struct Done {
    pub(super) acts: Acts,
    pub(super) busy: u64,
    pub(super) taken: Vec<Lease>,
    pub(super) left: HashSet<(JobId, i64)>,
}

/// Common to all who act: a clock that only counts, and what to write next.
#[derive(Debug)]
pub(super) struct Hands {
    tick: AtomicU64,
    page: AtomicI32,
}

impl Hands {
    pub(super) const fn new() -> Self {
        Self { tick: AtomicU64::new(0), page: AtomicI32::new(2) }
    }

    pub(super) fn now(&self) -> u64 {
        self.tick.fetch_add(1, Ordering::AcqRel)
    }

    /// Takes back what is silent, and puts back what is due.
    pub(super) async fn sweep(&self, db: &Db, limit: i64) -> Result<Done> {
        let mut done = Done::default();
        let from = self.now();
        if let Err(error) = sync_runs::reclaim(db, LEASE, limit, sync_runs::Silence::Crash).await {
            in_the_way(&mut done, error)?;
        }
        let act = Act::MayReclaim;
        done.acts.push((None, Timed { act, from, until: self.now() }));
        let from = self.now();
        if let Err(error) = sync_jobs::promote(db).await {
            in_the_way(&mut done, error)?;
        }
        let act = Act::MayPromote;
        done.acts.push((None, Timed { act, from, until: self.now() }));
        Ok(done)
    }

    pub(super) async fn claim(
        &self,
        db: &Db,
        worker: WorkerId,
        limit: i64,
        done: &mut Done,
    ) -> Result<()> {
        let from = self.now();
        match sync_jobs::claim(db, worker, Provider::Strava, limit, Cursor::START).await {
            Ok(claim) => {
                for job in claim.jobs {
                    self.took(done, worker, from, &job, false);
                }
                Ok(())
            }
            Err(error) => in_the_way(done, error),
        }
    }

    pub(super) async fn claim_alone(
        &self,
        db: &Db,
        worker: WorkerId,
        done: &mut Done,
    ) -> Result<()> {
        let from = self.now();
        match sync_jobs::claim_suspect(db, worker, &[Provider::Strava]).await {
            Ok(job) => {
                if let Some(job) = job {
                    self.took(done, worker, from, &job, true);
                }
                Ok(())
            }
            Err(error) => in_the_way(done, error),
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

    pub(super) async fn beat(
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
            Err(error) => in_the_way(done, error),
        }
    }

    /// Moves the checkpoint; `slowly`: others get a chance between the fence and the commit.
    pub(super) async fn write(
        &self,
        db: &Db,
        lease: Lease,
        slowly: bool,
        done: &mut Done,
    ) -> Result<()> {
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
            Err(FenceError::Db(error)) => return in_the_way(done, error),
        };
        let Lease { job, epoch, worker } = lease;
        self.note(done, job, from, Act::Wrote { epoch, worker, page, accepted });
        Ok(())
    }

    pub(super) async fn settle(
        &self,
        db: &Db,
        ends: Vec<(Lease, End)>,
        done: &mut Done,
    ) -> Result<()> {
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
            Err(error) => in_the_way(done, error),
        }
    }

    pub(super) fn note(&self, done: &mut Done, job: JobId, from: u64, act: Act) {
        done.acts.push((Some(job), Timed { act, from, until: self.now() }));
    }
}

/// An act that Postgres undid did not happen.
pub(super) fn in_the_way(done: &mut Done, error: Error) -> Result<()> {
    let Error::Busy(_) = error else { return Err(error.into()) };
    done.busy += 1;
    Ok(())
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
            after: Duration::ZERO,
            message: "the model parked it".to_owned(),
        },
        End::Retry => Outcome::Retry { failure: failure(), after: Duration::ZERO },
    }
}
