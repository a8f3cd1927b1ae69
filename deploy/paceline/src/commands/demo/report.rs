//! What the demo found: the simulated world's own figures against what Postgres holds.

use crate::{
    exit::Exit,
    local::{Local, Person},
    output,
    sync::SyncView,
};
use paceline_shared::db::activities;
use serde::Serialize;
use std::time::Duration;

/// What came of one user's sync.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) user: String,
    /// Activities that the provider has.
    pub(super) expected: u64,
    /// Of these, with coordinates.
    pub(super) locatable: u64,
    /// Records that Postgres holds.
    pub(super) stored: u64,
    /// Of these, with weather.
    pub(super) weather_enriched: u64,
    /// Of these, with a named place.
    pub(super) geocoded: u64,
    /// Activities of the provider, by id, that Postgres does not hold.
    pub(super) missing: usize,
    /// Pages of the provider's list that were read.
    pub(super) pages: usize,
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
    syncs: usize,
    completed: usize,
    failed: usize,
    expected: u64,
    stored: u64,
    locatable: u64,
    weather_enriched: u64,
    geocoded: u64,
    requests: u64,
    seconds: f64,
    activities_per_s: f64,
}

/// Asks both sides.
pub(super) async fn compare(
    local: &Local<'_>,
    ended: impl Iterator<Item = (Person, (SyncView, Duration))>,
    took: Duration,
) -> anyhow::Result<Report> {
    let requests = local.simulator.requests().await?;
    let pages = local.simulator.pages_read().await?;
    let mut lines = Vec::new();
    for (person, (sync, took)) in ended {
        let athlete = local.simulator.athlete(person.athlete.id).await?;
        let stored = activities::stored(local.db, person.connection).await?;
        lines.push(Line {
            expected: athlete.activities,
            locatable: athlete.locatable,
            stored: stored.records.unsigned_abs(),
            weather_enriched: stored.weather_enriched.unsigned_abs(),
            geocoded: stored.geocoded.unsigned_abs(),
            missing: missing(local, &person).await?,
            pages: pages.get(&athlete.id).copied().unwrap_or_default(),
            took,
            failure: (!sync.has_completed()).then(|| sync.doing()),
            user: person.subject,
        });
    }
    Ok(Report { lines, requests, took })
}

/// Looks for every single activity of a person by its id.
async fn missing(local: &Local<'_>, person: &Person) -> anyhow::Result<usize> {
    let (mut missing, mut cursor) = (0, Some(0));
    while let Some(from) = cursor {
        let (ids, next) = local.simulator.activity_ids(person.athlete.id, from).await?;
        missing += activities::missing(local.db, person.connection, &ids).await?.len();
        cursor = next;
    }
    Ok(missing)
}

impl Report {
    /// The figures of all users together.
    pub(super) fn total(&self) -> Total {
        let sum = |of: fn(&Line) -> u64| self.lines.iter().map(of).sum::<u64>();
        let failed = self.lines.iter().filter(|line| line.failure.is_some()).count();
        let stored = sum(|line| line.stored);
        let seconds = self.took.as_secs_f64();
        // Far below what a float holds exactly.
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate for people, of at most a few million"
        )]
        let activities_per_s = if seconds > 0.0 { stored as f64 / seconds } else { 0.0 };
        Total {
            users: self.lines.len(),
            syncs: self.lines.len(),
            completed: self.lines.len() - failed,
            failed,
            expected: sum(|line| line.expected),
            stored,
            locatable: sum(|line| line.locatable),
            weather_enriched: sum(|line| line.weather_enriched),
            geocoded: sum(|line| line.geocoded),
            requests: self.requests,
            seconds: (seconds * 1_000.0).round() / 1_000.0,
            activities_per_s: (activities_per_s * 10.0).round() / 10.0,
        }
    }

    /// A line a user, the total, and what is wrong, if anything is.
    pub(super) fn table(&self) -> String {
        let header = ["user", "activities", "stored", "weather", "places", "pages", "seconds"];
        let users = self.lines.iter().map(|line| {
            [
                line.user.clone(),
                line.expected.to_string(),
                line.stored.to_string(),
                format!("{} of {}", line.weather_enriched, line.locatable),
                line.geocoded.to_string(),
                line.pages.to_string(),
                format!("{:.2}", line.took.as_secs_f64()),
            ]
        });
        let total = self.total();
        let all = [
            "total".to_owned(),
            total.expected.to_string(),
            total.stored.to_string(),
            format!("{} of {}", total.weather_enriched, total.locatable),
            total.geocoded.to_string(),
            self.lines.iter().map(|line| line.pages).sum::<usize>().to_string(),
            format!("{:.2}", total.seconds),
        ];
        let mut lines = vec![output::table(header, users.chain([all]))];
        lines.push(format!(
            "{} syncs, {} completed, {} failed; {} requests to the providers; {:.0} activities a second",
            total.syncs, total.completed, total.failed, total.requests, total.activities_per_s
        ));
        for line in &self.lines {
            let user = &line.user;
            lines.extend(line.failure.as_ref().map(|failure| format!("{user}: {failure}")));
            if line.missing > 0 {
                lines.push(format!(
                    "{user}: {} of the provider's activities are not stored",
                    line.missing
                ));
            }
        }
        lines.join("\n") + "\n"
    }

    /// Done only when both sides agree.
    pub(super) fn exit(&self) -> Exit {
        let agrees = |line: &Line| {
            line.stored == line.expected
                && line.missing == 0
                && line.weather_enriched == line.locatable
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(user: &str) -> Line {
        Line {
            user: user.to_owned(),
            expected: 1_000,
            locatable: 900,
            stored: 1_000,
            weather_enriched: 900,
            geocoded: 890,
            missing: 0,
            pages: 7,
            took: Duration::from_millis(1_500),
            failure: None,
        }
    }

    fn report(lines: Vec<Line>) -> Report {
        Report { lines, requests: 40, took: Duration::from_secs(2) }
    }

    #[test]
    fn done_is_only_what_both_sides_agree_on() {
        assert_eq!(report(vec![line("a"), line("b")]).exit(), Exit::Done);
        let short = [
            Line { stored: 999, ..line("b") },
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
        let total = report(vec![line("a"), line("b")]).total();
        assert_eq!(
            serde_json::to_string(&total).unwrap(),
            r#"{"users":2,"syncs":2,"completed":2,"failed":0,"expected":2000,"stored":2000,"locatable":1800,"weather_enriched":1800,"geocoded":1780,"requests":40,"seconds":2.0,"activities_per_s":1000.0}"#
        );
    }

    #[test]
    fn the_table_ends_with_what_is_wrong() {
        let failed = Line {
            failure: Some("failed: no answer".to_owned()),
            stored: 1,
            missing: 999,
            ..line("demo-2")
        };
        let table = report(vec![line("demo-1"), failed]).table();
        let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
        assert_eq!(
            header,
            ["user", "activities", "stored", "weather", "places", "pages", "seconds"]
        );
        assert!(table.contains("demo-2: failed: no answer\n"), "{table}");
        assert!(
            table.ends_with("demo-2: 999 of the provider's activities are not stored\n"),
            "{table}"
        );
    }
}
