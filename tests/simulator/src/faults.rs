//! The rules in force, and the choice of the request that a fault befalls, repeatable by seed.
//!
//! Carrying a fault out is `trouble`'s work.

use serde::Serialize;

use crate::dice::Dice;
use crate::fault_rule::{Facts, Fault, FaultRule};

/// A rule as it stands.
#[derive(Clone, Debug, Serialize)]
pub struct ActiveFault {
    /// For removing it.
    pub id: u64,
    /// The rule.
    pub rule: FaultRule,
    /// Requests that matched so far.
    pub matched: u64,
    /// Of these, the ones it befell.
    pub fired: u64,
}

/// All rules, oldest first.
#[derive(Debug)]
pub(crate) struct Faults {
    seed: u64,
    next: u64,
    active: Vec<ActiveFault>,
}

const CHANCE: u64 = 0x66_63;

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, next: 1, active: Vec::new() }
    }

    pub(crate) fn add(&mut self, rule: FaultRule) -> u64 {
        let id = self.next;
        self.next += 1;
        self.active.push(ActiveFault { id, rule, matched: 0, fired: 0 });
        id
    }

    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.active.len();
        self.active.retain(|fault| fault.id != id);
        self.active.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    pub(crate) fn list(&self) -> Vec<ActiveFault> {
        self.active.clone()
    }

    /// The fault of this request, if any; the oldest rule that fires wins.
    pub(crate) fn strike(&mut self, request: &Facts<'_>) -> Option<Fault> {
        let seed = self.seed;
        let matching = self.active.iter_mut().filter(|fault| fault.rule.matches(request));
        let mut struck = None;
        for fault in matching {
            fault.matched += 1;
            if struck.is_none() && fault.fires(seed) {
                fault.fired += 1;
                struck = Some(fault.rule.fault.settle(&mut Dice::new(
                    seed ^ fault.id,
                    CHANCE,
                    fault.matched,
                )));
            }
        }
        struck
    }
}

impl ActiveFault {
    fn fires(&self, seed: u64) -> bool {
        let rule = &self.rule;
        let most = rule.count.or(rule.nth.map(|_| 1)).unwrap_or(u64::MAX);
        let due = self.matched >= rule.nth.unwrap_or(0) && self.fired < most;
        let probability = rule.probability.unwrap_or(1.0);
        due && Dice::new(seed, CHANCE ^ self.id, self.matched).chance(probability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault_rule::Provider;

    const LIST: Facts<'_> = Facts {
        provider: Provider::Strava,
        path: "/strava/api/v3/athlete/activities",
        athlete: Some(7),
        user: Some("7"),
        page: Some(2),
    };

    #[test]
    fn a_rule_befalls_the_nth_matching_request_and_then_no_more() {
        let mut faults = Faults::new(1);
        faults.add(FaultRule { athlete: Some(7), nth: Some(3), ..FaultRule::new(Fault::Reset) });
        let other = Facts { athlete: Some(8), ..LIST };
        assert!(faults.strike(&other).is_none());
        let struck: Vec<bool> = (0..5).map(|_| faults.strike(&LIST).is_some()).collect();
        assert_eq!(struck, [false, false, true, false, false]);
    }

    #[test]
    fn every_condition_must_hold() {
        let rule = FaultRule {
            provider: Some(Provider::Strava),
            path: Some("/strava/api".to_owned()),
            page: Some(2),
            ..FaultRule::new(Fault::Html)
        };
        assert!(rule.matches(&LIST));
        assert!(!rule.matches(&Facts { page: Some(3), ..LIST }));
        assert!(!rule.matches(&Facts { provider: Provider::OpenMeteo, ..LIST }));
        assert!(!rule.matches(&Facts { path: "/strava/oauth/token", ..LIST }));
    }

    #[test]
    fn a_probability_is_kept_and_repeats_with_the_seed() {
        let run = |seed| {
            let mut faults = Faults::new(seed);
            faults.add(FaultRule { probability: Some(0.1), ..FaultRule::new(Fault::Truncate) });
            (0..2000).map(|_| faults.strike(&LIST).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(run(4), run(4));
        assert_ne!(run(4), run(5));
        let struck = run(4).into_iter().filter(|&struck| struck).count();
        assert!((150..250).contains(&struck), "{struck}");
    }

    #[test]
    fn a_count_limits_how_often_it_strikes() {
        let mut faults = Faults::new(1);
        let id = faults.add(FaultRule { count: Some(2), ..FaultRule::new(Fault::Close) });
        assert_eq!((0..5).filter(|_| faults.strike(&LIST).is_some()).count(), 2);
        assert!(faults.remove(id) && !faults.remove(id));
    }

    #[test]
    fn a_rule_reads_as_json_and_refuses_fields_it_does_not_know() {
        let text = r#"{"path":"/strava/api","nth":3,"fault":{"status":{"code":429}}}"#;
        let rule: FaultRule = serde_json::from_str(text).unwrap();
        assert_eq!(rule.fault, Fault::Status { code: 429, html: false, day: false });
        let rule: FaultRule = serde_json::from_str(r#"{"fault":"lose_answer"}"#).unwrap();
        assert_eq!(rule.fault, Fault::LoseAnswer);
        assert!(serde_json::from_str::<FaultRule>(r#"{"fault":"reset","nht":3}"#).is_err());
    }
}
