//! What is measured: the name, kind, unit and meaning of every metric, as each process declares its own.
//! Here are those that every process has which talks to Postgres; it knows nobody who reads them.

use crate::db::Db;
use metrics::{SharedString, Unit};

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only upwards.
    Counter,
    /// Up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// As Prometheus has it: `paceline_…`, the unit in it.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// For operators: what is counted, and by which labels.
    pub meaning: &'static str,
    /// Its labels; one without labels shows from the start, at zero.
    pub labels: &'static [&'static str],
}

impl Measure {
    /// A counter; the name ends in `_total`.
    #[must_use]
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        meaning: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Counter, meaning, labels }
    }

    /// A gauge.
    #[must_use]
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        meaning: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Gauge, meaning, labels }
    }

    /// A histogram of seconds; the name ends in `_seconds`.
    #[must_use]
    pub const fn seconds(
        name: &'static str,
        labels: &'static [&'static str],
        meaning: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram, meaning, labels }
    }

    fn unit(&self) -> Unit {
        match self.name {
            name if name.ends_with("_seconds") => Unit::Seconds,
            name if name.ends_with("_bytes") => Unit::Bytes,
            _ => Unit::Count,
        }
    }
}

/// Every process that talks to Postgres.
pub const DATABASE: &[Measure] = &[
    Measure::seconds(
        "paceline_sql_acquire_seconds",
        &["pool"],
        "Wait for a connection of a pool; for a transaction the round trip that begins it included.",
    ),
    Measure::seconds(
        "paceline_sql_seconds",
        &["statement"],
        "Time of what queue and pipeline live on, the wait for a connection included: enqueue (without it), claim, beat, checkpoint (the whole transaction), settle, promote, reclaim.",
    ),
    Measure::gauge(
        "paceline_notify_listening",
        &[],
        "1 while notifications arrive; 0 while this process polls instead.",
    ),
    Measure::seconds(
        "paceline_notify_lag_seconds",
        &[],
        "From sending a notification to hearing it, measured with notifications of this process's own.",
    ),
    Measure::gauge("paceline_sql_pool_connections", &["pool"], "Open connections of a pool."),
    Measure::gauge("paceline_sql_pool_idle", &["pool"], "Connections of a pool that nobody uses."),
    Measure::gauge(
        "paceline_sql_pool_waiting",
        &["pool"],
        "Statements and transactions that wait for a connection of a pool.",
    ),
];

/// Every process.
pub const PROCESS: &[Measure] = &[Measure::gauge(
    "paceline_process_resident_bytes",
    &[],
    "Memory of this process that is in RAM.",
)];

/// Tells the recorder what metrics mean. Those without labels show at zero from now on.
pub fn declare(measures: &[Measure]) {
    for measure in measures {
        let Measure { name, kind, meaning, labels } = *measure;
        match kind {
            Kind::Counter => {
                metrics::describe_counter!(name, measure.unit(), meaning);
                if labels.is_empty() {
                    metrics::counter!(name).increment(0);
                }
            }
            Kind::Gauge => {
                metrics::describe_gauge!(name, measure.unit(), meaning);
                if labels.is_empty() {
                    metrics::gauge!(name).set(0.0);
                }
            }
            Kind::Histogram => metrics::describe_histogram!(name, measure.unit(), meaning),
        }
    }
}

/// A count as gauges take it; exact up to 2⁵³.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "nobody reads the last digit of 2^53")]
pub const fn gauge_of(count: u64) -> f64 {
    count as f64
}

/// Says how pools are used at this moment.
pub fn report_pools(pools: &[Db]) {
    for db in pools {
        let pool = || SharedString::from(db.name());
        let usage = db.usage();
        let report = |name: &'static str, count: usize| {
            metrics::gauge!(name, "pool" => pool()).set(gauge_of(count as u64));
        };
        report("paceline_sql_pool_connections", usage.open);
        report("paceline_sql_pool_idle", usage.idle);
        report("paceline_sql_pool_waiting", usage.waiting);
    }
}

/// Says how much memory this process has in RAM, where the system tells.
pub fn report_memory() {
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!("paceline_process_resident_bytes").set(gauge_of(bytes));
    }
}

/// Memory of this process that is in RAM; `None` where there is no `/proc`.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_kind_and_unit() {
        for measure in DATABASE.iter().chain(PROCESS) {
            assert!(measure.name.starts_with("paceline_"), "{}", measure.name);
            let suffix = match measure.kind {
                Kind::Counter => "_total",
                Kind::Histogram => "_seconds",
                Kind::Gauge => "",
            };
            assert!(measure.name.ends_with(suffix), "{}", measure.name);
        }
    }

    #[test]
    fn this_process_takes_some_memory() {
        let bytes = resident_bytes().expect("Linux has /proc");
        assert!((1 << 20..1 << 34).contains(&bytes), "{bytes}");
    }
}
