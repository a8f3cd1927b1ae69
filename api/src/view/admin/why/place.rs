//! Why a job that is in the queue is still there: lanes, workers, and who comes first.

use super::{
    Code, Reason,
    words::{at, cause, grouped, jobs},
};
use paceline_shared::{
    Provider,
    db::{
        admin_jobs::{Ahead, Facts},
        lanes::Lane,
        workers::{State, Worker},
    },
};

/// So many crashes make a job suspect: it is claimed alone.
const SUSPECT: i16 = 2;

/// All that keeps a queued job from being claimed.
pub(super) fn queued(facts: &Facts) -> Vec<Reason> {
    let mut reasons = held_by_lanes(facts);
    reasons.extend(lane_full(facts));
    reasons.extend(lack_of_workers(facts));
    if facts.crashes >= SUSPECT && !facts.kept {
        let message = format!(
            "{} workers were lost at the checkpoint where it is: it runs alone, once a worker has nothing else.",
            facts.crashes
        );
        reasons.push(Reason::new(Code::Suspect, message));
    }
    let Ahead { jobs: n, same_user } = facts.ahead;
    if n > 0 {
        let others = match n {
            1 => "1 job comes first".to_owned(),
            n => format!("{} come first", jobs(n, Ahead::COUNTED)),
        };
        let his_own = match same_user {
            0 => String::new(),
            same => format!(", {} of them the same user's", grouped(same)),
        };
        reasons.push(Reason::new(Code::Behind, format!("{others}{his_own}.")));
    }
    if reasons.is_empty() {
        reasons.push(Reason::new(
            Code::Next,
            "Nothing is in its way: a worker takes it at any moment.",
        ));
    }
    reasons
}

/// What pauses, breakers and blocks say about it.
pub(super) fn held_by_lanes(facts: &Facts) -> Vec<Reason> {
    if facts.kept {
        return vec![];
    }
    let mut reasons: Vec<Reason> = facts
        .lanes
        .iter()
        .filter(|lane| lane.provider.is_none_or(|provider| provider == facts.provider))
        .flat_map(|lane| held_by(lane, facts))
        .collect();
    // What has no end, or the latest, is what holds it.
    reasons.sort_by_key(|reason| std::cmp::Reverse((reason.until.is_none(), reason.until)));
    reasons
}

fn held_by(lane: &Lane, facts: &Facts) -> Vec<Reason> {
    let title = lane.provider.map_or("Everything", Provider::title);
    let mut reasons = Vec::new();
    if let Some(pause) = &lane.pause {
        let until = pause.until.map_or_else(
            || "until somebody resumes".to_owned(),
            |until| format!("until {}", at(until)),
        );
        let reason = &pause.reason;
        let message = format!("{title} is paused by {} {until}: {reason}", pause.by);
        reasons.push(Reason::new(Code::Paused, message).until(pause.until));
    }
    if lane.breaker.state != "closed" {
        let why = lane.breaker.reason.as_deref().unwrap_or("its calls failed");
        let next = lane.breaker.until.map_or_else(String::new, |until| {
            format!("; the next call to find out may be made at {}", at(until))
        });
        let message = format!(
            "The breaker of {title} is {}: {why}{next}; an operator may close it sooner.",
            spoken(&lane.breaker.state)
        );
        reasons.push(Reason::new(Code::BreakerOpen, message).until(lane.breaker.until));
    }
    if let Some(block) = lane.block.as_ref().filter(|block| facts.class < block.below) {
        let scope = match block.scope.as_str() {
            "" => String::new(),
            scope => format!(" (budget {scope})"),
        };
        let message = format!(
            "It waits for {} because {}{scope}; an operator may unblock it sooner.",
            at(block.until),
            cause(&block.reason, title)
        );
        reasons.push(Reason::new(Code::QuotaBlocked, message).until(Some(block.until)));
    }
    reasons
}

fn spoken(breaker: &str) -> &str {
    if breaker == "half_open" { "half open" } else { breaker }
}

fn lane_full(facts: &Facts) -> Option<Reason> {
    let lane = facts.lanes.iter().find(|lane| lane.provider == Some(facts.provider))?;
    let most = lane.max_running?;
    (facts.running_in_lane >= i64::from(most) && !facts.kept).then(|| {
        let title = facts.provider.title();
        let running = grouped(facts.running_in_lane);
        let message = format!("{running} of at most {most} syncs with {title} run already.");
        Reason::new(Code::LaneFull, message)
    })
}

/// Why there is no slot for it: of several reasons the one that goes deepest.
pub(super) fn lack_of_workers(facts: &Facts) -> Option<Reason> {
    let there: Vec<&Worker> = facts
        .workers
        .iter()
        .filter(|worker| matches!(worker.state, State::Alive | State::Draining))
        .collect();
    if there.is_empty() {
        return Some(Reason::new(Code::NoWorker, "No worker is alive."));
    }
    let title = facts.provider.title();
    let is_for_it =
        |worker: &&&Worker| worker.providers.iter().any(|p| p == facts.provider.as_str());
    let of_provider: Vec<&&Worker> = there.iter().filter(is_for_it).collect();
    if of_provider.is_empty() {
        let message = format!("No worker that is alive takes syncs with {title}.");
        return Some(Reason::new(Code::NoWorkerForProvider, message));
    }
    let version = facts.payload_version;
    let able: Vec<_> =
        of_provider.into_iter().filter(|worker| worker.payload_version >= version).collect();
    if able.is_empty() {
        let message = format!(
            "No worker that is alive reads payloads of version {version}: newer workers are needed."
        );
        return Some(Reason::new(Code::NoWorkerForVersion, message));
    }
    let working: Vec<_> = able.into_iter().filter(|worker| worker.state == State::Alive).collect();
    if working.is_empty() {
        let message = "All workers that could take it are draining.";
        return Some(Reason::new(Code::WorkersDraining, message));
    }
    let slots: i64 = working.iter().map(|worker| i64::from(worker.slots)).sum();
    let taken: i64 = working.iter().map(|worker| i64::from(worker.jobs)).sum();
    (taken >= slots && !facts.kept).then(|| {
        let message = format!(
            "All {} slots of {} {} are taken.",
            grouped(slots),
            working.len(),
            if working.len() == 1 { "worker" } else { "workers" }
        );
        Reason::new(Code::SlotsBusy, message)
    })
}
