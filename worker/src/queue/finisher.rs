//! Acknowledges outcomes: whatever comes within a moment goes to Postgres as one transaction. It tries
//! until Postgres answers; a fence in the statement makes a repetition harmless.

use super::jitter;
use paceline_shared::{
    JobId,
    db::{
        Error,
        sync_outcomes::{Lease, Outcome, settle},
    },
    notify::{self, Notifier},
};
use sqlx::PgPool;
use std::{collections::HashSet, time::Duration};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

const BATCH: usize = 500;
const LINGER: Duration = Duration::from_millis(2);
const BACKOFF: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(50)..=Duration::from_secs(2);

type Ask = (Lease, Outcome, oneshot::Sender<bool>);

/// Hands outcomes to the finishing task.
#[derive(Clone, Debug)]
pub(super) struct Finisher(mpsc::UnboundedSender<Ask>);

impl Finisher {
    /// Starts the task; it ends with `idle`.
    pub(super) fn start(db: PgPool, notifier: Notifier, idle: CancellationToken) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move { idle.run_until_cancelled(run(db, notifier, receiver)).await });
        Self(sender)
    }

    /// Acknowledges an outcome. True: it is committed. False: the lease was not ours any more.
    pub(super) async fn finish(&self, lease: Lease, outcome: Outcome) -> bool {
        let (answer, answered) = oneshot::channel();
        self.0.send((lease, outcome, answer)).is_ok() && answered.await.unwrap_or(false)
    }
}

async fn run(db: PgPool, notifier: Notifier, mut asks: mpsc::UnboundedReceiver<Ask>) {
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
        let held = settle_all(&db, &outcomes).await;
        for ((lease, outcome), answer) in outcomes.iter().zip(answers) {
            let ours = held.contains(&lease.job);
            if ours {
                let name = outcome_name(outcome);
                metrics::counter!("paceline_jobs_finished_total", "outcome" => name).increment(1);
                notifier.say(notify::LIVE, &lease.job);
            } else {
                metrics::counter!("paceline_leases_lost_total").increment(1);
            }
            // The job was dropped meanwhile: nobody waits for the answer.
            let _dropped = answer.send(ours);
        }
    }
}

/// Settles all, together where that works and one by one where one of them spoils the batch.
async fn settle_all(db: &PgPool, outcomes: &[(Lease, Outcome)]) -> HashSet<JobId> {
    match settle_until_answered(db, outcomes).await {
        Ok(held) => held,
        Err(_) if outcomes.len() > 1 => {
            let mut held = HashSet::new();
            for one in outcomes {
                if let Ok(ours) = settle_until_answered(db, std::slice::from_ref(one)).await {
                    held.extend(ours);
                }
            }
            held
        }
        Err(error) => {
            let job = outcomes.first().map(|(lease, _)| lease.job);
            tracing::error!(job.id = ?job, reason = error.reason(), "an outcome was refused; the lease will run out");
            HashSet::new()
        }
    }
}

/// Repeats while Postgres is away or busy; any other error is the answer.
async fn settle_until_answered(
    db: &PgPool,
    outcomes: &[(Lease, Outcome)],
) -> Result<HashSet<JobId>, Error> {
    let mut backoff = *BACKOFF.start();
    loop {
        match settle(db, outcomes).await {
            Ok(held) => return Ok(held.into_iter().collect()),
            Err(error @ (Error::Unreachable(_) | Error::Busy(_))) => {
                tracing::warn!(
                    reason = error.reason(),
                    jobs = outcomes.len(),
                    "acknowledgement failed, will try again"
                );
                tokio::time::sleep(jitter(backoff)).await;
                backoff = (backoff * 2).min(*BACKOFF.end());
            }
            Err(error) => return Err(error),
        }
    }
}

const fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Failed(_) => "failed",
        Outcome::Cancelled => "cancelled",
        Outcome::Released => "released",
        Outcome::Parked { .. } => "parked",
        Outcome::Retry { .. } => "retry",
    }
}
