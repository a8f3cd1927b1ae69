//! What a worker measures, and the gauges that somebody has to read now and then: the queue's depth and the
//! state of its tables. What happens is counted where it happens.

use crate::{health::Render, job::Job};
use chrono::{DateTime, Utc};
use paceline_shared::{
    JobId, Provider,
    db::{Db, Error, housekeeping, job_counts, sync_outcomes::Outcome},
    measures::{DATABASE, Measure, PROCESS, declare, gauge_of, report_memory, report_pools},
    progress::{Counts, Phase},
};
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// Between two readings of the queue's depth.
const DEPTH_EVERY: Duration = Duration::from_secs(10);
/// Between two readings of the tables' statistics, in readings of the depth.
const TABLES_EVERY: u32 = 6;

/// Everything that a worker measures beside [`DATABASE`] and [`PROCESS`].
pub const METRICS: &[Measure] = &[
    Measure::gauge(
        "paceline_jobs",
        &["provider", "state"],
        "Live jobs of the whole fleet by state: queued, waiting, running. As last counted by some worker.",
    ),
    Measure::gauge(
        "paceline_jobs_runnable",
        &["provider"],
        "Queued jobs of the whole fleet that a worker would take now: not those that a pause, a spent quota, a breaker or a time holds back. Scale workers by this.",
    ),
    Measure::gauge(
        "paceline_jobs_oldest_runnable_seconds",
        &[],
        "How long the oldest runnable job has waited for a worker; 0 when there is none.",
    ),
    Measure::gauge(
        "paceline_jobs_counted_ago_seconds",
        &[],
        "Age of the counts behind paceline_jobs and paceline_jobs_runnable.",
    ),
    Measure::gauge("paceline_jobs_running", &[], "Jobs in the hands of this process."),
    Measure::counter("paceline_jobs_claimed_total", &["provider"], "Jobs taken by this process."),
    Measure::counter(
        "paceline_jobs_finished_total",
        &["provider", "outcome"],
        "Jobs that ended here: completed, failed, cancelled.",
    ),
    Measure::counter(
        "paceline_attempts_total",
        &["provider", "outcome"],
        "Attempts that ended here: completed, failed, cancelled, retry, parked, released. Those parked and released count for nothing against the job.",
    ),
    Measure::seconds("paceline_attempt_seconds", &["provider"], "From a claim to its outcome."),
    Measure::seconds(
        "paceline_phase_seconds",
        &["provider", "phase", "size"],
        "Time in a phase within one attempt, by records of the sync: 0, le100, le1k, le10k, more.",
    ),
    Measure::seconds(
        "paceline_sync_seconds",
        &["provider", "size"],
        "From a sync's acceptance to its last record stored, by records: 0, le100, le1k, le10k, more.",
    ),
    Measure::counter(
        "paceline_jobs_parked_total",
        &["provider", "reason"],
        "Jobs put aside until a known time, by what they wait for.",
    ),
    Measure::counter("paceline_jobs_promoted_total", &[], "Parked jobs whose time had come."),
    Measure::counter("paceline_jobs_reclaimed_total", &[], "Jobs taken back from lost workers."),
    Measure::counter(
        "paceline_jobs_quarantined_total",
        &[],
        "Jobs ended because worker after worker was lost with them.",
    ),
    Measure::counter(
        "paceline_jobs_stuck_total",
        &["provider"],
        "Jobs reported because their checkpoint had not moved for ten minutes though they beat.",
    ),
    Measure::counter(
        "paceline_jobs_alone_total",
        &[],
        "Jobs run with nothing beside them, because two workers were lost with them.",
    ),
    Measure::counter(
        "paceline_jobs_ended_for_memory_total",
        &[],
        "Jobs ended because this process had grown over its limit.",
    ),
    Measure::counter(
        "paceline_leases_lost_total",
        &[],
        "Outcomes refused because another worker had the job by then.",
    ),
    Measure::counter("paceline_bulk_jobs_total", &[], "Jobs that bulk operations acted on."),
    Measure::counter("paceline_records_stored_total", &["provider"], "Records through store."),
    Measure::counter("paceline_token_refreshes_total", &[], "Refreshes of access tokens begun."),
    Measure::seconds(
        "paceline_provider_request_seconds",
        &["provider"],
        "Time of a single call to a provider or the weather service, each try by itself.",
    ),
    Measure::counter(
        "paceline_provider_requests_total",
        &["provider", "outcome"],
        "Single calls: ok, rate_limited, refused, network, temporary, too_large, unsendable.",
    ),
    Measure::counter(
        "paceline_provider_waits_total",
        &["provider", "reason"],
        "Calls that were not made because a quota, a pace or the breaker held them back.",
    ),
    Measure::gauge(
        "paceline_budget_limit_calls",
        &["scope", "window_seconds"],
        "Calls that a provider allows our application in a window.",
    ),
    Measure::gauge(
        "paceline_budget_used_calls",
        &["scope", "window_seconds"],
        "Calls of the window that are spent, by our count or the provider's, whichever is more.",
    ),
    Measure::gauge(
        "paceline_budget_free_calls",
        &["scope", "window_seconds"],
        "Calls of the window that are neither spent nor reserved by a worker.",
    ),
    Measure::gauge(
        "paceline_breaker_state",
        &["provider"],
        "The fleet's breaker: 0 closed, 1 half open, 2 open.",
    ),
    Measure::counter(
        "paceline_breaker_moves_total",
        &["provider", "to"],
        "Moves of a breaker that this process made.",
    ),
    Measure::gauge(
        "paceline_table_dead_rows",
        &["table"],
        "Dead rows of the tables that change most, by Postgres's own statistics.",
    ),
    Measure::gauge("paceline_table_live_rows", &["table"], "Their live rows, by the same."),
    Measure::counter(
        "paceline_rows_pruned_total",
        &["table"],
        "Rows deleted by this process because they were old; of staged_pages the syncs.",
    ),
];

