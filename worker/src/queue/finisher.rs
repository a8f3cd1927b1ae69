//! Acknowledges outcomes: whatever comes within a moment goes to Postgres as one transaction. It tries
//! until Postgres answers; a fence in the statement makes a repetition harmless.

use super::{answered, jitter};
use paceline_shared::{
    JobId,
    db::{
        Db, Error,
        sync_outcomes::{Lease, Outcome, Settled, settle},
    },
    notify::{self, Notifier},
};
use std::{collections::HashSet, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

const BATCH: usize = 1_000;
const LINGER: Duration = Duration::from_millis(2);
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_secs(2);

type Ask = (Lease, Outcome, oneshot::Sender<bool>);

/// Hands outcomes to the finishing task.
#[derive(Clone, Debug)]
pub(super) struct Finisher(mpsc::UnboundedSender<Ask>);

impl Finisher {
    /// Starts the task; it ends with `idle`.
    ///
    /// While the worker drains, a batch that Postgres does not take for a whole `lease` is given up: by
    /// then the leases have run out, and the process shall end.
    pub(super) fn start(
        db: Db,
        notifier: Notifier,
        lease: Duration,
        drain: CancellationToken,
        idle: CancellationToken,
    ) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        let settler = Settler { db, lease, drain };
        tokio::spawn(
            async move { idle.run_until_cancelled(run(settler, notifier, receiver)).await },
        );
        Self(sender)
    }

    /// Acknowledges an outcome. True: it is committed. False: the lease was not ours any more.
    pub(super) async fn finish(&self, lease: Lease, outcome: Outcome) -> bool {
        let (answer, answered) = oneshot::channel();
        self.0.send((lease, outcome, answer)).is_ok() && answered.await.unwrap_or(false)
    }
}

async fn run(settler: Settler, notifier: Notifier, mut asks: mpsc::UnboundedReceiver<Ask>) {
    let mut batch: Vec<Ask> = Vec::new();
    while asks.recv_many(&mut batch, BATCH).await > 0 {
        if batch.len() < BATCH {
            tokio::time::sleep(LINGER).await;
            while batch.len() < BATCH
                && let Ok(ask) = asks.try_recv()
            {
                batch.push(ask);
            }
        }
        let (outcomes, answers): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|(lease, outcome, answer)| ((lease, outcome), answer)).unzip();
        let Settled { held, follow_ups } = settler.all(&outcomes).await;
        let held: HashSet<JobId> = held.into_iter().collect();
        for follow_up in follow_ups {
            notifier.say(notify::JOBS, &follow_up.provider);
            notifier.say(notify::LIVE, &follow_up.job);
        }
        for ((lease, _), answer) in outcomes.iter().zip(answers) {
            let ours = held.contains(&lease.job);
            if ours {
                notifier.say(notify::LIVE, &lease.job);
            } else {
                metrics::counter!("paceline_leases_lost_total").increment(1);
            }
            // The job was dropped meanwhile: nobody waits for the answer.
            let _dropped = answer.send(ours);
        }
    }
}

/// Brings outcomes to Postgres, whatever state it is in.
struct Settler {
    db: Db,
    lease: Duration,
    drain: CancellationToken,
}

impl Settler {
    /// Settles all, together where that works and one by one where one of them spoils the batch.
    async fn all(&self, outcomes: &[(Lease, Outcome)]) -> Settled {
        match self.until_answered(outcomes).await {
            Ok(settled) => settled,
            Err(Error::Refused(_) | Error::Other(_)) if outcomes.len() > 1 => {
                let mut all = Settled::default();
                for one in outcomes {
                    let mut settled =
                        self.until_answered(std::slice::from_ref(one)).await.unwrap_or_default();
                    all.held.append(&mut settled.held);
                    all.follow_ups.append(&mut settled.follow_ups);
                }
                all
            }
            Err(error) => {
                let jobs = outcomes.len();
                tracing::error!(
                    jobs,
                    reason = error.reason(),
                    "outcomes not taken; the leases will run out"
                );
                Settled::default()
            }
        }
    }

    /// Repeats while Postgres is away or busy; any other error is the answer.
    async fn until_answered(&self, outcomes: &[(Lease, Outcome)]) -> Result<Settled, Error> {
        let (mut backoff, began) = (*BACKOFF.start(), Instant::now());
        loop {
            let error = match answered(settle(&self.db, outcomes)).await {
                Ok(settled) => return Ok(settled),
                Err(error @ (Error::Unreachable(_) | Error::Busy(_))) => error,
                Err(error) => return Err(error),
            };
            if self.drain.is_cancelled() && began.elapsed() >= self.lease {
                return Err(error);
            }
            let (reason, jobs) = (error.reason(), outcomes.len());
            tracing::warn!(reason, jobs, "acknowledgement failed, will try again");
            tokio::time::sleep(jitter(backoff)).await;
            backoff = (backoff * 2).min(*BACKOFF.end());
        }
    }
}
