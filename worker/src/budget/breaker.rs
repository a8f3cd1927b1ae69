//! What this process knows of a provider's breaker, and what it has seen of the provider's calls. The
//! decisions are the fleet's, in [`paceline_shared::db::breakers`]. Pure.

use std::time::Instant;

/// How the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    /// No calls until then.
    Open(Instant),
    /// Another worker is finding out.
    ProbedElsewhere(Instant),
    /// This process may make calls, one at a time, until one has an end.
    Probing,
}

impl State {
    /// As metrics show it.
    pub(super) const fn level(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::ProbedElsewhere(_) | Self::Probing => 1.0,
            Self::Open(_) => 2.0,
        }
    }
}

#[derive(Debug)]
pub(super) struct Breaker {
    pub(super) state: State,
    calls: u32,
    failures: u32,
    /// What a probe found out and the fleet does not know yet.
    verdict: Option<bool>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed, calls: 0, failures: 0, verdict: None }
    }
}

impl Breaker {
    /// A call has ended. `pause`: until when nothing is asked if it was a probe that failed.
    pub(super) fn ended(&mut self, probe: bool, failed: bool, pause: Instant) {
        if probe {
            if self.state == State::Probing {
                self.verdict = Some(!failed);
                self.state = if failed { State::Open(pause) } else { State::Closed };
            }
        } else if self.state == State::Closed {
            self.calls += 1;
            self.failures += u32::from(failed);
        }
    }

    /// What was counted since the last time.
    pub(super) fn take_counts(&mut self) -> (u32, u32) {
        (std::mem::take(&mut self.calls), std::mem::take(&mut self.failures))
    }

    /// They could not be told: the same again next time.
    pub(super) fn put_back(&mut self, calls: u32, failures: u32) {
        self.calls += calls;
        self.failures += failures;
    }

    pub(super) const fn verdict(&self) -> Option<bool> {
        self.verdict
    }

    /// The fleet knows, or another worker has the right to find out by now.
    pub(super) fn verdict_told(&mut self) {
        self.verdict = None;
    }

    /// How the fleet's breaker stands; what this process just found out is newer.
    pub(super) fn learn(&mut self, state: State) {
        if self.verdict.is_none() && self.state != state {
            self.state = state;
            (self.calls, self.failures) = (0, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn later() -> Instant {
        Instant::now() + std::time::Duration::from_secs(10)
    }

    #[test]
    fn calls_count_only_while_it_is_closed() {
        let mut breaker = Breaker::default();
        breaker.ended(false, true, later());
        breaker.ended(false, false, later());
        assert_eq!(breaker.take_counts(), (2, 1));
        breaker.put_back(2, 1);
        breaker.learn(State::Open(later()));
        breaker.ended(false, true, later());
        assert_eq!(breaker.take_counts(), (0, 0));
    }

    #[test]
    fn what_a_probe_found_out_holds_until_the_fleet_knows() {
        for (failed, left) in [(true, State::Open(later())), (false, State::Closed)] {
            let mut breaker = Breaker::default();
            breaker.learn(State::Probing);
            let pause = later();
            breaker.ended(true, failed, pause);
            let found = if failed { State::Open(pause) } else { left };
            assert_eq!((breaker.state, breaker.verdict()), (found, Some(!failed)));
            breaker.learn(State::Probing);
            assert_eq!(breaker.state, found);
            breaker.verdict_told();
            breaker.learn(State::ProbedElsewhere(pause));
            assert_eq!(breaker.state, State::ProbedElsewhere(pause));
        }
    }

    #[test]
    fn a_call_that_began_before_it_opened_is_no_probe() {
        let mut breaker = Breaker::default();
        breaker.learn(State::Probing);
        breaker.ended(false, false, later());
        assert_eq!((breaker.state, breaker.verdict()), (State::Probing, None));
    }
}