/// Tells the recorder what the metrics of a worker mean.
pub fn declare_metrics() {
    for measures in [DATABASE, PROCESS, METRICS] {
        declare(measures);
    }
}

/// How an attempt ended, to be counted once that is committed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    provider: &'static str,
    outcome: &'static str,
    parked_for: Option<&'static str>,
    is_final: bool,
    took: Duration,
}

impl Ended {
    /// From a claim to this outcome.
    pub(crate) const fn new(provider: Provider, outcome: &Outcome, took: Duration) -> Self {
        let (name, parked_for, is_final) = match outcome {
            Outcome::Completed => ("completed", None, true),
            Outcome::Failed(_) => ("failed", None, true),
            Outcome::Cancelled => ("cancelled", None, true),
            Outcome::Released => ("released", None, false),
            Outcome::Parked { reason, .. } => ("parked", Some(*reason), false),
            Outcome::Retry { .. } => ("retry", None, false),
        };
        Self { provider: provider.as_str(), outcome: name, parked_for, is_final, took }
    }

    /// Counts it.
    pub(crate) fn count(self) {
        let Self { provider, outcome, parked_for, is_final, took } = self;
        metrics::histogram!("paceline_attempt_seconds", "provider" => provider).record(took);
        metrics::counter!("paceline_attempts_total", "provider" => provider, "outcome" => outcome)
            .increment(1);
        if is_final {
            metrics::counter!("paceline_jobs_finished_total", "provider" => provider, "outcome" => outcome)
                .increment(1);
        }
        if let Some(reason) = parked_for {
            metrics::counter!("paceline_jobs_parked_total", "provider" => provider, "reason" => reason)
                .increment(1);
        }
    }
}

/// A phase is through, in this attempt.
pub(crate) fn phase_ended(job: &Job, phase: Phase, counts: &Counts, took: Duration) {
    metrics::histogram!(
        "paceline_phase_seconds",
        "provider" => job.provider.as_str(), "phase" => phase.as_str(), "size" => size_class(counts.fetched)
    )
    .record(took);
}

/// A sync is through: all is stored.
pub(crate) fn sync_stored(job: &Job, counts: &Counts) {
    if let Some(accepted) = made_at(job.id) {
        let took = (Utc::now() - accepted).to_std().unwrap_or_default();
        metrics::histogram!(
            "paceline_sync_seconds",
            "provider" => job.provider.as_str(), "size" => size_class(counts.fetched)
        )
        .record(took);
    }
}

