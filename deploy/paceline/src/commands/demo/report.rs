//! What the demo found: the simulated world's own figures against what Postgres holds.

use super::compare::{Count, Counts};
use crate::{exit::Exit, output};
use paceline_shared::Provider;
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What came of one account.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) user: String,
    pub(super) provider: Provider,
    /// Records that there are and that Postgres holds.
    pub(super) counts: Counts,
    /// Records of the provider, by id, that Postgres does not hold.
    pub(super) missing: usize,
    /// Activities that the provider has with coordinates.
    pub(super) locatable: u64,
    /// Stored activities with weather.
    pub(super) weather_enriched: u64,
    /// Stored activities with a named place.
    pub(super) geocoded: u64,
    /// From the connection to the end of the first sync.
    pub(super) took: Duration,
    /// Why the sync did not complete.
    pub(super) failure: Option<String>,
}

/// What came of all.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) lines: Vec<Line>,
    /// Requests that the providers had.
    pub(super) requests: u64,
    pub(super) took: Duration,
}

/// The total, as `-o json` prints it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Total {
    users: usize,
    connections: usize,
    syncs: usize,
    completed: usize,
    failed: usize,
    /// Records of all kinds together.
    #[serde(flatten)]
    all: Count,
    missing: usize,
    #[serde(flatten)]
    counts: Counts,
    providers: BTreeMap<&'static str, Counts>,
    locatable: u64,
    weather_enriched: u64,
    geocoded: u64,
    requests: u64,
    seconds: f64,
    records_per_s: f64,
}

impl Report {
    /// The figures of all accounts together.
    pub(super) fn total(&self) -> Total {
        let sum = |of: fn(&Line) -> u64| self.lines.iter().map(of).sum::<u64>();
        let failed = self.lines.iter().filter(|line| line.failure.is_some()).count();
        let users: BTreeSet<&str> = self.lines.iter().map(|line| line.user.as_str()).collect();
        let (mut counts, mut providers) = (Counts::default(), BTreeMap::new());
        for line in &self.lines {
            counts += line.counts;
            *providers.entry(line.provider.as_str()).or_insert_with(Counts::default) += line.counts;
        }
        let (all, seconds) = (counts.all(), self.took.as_secs_f64());
        // Far below what a float holds exactly.
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate for people, of at most a few million"
        )]
        let records_per_s = if seconds > 0.0 { all.stored as f64 / seconds } else { 0.0 };
        Total {
            users: users.len(),
            connections: self.lines.len(),
            syncs: self.lines.len(),
            completed: self.lines.len() - failed,
            failed,
            all,
            missing: self.lines.iter().map(|line| line.missing).sum(),
            counts,
            providers,
            locatable: sum(|line| line.locatable),
            weather_enriched: sum(|line| line.weather_enriched),
            geocoded: sum(|line| line.geocoded),
            requests: self.requests,
            seconds: (seconds * 1_000.0).round() / 1_000.0,
            records_per_s: (records_per_s * 10.0).round() / 10.0,
        }
    }

    /// A line an account, the total, and what is wrong, if anything is.
    pub(super) fn table(&self) -> String {
        let header = [
            "user",
            "provider",
            "activities",
            "measurements",
            "days",
            "weather",
            "places",
            "seconds",
        ];
        let lines = self.lines.iter().map(|line| {
            let Counts { activities, measurements, daily_summaries } = line.counts;
            [
                line.user.clone(),
                line.provider.to_string(),
                activities.to_string(),
                measurements.to_string(),
                daily_summaries.to_string(),
                of(line.weather_enriched, line.locatable),
                line.geocoded.to_string(),
                format!("{:.2}", line.took.as_secs_f64()),
            ]
        });
        let total = self.total();
        let all = [
            "total".to_owned(),
            String::new(),
            total.counts.activities.to_string(),
            total.counts.measurements.to_string(),
            total.counts.daily_summaries.to_string(),
            of(total.weather_enriched, total.locatable),
            total.geocoded.to_string(),
            format!("{:.2}", total.seconds),
        ];
        let mut text = vec![output::table(header, lines.chain([all]))];
        text.push(format!(
            "{} accounts connected; {} syncs, {} completed, {} failed; {} requests to the providers; {:.0} records a second",
            total.connections, total.syncs, total.completed, total.failed, total.requests, total.records_per_s
        ));
        for line in &self.lines {
            let (user, provider) = (&line.user, line.provider);
            text.extend(
                line.failure.as_ref().map(|failure| format!("{user} {provider}: {failure}")),
            );
            if line.missing > 0 {
                text.push(format!(
                    "{user} {provider}: {} of the provider's records are not stored",
                    line.missing
                ));
            }
        }
        text.join("\n") + "\n"
    }

    /// Done only when both sides agree.
    pub(super) fn exit(&self) -> Exit {
        let agrees = |line: &Line| {
            line.counts.agree() && line.missing == 0 && line.weather_enriched == line.locatable
        };
        if self.lines.iter().any(|line| line.failure.is_some()) {
            Exit::SyncsFailed
        } else if self.lines.iter().all(agrees) {
            Exit::Done
        } else {
            Exit::Failed
        }
    }
}

