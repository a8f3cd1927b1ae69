//! Why a job is where it is: a pure function from facts to reasons. All that hold are named, the one that
//! holds the longest first; each stands by itself.

mod place;
mod words;

use chrono::{DateTime, TimeDelta, Utc};
use paceline_shared::{
    db::{admin_jobs::Facts, admin_jobs::Job, workers::SILENCE},
    job_state::JobState,
};
use serde::Serialize;
use words::{ago, at, cause};

/// A reason by name. Programs branch on it; people read the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = WhyCode)]
pub(crate) enum Code {
    /// It has ended.
    Ended,
    /// A worker has it.
    Running,
    /// A worker has it, and nothing moves.
    Stuck,
    /// The worker that has it is silent.
    Silent,
    /// Its end was asked for.
    CancelRequested,
    /// Somebody paused its provider, or everything.
    Paused,
    /// The provider's calls fail.
    BreakerOpen,
    /// The provider allows no more calls of the whole application.
    QuotaBlocked,
    /// Parked: the provider allows no more calls for this user.
    Waiting,
    /// Parked after a failed attempt.
    BackingOff,
    /// Its time has come; it is put back into the queue at any moment.
    Due,
    /// As many run as may.
    LaneFull,
    /// No worker is alive.
    NoWorker,
    /// None takes jobs of this provider.
    NoWorkerForProvider,
    /// None reads payloads as new as this one.
    NoWorkerForVersion,
    /// All that could take it are ending.
    WorkersDraining,
    /// All slots are taken.
    SlotsBusy,
    /// It runs alone, for workers were lost with it.
    Suspect,
    /// Others come first.
    Behind,
    /// Nothing is in its way.
    Next,
}

/// Why a job is where it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = WhyReason)]
pub(crate) struct Reason {
    /// Which.
    pub(crate) code: Code,
    /// One sentence.
    pub(crate) message: String,
    /// Until when, where that is known.
    pub(crate) until: Option<DateTime<Utc>>,
}

impl Reason {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), until: None }
    }

    fn until(mut self, until: Option<DateTime<Utc>>) -> Self {
        self.until = until;
        self
    }
}

/// Why an ended job does not run.
pub(crate) fn ended(job: &Job) -> Vec<Reason> {
    let how = match job.state {
        JobState::Completed => "It completed",
        JobState::Failed => "It failed",
        JobState::Cancelled => "It was cancelled",
        _ => "It ended",
    };
    let when = job.finished_at.map_or_else(String::new, |end| format!(" at {}", at(end)));
    let then = match job.state {
        JobState::Failed | JobState::Cancelled => "; a retry queues it again",
        _ => "",
    };
    vec![Reason::new(Code::Ended, format!("{how}{when}{then}."))]
}

/// Why a live job is where it is.
pub(crate) fn why(facts: &Facts) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some(asked) = facts.cancel_requested_at {
        let message =
            format!("Its end was asked for at {}: it stops at the next safe point.", at(asked));
        reasons.push(Reason::new(Code::CancelRequested, message));
    }
    match facts.state {
        JobState::Running => reasons.extend(running(facts)),
        JobState::Waiting => {
            reasons.push(parked(facts));
            // What will be in its way when its time comes.
            reasons.extend(place::held_by_lanes(facts));
            reasons.extend(place::lack_of_workers(facts));
        }
        _ => reasons.extend(place::queued(facts)),
    }
    reasons
}

fn running(facts: &Facts) -> Vec<Reason> {
    let Some(lease) = &facts.lease else {
        return vec![Reason::new(Code::Running, "A worker has just taken it.")];
    };
    let label = facts
        .workers
        .iter()
        .find(|worker| worker.id == lease.worker && !worker.label.is_empty())
        .map_or_else(|| lease.worker.to_string(), |worker| worker.label.clone());
    let moved = lease.checkpoint_at.map_or_else(
        || "no checkpoint yet".to_owned(),
        |moved| format!("last checkpoint {}", ago(facts.now - moved)),
    );
    let silence = facts.now - lease.beat_at;
    let message = format!(
        "The worker {label} has it: last beat {}, {moved}, first begun at {}.",
        ago(silence),
        at(lease.started_at)
    );
    let mut reasons = vec![Reason::new(Code::Running, message)];
    if silence > TimeDelta::from_std(SILENCE).unwrap_or(TimeDelta::MAX) {
        let message =
            format!("Its worker was last heard {}: other workers take it back.", ago(silence));
        reasons.push(Reason::new(Code::Silent, message));
    }
    if let Some(reported) = lease.stuck_reported_at {
        let message = format!(
            "Its worker beats, and nothing moves: {moved}; that was reported at {}.",
            at(reported)
        );
        reasons.push(Reason::new(Code::Stuck, message));
    }
    reasons
}

fn parked(facts: &Facts) -> Reason {
    let due = facts.run_at;
    if due <= facts.now {
        return Reason::new(
            Code::Due,
            format!("It waited until {} and is put back into the queue now.", at(due)),
        );
    }
    let reason = facts.waiting_for.as_deref().unwrap_or_default();
    let title = facts.provider.title();
    let (code, message) = match reason {
        "retry" => {
            let failed =
                facts.error_code.as_deref().map_or_else(String::new, |c| format!(" ({c})"));
            let attempt = facts.attempt;
            let message =
                format!("Attempt {attempt} failed{failed}; it is tried again at {}.", at(due));
            (Code::BackingOff, message)
        }
        "breaker_open" => {
            (Code::BreakerOpen, format!("Calls to {title} failed; it waits until {}.", at(due)))
        }
        other => {
            (Code::Waiting, format!("It waits for {} because {}.", at(due), cause(other, title)))
        }
    };
    Reason::new(code, message).until(Some(due))
}

#[cfg(test)]
mod tests;