/// When a job was accepted: its id is of version 7.
fn made_at(job: JobId) -> Option<DateTime<Utc>> {
    let (seconds, nanos) = job.0.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

const fn size_class(records: i32) -> &'static str {
    match records {
        ..=0 => "0",
        1..=100 => "le100",
        101..=1_000 => "le1k",
        1_001..=10_000 => "le10k",
        _ => "more",
    }
}

/// Renders metrics with what is true at that moment: connections and memory.
pub(crate) fn with_gauges(render: Render, pools: Vec<Db>) -> Render {
    Arc::new(move || {
        report_pools(&pools);
        report_memory();
        render()
    })
}

/// Reads the gauges until `end`.
pub(crate) async fn run(db: Db, end: CancellationToken) {
    let reading = async {
        for turn in 0_u32.. {
            let read = async {
                Box::pin(depth(&db)).await?;
                if turn.is_multiple_of(TABLES_EVERY) { tables(&db).await } else { Ok(()) }
            };
            if let Err(error) = read.await {
                tracing::debug!(reason = error.reason(), "the queue's depth could not be read");
            }
            tokio::time::sleep(DEPTH_EVERY).await;
        }
    };
    end.run_until_cancelled(reading).await;
}

/// Counts when it is this worker's turn, and shows what was last counted by any.
async fn depth(db: &Db) -> Result<(), Error> {
    if let Some(turn) = job_counts::take_turn(db).await? {
        job_counts::count(db, turn).await?;
    }
    let mut tx = db.begin().await?;
    let (counts, taken) = job_counts::read(&mut tx).await?;
    tx.rollback().await?;
    let Some(counted_at) = taken.live_at else { return Ok(()) };
    for provider in Provider::ALL {
        let name = provider.as_str();
        let count = |state: &str| {
            // A state without jobs has no row.
            let of = counts.iter().find(|count| count.provider == name && count.state == state);
            gauge_of(of.map_or(0, |count| count.jobs.unsigned_abs()))
        };
        for state in ["queued", "waiting", "running"] {
            metrics::gauge!("paceline_jobs", "provider" => name, "state" => state)
                .set(count(state));
        }
        metrics::gauge!("paceline_jobs_runnable", "provider" => name).set(count("runnable"));
    }
    let seconds = |from: DateTime<Utc>, to: DateTime<Utc>| (to - from).as_seconds_f64().max(0.0);
    let oldest = taken.oldest_runnable_at.map_or(0.0, |since| seconds(since, counted_at));
    metrics::gauge!("paceline_jobs_oldest_runnable_seconds").set(oldest);
    metrics::gauge!("paceline_jobs_counted_ago_seconds").set(seconds(counted_at, taken.now));
    Ok(())
}

async fn tables(db: &Db) -> Result<(), Error> {
    for (table, dead, live) in housekeeping::table_rows(db).await? {
        let report = |name: &'static str, rows: i64| {
            metrics::gauge!(name, "table" => table.clone()).set(gauge_of(rows.unsigned_abs()));
        };
        report("paceline_table_dead_rows", dead);
        report("paceline_table_live_rows", live);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use paceline_shared::measures::Kind;

    #[test]
    fn names_say_kind_and_unit_and_every_label_is_told() {
        let mut names: Vec<&str> = METRICS.iter().map(|measure| measure.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len(), "a name twice");
        for measure in METRICS {
            assert!(measure.name.starts_with("paceline_"), "{}", measure.name);
            let suffix = match measure.kind {
                Kind::Counter => "_total",
                Kind::Histogram => "_seconds",
                Kind::Gauge => "",
            };
            assert!(measure.name.ends_with(suffix), "{}", measure.name);
            assert!(measure.meaning.ends_with('.'), "{}", measure.name);
        }
    }

    #[test]
    fn sizes_have_borders() {
        for (records, class) in [
            (0, "0"),
            (1, "le100"),
            (100, "le100"),
            (101, "le1k"),
            (1_000, "le1k"),
            (10_000, "le10k"),
            (10_001, "more"),
        ] {
            assert_eq!(size_class(records), class, "{records}");
        }
    }

    #[test]
    fn an_id_tells_when_its_job_was_accepted() {
        let age = Utc::now() - made_at(JobId::fresh()).expect("version 7 has a time");
        assert!(age.num_seconds().abs() < 2, "{age}");
    }
}
