//! How many jobs there are, with the age of the figures.

use chrono::{DateTime, TimeDelta, Utc};
use paceline_shared::db::job_counts::{Count, Taken};
use serde::Serialize;

/// Jobs by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct States {
    /// Ready for a worker, or held back by their lane.
    pub(crate) queued: i64,
    /// Those of the queued ones that nothing but the lack of a slot holds back. More workers help these.
    pub(crate) runnable: i64,
    /// Parked until a time.
    pub(crate) waiting: i64,
    /// In a worker's hands.
    pub(crate) running: i64,
    /// Ended well.
    pub(crate) completed: i64,
    /// Ended badly.
    pub(crate) failed: i64,
    /// Ended because somebody asked for it.
    pub(crate) cancelled: i64,
}

impl States {
    fn add(&mut self, count: &Count) {
        let figure = match count.state.as_str() {
            "queued" => &mut self.queued,
            "runnable" => &mut self.runnable,
            "waiting" => &mut self.waiting,
            "running" => &mut self.running,
            "completed" => &mut self.completed,
            "failed" => &mut self.failed,
            "cancelled" => &mut self.cancelled,
            _ => return,
        };
        *figure += count.jobs;
    }

    /// The figures of one provider.
    pub(crate) fn of(provider: &str, counts: &[Count]) -> Self {
        let mut states = Self::default();
        for count in counts.iter().filter(|count| count.provider == provider) {
            states.add(count);
        }
        states
    }

    /// The sums.
    pub(crate) fn of_all(counts: &[Count]) -> Self {
        let mut states = Self::default();
        for count in counts {
            states.add(count);
        }
        states
    }
}

/// The figures as last counted.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobCounts {
    /// When live jobs were counted; null: not yet, for no worker was there.
    pub(crate) as_of: Option<DateTime<Utc>>,
    /// The same as an age in seconds.
    pub(crate) age_s: Option<f64>,
    /// When ended jobs were counted. That is done more rarely, for there are more of them.
    pub(crate) history_as_of: Option<DateTime<Utc>>,
    /// Since when the runnable job that waits the longest does so.
    pub(crate) oldest_runnable_at: Option<DateTime<Utc>>,
    /// The same as an age in seconds.
    pub(crate) oldest_runnable_age_s: Option<f64>,
    /// All providers together.
    pub(crate) states: States,
    /// Each provider that has any.
    pub(crate) providers: Vec<ProviderCounts>,
}

/// The figures of a provider.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ProviderCounts {
    /// From where.
    pub(crate) provider: String,
    /// Its jobs.
    pub(crate) states: States,
}

impl JobCounts {
    pub(crate) fn new(counts: &[Count], taken: &Taken) -> Self {
        let mut names: Vec<&str> = counts.iter().map(|count| count.provider.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let age = |at: Option<DateTime<Utc>>| at.map(|at| seconds(taken.now - at));
        Self {
            as_of: taken.live_at,
            age_s: age(taken.live_at),
            history_as_of: taken.history_at,
            oldest_runnable_at: taken.oldest_runnable_at,
            oldest_runnable_age_s: age(taken.oldest_runnable_at),
            states: States::of_all(counts),
            providers: names
                .into_iter()
                .map(|name| ProviderCounts {
                    provider: name.to_owned(),
                    states: States::of(name, counts),
                })
                .collect(),
        }
    }
}

/// To a tenth, and never below zero.
fn seconds(span: TimeDelta) -> f64 {
    (span.as_seconds_f64().max(0.0) * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_by_provider_and_over_all_and_say_their_age() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let count = |state: &str, provider: &str, jobs| Count {
            state: state.to_owned(),
            provider: provider.to_owned(),
            jobs,
        };
        let counts = [
            count("failed", "fitbit", 3),
            count("failed", "strava", 4),
            count("runnable", "strava", 2),
            count("of another version", "strava", 9),
        ];
        let taken = Taken {
            now,
            live_at: Some(now - TimeDelta::milliseconds(3_240)),
            history_at: None,
            oldest_runnable_at: Some(now + TimeDelta::seconds(1)),
        };
        let shown = JobCounts::new(&counts, &taken);
        assert_eq!(shown.states, States { failed: 7, runnable: 2, ..States::default() });
        let names: Vec<_> = shown.providers.iter().map(|p| p.provider.as_str()).collect();
        assert_eq!(names, ["fitbit", "strava"]);
        assert_eq!(shown.providers[0].states, States { failed: 3, ..States::default() });
        assert_eq!((shown.age_s, shown.oldest_runnable_age_s), (Some(3.2), Some(0.0)));
    }
}
