//! The lease protocol as a pure function: a job as the model has it, and what each act, with the answer that it
//! got, makes of it. No clock, no database.

use paceline_shared::{
    WorkerId,
    db::{sync_jobs::CancelOutcome, sync_runs::Beat, sync_runs::CRASHES_ALLOWED},
    job_state::JobState,
};

/// A job with this many crashes is claimed alone.
const SUSPECT: i16 = 2;

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// Ready for any worker.
    Queued,
    /// Parked, and due.
    Waiting,
    /// In somebody's hands.
    Running {
        /// Whose.
        worker: WorkerId,
        /// Its checkpoint moved since the claim.
        moved: bool,
        /// Its last sign of life is older than a lease.
        silent: bool,
    },
    /// In history.
    Ended(JobState),
}

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// The newest lease's.
    pub epoch: i64,
    /// Attempts begun, less those given back.
    pub attempt: i16,
    /// Leases lost at one checkpoint.
    pub crashes: i16,
    /// Somebody wants it to stop.
    pub cancel: bool,
    /// The checkpoint: what the last accepted write wrote.
    pub page: i32,
    /// Where it is.
    pub at: At,
}

/// How a worker lets go of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// It ends so.
    As(JobState),
    /// It goes back into the queue.
    Released,
    /// It waits; the attempt is given back.
    Parked,
    /// It waits; the attempt is spent.
    Retry,
}

/// An act on one job, with the answer that the database gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A worker took it, alone or with others.
    Claimed {
        /// Who.
        worker: WorkerId,
        /// The answer: the lease.
        epoch: i64,
        /// The answer: which attempt.
        attempt: i16,
        /// As a suspect.
        alone: bool,
    },
    /// A worker, perhaps a former one, renewed its lease.
    Beat {
        /// Under which epoch.
        epoch: i64,
        /// Who.
        worker: WorkerId,
        /// The answer.
        heard: Beat,
    },
    /// A worker, perhaps a former one, wrote.
    Wrote {
        /// Under which epoch.
        epoch: i64,
        /// Who.
        worker: WorkerId,
        /// What.
        page: i32,
        /// The answer.
        accepted: bool,
    },
    /// A worker, perhaps a former one, let go of it.
    Settled {
        /// Under which epoch.
        epoch: i64,
        /// Who.
        worker: WorkerId,
        /// How.
        end: End,
        /// The answer.
        held: bool,
    },
    /// Its user does not want it any more.
    Cancelled(CancelOutcome),
    /// Its user wants it again; true: it is queued.
    Retried(bool),
    /// Leases that ran out were taken back; perhaps this one.
    MayReclaim,
    /// Parked jobs were put back; perhaps this one.
    MayPromote,
    /// So much time went by that its lease may have run out by itself.
    MayFallSilent,
}

impl Job {
    /// As an enqueue leaves it.
    #[must_use]
    pub const fn new() -> Self {
        Self { epoch: 0, attempt: 0, crashes: 0, cancel: false, page: 1, at: At::Queued }
    }

    fn is_held(&self, epoch: i64, worker: WorkerId) -> bool {
        self.epoch == epoch
            && matches!(self.at, At::Running { worker: owner, .. } if owner == worker)
    }

    fn touched(self, moved_now: bool) -> Self {
        let At::Running { worker, moved, .. } = self.at else { return self };
        Self { at: At::Running { worker, moved: moved || moved_now, silent: false }, ..self }
    }

    /// Out of its worker's hands and back to `at`.
    fn back(self, at: At, crashes: i16, given_back: bool) -> Self {
        if self.cancel {
            return Self { at: At::Ended(JobState::Cancelled), ..self };
        }
        let attempt = if given_back { self.attempt - 1 } else { self.attempt };
        Self { attempt, crashes, at, ..self }
    }

