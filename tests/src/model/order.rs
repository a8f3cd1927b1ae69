//! Finds an order of concurrent acts that explains what they answered and what they left: if there is none, the
//! database did something that the protocol does not allow.

use super::job::{Act, At, Job};
use std::collections::HashSet;

/// An act, and between which ticks of a common counter it was under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timed {
    pub(super) act: Act,
    pub(super) from: u64,
    pub(super) until: u64,
}

/// Whether some order of the acts leads from one to the other. An act that ended before another began comes first.
pub(super) fn explains(from: Job, acts: &[Timed], to: &Job) -> bool {
    let all = u32::MAX
        .checked_shr(u32::BITS - u32::try_from(acts.len()).unwrap_or(u32::MAX))
        .unwrap_or(0);
    search(from, acts, all, to, &mut HashSet::new())
}

fn search(job: Job, acts: &[Timed], left: u32, to: &Job, seen: &mut HashSet<(Job, u32)>) -> bool {
    if left == 0 {
        return same(&job, to);
    }
    if !seen.insert((job, left)) {
        return false;
    }
    let is_left = |n: usize| left & (1 << n) != 0;
    for (n, one) in acts.iter().enumerate().filter(|(n, _)| is_left(*n)) {
        let first =
            acts.iter().enumerate().all(|(m, other)| !is_left(m) || other.until >= one.from);
        if first
            && job
                .after(one.act)
                .into_iter()
                .any(|next| search(next, acts, left & !(1 << n), to, seen))
        {
            return true;
        }
    }
    false
}

/// What ended has no crashes or cancel worth comparing: nothing reads them again.
fn same(model: &Job, real: &Job) -> bool {
    match (model.at, real.at) {
        (At::Ended(one), At::Ended(other)) => {
            let of = |job: &Job| (job.epoch, job.attempt, job.page);
            one == other && of(model) == of(real)
        }
        _ => model == real,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::job::End;
    use paceline_shared::{WorkerId, job_state::JobState};

    #[test]
    fn two_owners_of_one_epoch_cannot_be_explained() {
        let (a, b) = (WorkerId::fresh(), WorkerId::fresh());
        let claim = |worker| Timed {
            act: Act::Claimed { worker, epoch: 1, attempt: 1, alone: false },
            from: 0,
            until: 9,
        };
        let mut held = Job { epoch: 1, attempt: 1, ..Job::new() };
        held.at = At::Running { worker: a, moved: false, silent: false };
        assert!(explains(Job::new(), &[claim(a)], &held));
        assert!(!explains(Job::new(), &[claim(a), claim(b)], &held));
        assert!(explains(Job::new(), &[], &Job::new()));
    }

    #[test]
    fn what_ended_first_comes_first() {
        let worker = WorkerId::fresh();
        let mut held = Job { epoch: 1, attempt: 1, ..Job::new() };
        held.at = At::Running { worker, moved: false, silent: false };
        let end = End::As(JobState::Completed);
        let settled = Act::Settled { epoch: 1, worker, end, held: true };
        let wrote = |accepted| Act::Wrote { epoch: 1, worker, page: 2, accepted };
        let after = Job { at: At::Ended(JobState::Completed), ..held };
        let refused_before = Timed { act: wrote(false), from: 1, until: 2 };
        let settled_after = Timed { act: settled, from: 3, until: 4 };
        assert!(!explains(held, &[refused_before, settled_after], &after));
        let at_once = Timed { until: 5, ..refused_before };
        assert!(explains(held, &[at_once, settled_after], &after));
    }
}
