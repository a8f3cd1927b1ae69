//! What was asked and what was answered.
//!
//! Owns a bounded list of requests and counts that are never dropped. Must not know providers'
//! rules.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use serde::Serialize;

use crate::fault_rule::Provider;
use crate::locks::locked;

/// One request to a provider.
#[derive(Clone, Debug, Serialize)]
pub struct LogEntry {
    /// Rises by one with each answer; from 1.
    pub seq: u64,
    /// When it arrived, by the machine's clock; Unix milliseconds.
    pub at: i64,
    /// From arrival until the answer was ready.
    pub took_ms: u64,
    /// Whom it asked.
    pub provider: Provider,
    /// As in `GET`.
    pub method: String,
    /// Without the query; Withings' end with the action, as in `/withings/measure/getmeas`.
    pub path: String,
    /// As received, without the question mark; empty when there was none. Withings' tell what its
    /// forms say, without secrets.
    pub query: String,
    /// The Strava athlete it was made for, when the token or code tells.
    pub athlete: Option<u64>,
    /// The user of any provider it was made for, by that provider's id, when the token or code tells.
    pub user: Option<String>,
    /// The page of a list; at Withings the `offset`, 0 for the first.
    pub page: Option<u32>,
    /// `None` when nothing was answered.
    pub status: Option<u16>,
    /// The fault that befell it, or `hung_up` when the client left before the answer.
    pub fault: Option<&'static str>,
    /// Bytes of the body that were meant to be sent.
    pub bytes: u64,
}

/// Requests counted since the start or the last clearing.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Counts {
    /// All requests to providers.
    pub total: u64,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// By path, with `{id}` for an activity's number.
    pub by_path: BTreeMap<String, PathCounts>,
    /// By status; `none` when nothing was answered.
    pub by_status: BTreeMap<String, u64>,
    /// By fault.
    pub by_fault: BTreeMap<String, u64>,
}

/// Requests of one path.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PathCounts {
    /// All.
    pub total: u64,
    /// By status, as in [`Counts`].
    pub by_status: BTreeMap<String, u64>,
}

#[derive(Debug)]
pub(crate) struct Log {
    capacity: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    seq: u64,
    entries: VecDeque<LogEntry>,
    counts: Counts,
}

impl Log {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, inner: Mutex::default() }
    }

    pub(crate) fn record(&self, mut entry: LogEntry) {
        let mut inner = locked(&self.inner);
        inner.seq += 1;
        entry.seq = inner.seq;
        inner.counts.add(&entry);
        if self.capacity == 0 {
            return;
        }
        if inner.entries.len() == self.capacity {
            inner.entries.pop_front();
        }
        inner.entries.push_back(entry);
    }

    /// At most `limit` entries after number `since`, oldest first.
    pub(crate) fn since(&self, since: u64, limit: usize) -> Vec<LogEntry> {
        let inner = locked(&self.inner);
        let from = inner.entries.partition_point(|entry| entry.seq <= since);
        inner.entries.iter().skip(from).take(limit).cloned().collect()
    }

    pub(crate) fn counts(&self) -> Counts {
        locked(&self.inner).counts.clone()
    }

    /// Forgets entries and counts; numbers go on.
    pub(crate) fn clear(&self) {
        let mut inner = locked(&self.inner);
        inner.entries.clear();
        inner.counts = Counts::default();
    }
}

impl Counts {
    fn add(&mut self, entry: &LogEntry) {
        let status = entry.status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.total += 1;
        self.bytes += entry.bytes;
        let path = self.by_path.entry(template(&entry.path)).or_default();
        path.total += 1;
        *path.by_status.entry(status.clone()).or_default() += 1;
        *self.by_status.entry(status).or_default() += 1;
        if let Some(fault) = entry.fault {
            *self.by_fault.entry(fault.to_owned()).or_default() += 1;
        }
    }
}

fn template(path: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = path.split('/').map(|part| if is_number(part) { "{id}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, status: Option<u16>) -> LogEntry {
        LogEntry {
            seq: 0,
            at: 0,
            took_ms: 0,
            provider: Provider::Strava,
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: String::new(),
            athlete: None,
            user: None,
            page: None,
            status,
            fault: status.is_none().then_some("reset"),
            bytes: 10,
        }
    }

    #[test]
    fn the_oldest_entries_go_first_and_the_counts_stay() {
        let log = Log::new(3);
        for _ in 0..5 {
            log.record(entry("/a/1", Some(200)));
        }
        let kept: Vec<u64> = log.since(0, 10).iter().map(|entry| entry.seq).collect();
        assert_eq!(kept, [3, 4, 5]);
        assert_eq!(log.since(4, 10).len(), 1);
        assert_eq!(log.since(0, 2).len(), 2);
        assert_eq!(log.counts().total, 5);
    }

    #[test]
    fn counts_go_by_path_without_numbers_and_by_status() {
        let log = Log::new(0);
        log.record(entry("/strava/api/v3/activities/77", Some(200)));
        log.record(entry("/strava/api/v3/activities/78", None));
        assert!(log.since(0, 10).is_empty());
        let counts = log.counts();
        let path = &counts.by_path["/strava/api/v3/activities/{id}"];
        assert_eq!((path.total, path.by_status["200"], path.by_status["none"]), (2, 1, 1));
        assert_eq!(counts.by_fault["reset"], 1);
        log.clear();
        assert_eq!(log.counts().total, 0);
    }
}