    /// All that the job may be after the act; nothing when the act cannot have had this answer now.
    #[must_use]
    pub fn after(self, act: Act) -> Vec<Self> {
        match act {
            Act::Claimed { worker, epoch, attempt, alone } => {
                let right = self.at == At::Queued
                    && (self.crashes >= SUSPECT) == alone
                    && epoch == self.epoch + 1
                    && attempt == self.attempt + 1;
                let at = At::Running { worker, moved: false, silent: false };
                right.then_some(Self { epoch, attempt, at, ..self }).into_iter().collect()
            }
            Act::Beat { epoch, worker, heard } => {
                let truth = match (self.is_held(epoch, worker), self.cancel) {
                    (false, _) => Beat::Lost,
                    (true, true) => Beat::Cancelled,
                    (true, false) => Beat::Held,
                };
                match (truth == heard, heard) {
                    (false, _) => vec![],
                    (true, Beat::Lost) => vec![self],
                    // A beat passes by a row that is locked.
                    (true, _) => vec![self.touched(false), self],
                }
            }
            Act::Wrote { epoch, worker, page, accepted } => {
                match (self.is_held(epoch, worker), accepted) {
                    (true, true) => vec![Self { page, ..self.touched(true) }],
                    (false, false) => vec![self],
                    _ => vec![],
                }
            }
            Act::Settled { epoch, worker, end, held } => {
                match (self.is_held(epoch, worker), held) {
                    (true, true) => vec![self.settled(end)],
                    (false, false) => vec![self],
                    _ => vec![],
                }
            }
            Act::Cancelled(outcome) => self.cancelled(outcome).into_iter().collect(),
            Act::Retried(queued) => self.retried(queued).into_iter().collect(),
            Act::MayReclaim => [Some(self), self.reclaimed()].into_iter().flatten().collect(),
            Act::MayFallSilent => {
                [Some(self), self.fallen_silent()].into_iter().flatten().collect()
            }
            Act::MayPromote => {
                let promoted = (self.at == At::Waiting).then_some(Self { at: At::Queued, ..self });
                [Some(self), promoted].into_iter().flatten().collect()
            }
        }
    }

    fn settled(self, end: End) -> Self {
        let moved = matches!(self.at, At::Running { moved: true, .. });
        let crashes = if moved { 0 } else { self.crashes };
        match end {
            End::As(state) => Self { at: At::Ended(state), ..self },
            End::Released => self.back(At::Queued, crashes, true),
            End::Parked => self.back(At::Waiting, crashes, true),
            End::Retry => self.back(At::Waiting, crashes, false),
        }
    }

    fn cancelled(self, outcome: CancelOutcome) -> Option<Self> {
        let (truth, next) = match self.at {
            At::Ended(state) => (CancelOutcome::Ended(state), self),
            At::Running { .. } => (CancelOutcome::Asked, Self { cancel: true, ..self }),
            At::Queued | At::Waiting => {
                (CancelOutcome::Done, Self { at: At::Ended(JobState::Cancelled), ..self })
            }
        };
        (truth == outcome).then_some(next)
    }

    fn retried(self, queued: bool) -> Option<Self> {
        let kept = match self.at {
            At::Ended(JobState::Failed) => Some(self.page),
            At::Ended(JobState::Cancelled) => Some(1),
            _ => None,
        };
        match kept {
            Some(page) if queued => Some(Self { epoch: self.epoch, page, ..Self::new() }),
            None if !queued => Some(self),
            _ => None,
        }
    }

    fn fallen_silent(self) -> Option<Self> {
        let At::Running { worker, moved, silent: false } = self.at else { return None };
        Some(Self { at: At::Running { worker, moved, silent: true }, ..self })
    }

    fn reclaimed(self) -> Option<Self> {
        let At::Running { moved, silent: true, .. } = self.at else { return None };
        let crashes = if moved { 0 } else { self.crashes + 1 };
        Some(if crashes >= CRASHES_ALLOWED {
            Self { at: At::Ended(JobState::Failed), ..self }
        } else {
            self.back(At::Queued, crashes, true)
        })
    }
}

impl Default for Job {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_former_owner_writes_nothing() {
        let (old, new) = (WorkerId::fresh(), WorkerId::fresh());
        let claim = |job: Job, worker, epoch| {
            job.after(Act::Claimed { worker, epoch, attempt: job.attempt + 1, alone: false })[0]
        };
        let mut job = claim(Job::new(), old, 1);
        job.at = At::Running { worker: old, moved: false, silent: true };
        let back = job.after(Act::MayReclaim)[1];
        assert_eq!((back.at, back.attempt, back.crashes), (At::Queued, 0, 1));
        let job = claim(back, new, 2);
        let late = |accepted| Act::Wrote { epoch: 1, worker: old, page: 9, accepted };
        assert_eq!(job.after(late(false)), [job]);
        assert!(job.after(late(true)).is_empty());
        let end = |held| Act::Settled { epoch: 1, worker: old, end: End::Released, held };
        assert!(job.after(end(true)).is_empty() && job.after(end(false)) == [job]);
    }

    #[test]
    fn a_cancel_outlives_every_way_back() {
        let worker = WorkerId::fresh();
        let mut job = Job { epoch: 1, attempt: 1, ..Job::new() };
        job.at = At::Running { worker, moved: true, silent: true };
        let job = job.after(Act::Cancelled(CancelOutcome::Asked))[0];
        for end in [End::Released, End::Parked, End::Retry] {
            let after = job.after(Act::Settled { epoch: 1, worker, end, held: true });
            assert_eq!(after[0].at, At::Ended(JobState::Cancelled));
        }
        assert_eq!(job.after(Act::MayReclaim)[1].at, At::Ended(JobState::Cancelled));
    }
}
