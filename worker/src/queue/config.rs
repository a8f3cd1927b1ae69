//! Sizes and time limits of a worker's queue, and which of them hang together.

use super::tidy::Retention;
use paceline_shared::{
    Provider, WorkerId,
    db::{fenced::IDLE_LIMIT, workers},
};
use std::time::Duration;

/// How long a lost worker may delay its jobs.
const RECLAIM_BOUND: Duration = Duration::from_secs(20);

/// Time limits and sizes of a worker's queue.
#[derive(Clone, Debug)]
pub struct Config {
    /// This life of this process.
    pub worker: WorkerId,
    /// What people call it; no identity.
    pub label: String,
    /// The machine's name; no identity.
    pub host: String,
    /// Jobs at a time.
    pub slots: usize,
    /// Whose jobs it takes.
    pub providers: Vec<Provider>,
    /// How often it looks for work that nobody announced.
    pub poll_every: Duration,
    /// How often it renews its leases.
    pub beat_every: Duration,
    /// How long a lease holds without a beat.
    pub lease: Duration,
    /// How often it looks for leases that ran out.
    pub sweep_every: Duration,
    /// How long a job that shall stop may take to its next safe point.
    pub grace: Duration,
    /// The pause after a first failed attempt; each further one doubles it.
    pub retry_base: Duration,
    /// How long an attempt may take, of a job that says nothing else.
    pub job_timeout: Duration,
    /// Bytes that the process may occupy before jobs are ended; `None`: as many as it likes.
    pub memory_limit: Option<u64>,
    /// How long what has ended is kept.
    pub retention: Retention,
}

impl Config {
    /// The usual limits.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self {
            worker: WorkerId::fresh(),
            label: String::new(),
            host: String::new(),
            slots,
            providers: Provider::ALL.into_iter().filter(|p| !p.job_types().is_empty()).collect(),
            poll_every: Duration::from_secs(1),
            beat_every: Duration::from_secs(4),
            lease: workers::SILENCE,
            sweep_every: Duration::from_secs(2),
            grace: Duration::from_secs(5),
            retry_base: Duration::from_secs(5),
            job_timeout: Duration::from_hours(1),
            memory_limit: None,
            retention: Retention::default(),
        }
    }

    /// The same for a worker that takes jobs of these providers alone: what it has no application for it leaves to
    /// others, instead of failing it.
    #[must_use]
    pub fn only(mut self, known: impl IntoIterator<Item = Provider>) -> Self {
        let known: Vec<Provider> = known.into_iter().collect();
        self.providers.retain(|provider| known.contains(provider));
        self
    }

    /// Whether the limits that hang together do.
    pub(super) fn check(&self) -> Result<(), Misfit> {
        let Self { lease, sweep_every, beat_every, grace, job_timeout, .. } = *self;
        let bound = lease + IDLE_LIMIT + sweep_every;
        if bound > RECLAIM_BOUND {
            return Err(Misfit::Reclaim { lease, sweep_every, bound });
        }
        if beat_every * 3 > lease {
            return Err(Misfit::Beats { beat_every, lease });
        }
        if job_timeout <= grace {
            return Err(Misfit::Timeout { job_timeout, grace });
        }
        if self.slots == 0 {
            return Err(Misfit::NoSlots);
        }
        Ok(())
    }
}

/// Limits that do not fit together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// A frozen worker could keep its jobs for too long.
    #[error(
        "a lost worker's jobs must run again within {RECLAIM_BOUND:?}, but the lease ({lease:?}), the time that \
         Postgres leaves to a silent transaction ({IDLE_LIMIT:?}) and the pause between two sweeps ({sweep_every:?}) \
         are {bound:?} together; shorten the lease or the pause"
    )]
    Reclaim {
        /// Of a job.
        lease: Duration,
        /// Between two looks for lost leases.
        sweep_every: Duration,
        /// All of them together.
        bound: Duration,
    },
    /// One late beat would cost the lease.
    #[error(
        "a lease ({lease:?}) must hold for three beats at least, and they come every {beat_every:?}; beat more often"
    )]
    Beats {
        /// Between two beats.
        beat_every: Duration,
        /// Of a job.
        lease: Duration,
    },
    /// An attempt would end before it could stop in good order.
    #[error(
        "an attempt may take {job_timeout:?}, which is no longer than a job may take to stop ({grace:?}); \
         give attempts more time"
    )]
    Timeout {
        /// Of an attempt.
        job_timeout: Duration,
        /// To the next safe point.
        grace: Duration,
    },
    /// It would do nothing.
    #[error("a worker needs at least one slot")]
    NoSlots,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_limits_fit_together() {
        assert_eq!(Config::new(8).check(), Ok(()));
    }

    #[test]
    fn a_worker_takes_no_job_of_a_provider_that_it_has_no_application_for() {
        let all = Config::new(8);
        assert!(all.providers.len() > 2, "{:?}", all.providers);
        let some = all.clone().only([Provider::Withings, Provider::Strava]);
        assert_eq!(some.providers, [Provider::Strava, Provider::Withings]);
        let narrower = Config { providers: vec![Provider::Strava], ..all };
        assert_eq!(narrower.only(Provider::ALL).providers, [Provider::Strava]);
    }

    #[test]
    fn limits_under_which_a_lost_worker_would_keep_its_jobs_are_refused() {
        let slow = Config { sweep_every: Duration::from_secs(3), ..Config::new(8) };
        let Err(misfit @ Misfit::Reclaim { .. }) = slow.check() else { panic!("21 s pass") };
        let said = misfit.to_string();
        assert!(said.contains("within 20s") && said.contains("are 21s together"), "{said}");
        let late = Config { beat_every: Duration::from_secs(5), ..Config::new(8) };
        assert!(matches!(late.check(), Err(Misfit::Beats { .. })));
    }

    #[test]
    fn an_attempt_needs_more_time_than_a_job_takes_to_stop() {
        let short = Config { job_timeout: Duration::from_secs(5), ..Config::new(8) };
        assert!(matches!(short.check(), Err(Misfit::Timeout { .. })));
        assert_eq!(Config::new(0).check(), Err(Misfit::NoSlots));
    }
}
