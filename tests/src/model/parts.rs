//! What workers, workers that froze and people do in a round, each by a die of their own.

use super::{
    acts::{Act, Done, Hands, in_the_way},
    job::End,
};
use anyhow::Result;
use fastrand::Rng;
use paceline_shared::{
    JobId, UserId, WorkerId,
    db::{
        self, Db, Error,
        sync_jobs::{self, RetryOptions, RetryOutcome},
        sync_outcomes::Lease,
    },
    job_state::JobState,
};
use std::collections::HashMap;

/// A worker, and the leases that it believes in.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: WorkerId,
    pub(super) leases: Vec<Lease>,
}

impl Worker {
    pub(super) fn new() -> Self {
        Self { id: WorkerId::fresh(), leases: Vec::new() }
    }
}

impl Hands {
    /// A worker's part of a round: it claims, beats, writes for some jobs and lets go of some.
    pub(super) async fn work(&self, db: &Db, worker: &Worker, seed: u64) -> Result<Done> {
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
    pub(super) async fn come_back(
        &self,
        db: &Db,
        leases: &[Lease],
        mut chance: Rng,
    ) -> Result<Done> {
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
    pub(super) async fn ask(
        &self,
        db: &Db,
        known: &[(UserId, JobId, bool)],
        mut chance: Rng,
    ) -> Result<Done> {
        let mut done = Done::default();
        for _ in 0..chance.usize(..4) {
            let (user, job, _) = known[chance.usize(..known.len())];
            let from = self.now();
            match sync_jobs::cancel(db, user, job).await {
                Ok(outcome) => self.note(&mut done, job, from, Act::Cancelled(outcome)),
                Err(error) => in_the_way(&mut done, error)?,
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
                Err(error) => in_the_way(&mut done, error)?,
            }
        }
        Ok(done)
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