/// `899 of 900`, and nothing where there is nothing.
fn of(some: u64, all: u64) -> String {
    if all == 0 && some == 0 { String::new() } else { format!("{some} of {all}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(user: &str) -> Line {
        let same = |records| Count { expected: records, stored: records };
        Line {
            user: user.to_owned(),
            provider: Provider::Strava,
            counts: Counts {
                activities: same(1_000),
                measurements: same(200),
                daily_summaries: same(30),
            },
            missing: 0,
            locatable: 900,
            weather_enriched: 900,
            geocoded: 890,
            took: Duration::from_millis(1_500),
            failure: None,
        }
    }

    fn report(lines: Vec<Line>) -> Report {
        Report { lines, requests: 40, took: Duration::from_secs(2) }
    }

    fn short_of(shorten: impl Fn(&mut Counts)) -> Line {
        let mut line = line("b");
        shorten(&mut line.counts);
        line
    }

    #[test]
    fn done_is_only_what_both_sides_agree_on() {
        assert_eq!(report(vec![line("a"), line("b")]).exit(), Exit::Done);
        let short = [
            short_of(|counts| counts.activities.stored -= 1),
            short_of(|counts| counts.measurements.stored -= 1),
            // One too many is as wrong as one too few.
            short_of(|counts| counts.daily_summaries.stored += 1),
            // Another's record in its place would not be noticed by counting.
            Line { missing: 1, ..line("b") },
            Line { weather_enriched: 899, ..line("b") },
        ];
        for short in short {
            assert_eq!(report(vec![line("a"), short]).exit(), Exit::Failed);
        }
        let failed = Line { failure: Some("failed: no answer".to_owned()), ..line("b") };
        assert_eq!(report(vec![line("a"), failed]).exit(), Exit::SyncsFailed);
    }

    #[test]
    fn the_total_has_the_fields_that_scripts_read() {
        let other = Line { provider: Provider::Garmin, ..line("a") };
        let total = serde_json::to_value(report(vec![line("a"), other]).total()).unwrap();
        let same = |records: u64| serde_json::json!({"expected": records, "stored": records});
        assert_eq!(
            total,
            serde_json::json!({
                "users": 1, "connections": 2, "syncs": 2, "completed": 2, "failed": 0,
                "expected": 2_460, "stored": 2_460, "missing": 0,
                "activities": same(2_000), "measurements": same(400), "daily_summaries": same(60),
                "providers": {
                    "garmin": {"activities": same(1_000), "measurements": same(200), "daily_summaries": same(30)},
                    "strava": {"activities": same(1_000), "measurements": same(200), "daily_summaries": same(30)}
                },
                "locatable": 1_800, "weather_enriched": 1_800, "geocoded": 1_780,
                "requests": 40, "seconds": 2.0, "records_per_s": 1_230.0
            })
        );
    }

    #[test]
    fn the_table_ends_with_what_is_wrong() {
        let failed = Line {
            failure: Some("failed: no answer".to_owned()),
            missing: 999,
            ..short_of(|counts| counts.activities.stored = 1)
        };
        let table = report(vec![line("a"), failed]).table();
        let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
        let columns = [
            "user",
            "provider",
            "activities",
            "measurements",
            "days",
            "weather",
            "places",
            "seconds",
        ];
        assert_eq!(header, columns);
        assert!(table.contains("1 of 1000"), "{table}");
        assert!(table.contains("b strava: failed: no answer\n"), "{table}");
        assert!(
            table.ends_with("b strava: 999 of the provider's records are not stored\n"),
            "{table}"
        );
    }
}
