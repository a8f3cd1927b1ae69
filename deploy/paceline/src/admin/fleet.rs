//! Workers and providers as the API shows them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A worker process.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
#[expect(clippy::struct_field_names, reason = "as the API names them")]
pub(crate) struct Worker {
    pub(crate) worker_id: String,
    pub(crate) label: String,
    pub(crate) host: String,
    pub(crate) pid: i64,
    pub(crate) version: String,
    pub(crate) state: String,
    pub(crate) slots: i64,
    pub(crate) jobs: i64,
    pub(crate) providers: Vec<String>,
    pub(crate) payload_version: i64,
    pub(crate) listening: bool,
    pub(crate) rss_bytes: i64,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) last_beat_at: DateTime<Utc>,
    pub(crate) stopped_at: Option<DateTime<Utc>>,
    pub(crate) drain_requested_at: Option<DateTime<Utc>>,
    pub(crate) drain_requested_by: Option<String>,
}

/// A provider's lane, or all of them.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct Lane {
    pub(crate) provider: String,
    pub(crate) title: String,
    pub(crate) running: i64,
    pub(crate) queued: i64,
    pub(crate) runnable: i64,
    pub(crate) waiting: i64,
    pub(crate) max_running: Option<i64>,
    pub(crate) pause: Option<Pause>,
    pub(crate) block: Option<Block>,
    pub(crate) breaker: Breaker,
    pub(crate) budgets: Vec<Budget>,
}

/// Somebody stopped it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Pause {
    pub(crate) until: Option<DateTime<Utc>>,
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) by: Option<String>,
    pub(crate) reason: Option<String>,
}

/// The application's quota is spent.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Block {
    pub(crate) until: DateTime<Utc>,
    pub(crate) reason: Option<String>,
    pub(crate) scope: Option<String>,
    pub(crate) spares: Option<String>,
}

/// Whether the provider answers.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Breaker {
    pub(crate) state: String,
    pub(crate) until: Option<DateTime<Utc>>,
    pub(crate) since: Option<DateTime<Utc>>,
    pub(crate) trips: i64,
    pub(crate) reason: Option<String>,
}

/// Calls that a provider allows.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all(deserialize = "camelCase"))]
pub(crate) struct Budget {
    pub(crate) scope: String,
    pub(crate) window_s: i64,
    pub(crate) limit: i64,
    pub(crate) used: i64,
    pub(crate) reserved: i64,
    pub(crate) left: i64,
    pub(crate) refused: i64,
    pub(crate) resets_at: Option<DateTime<Utc>>,
}

impl Worker {
    /// Whether its process runs, as far as anybody knows.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.state.as_str(), "alive" | "draining")
    }
}

impl Lane {
    /// What holds it back, for people.
    pub(crate) fn standing(&self) -> String {
        let clock = |at: DateTime<Utc>| at.format("%H:%M:%S").to_string();
        let mut held = Vec::new();
        if let Some(pause) = &self.pause {
            let until = pause.until.map_or_else(|| "resumed".to_owned(), clock);
            let by = pause.by.as_deref().unwrap_or("somebody");
            let reason = pause.reason.as_deref().unwrap_or("no reason given");
            held.push(format!("paused by {by} until {until} ({reason})"));
        }
        if self.breaker.state != "closed" {
            let until =
                self.breaker.until.map_or_else(String::new, |at| format!(" until {}", clock(at)));
            held.push(format!("breaker {}{until}", self.breaker.state.replace('_', " ")));
        }
        if let Some(block) = &self.block {
            let what = block.scope.as_deref().or(block.reason.as_deref()).unwrap_or("quota");
            let spares =
                block.spares.as_deref().map_or_else(String::new, |who| format!(", {who} goes on"));
            held.push(format!("{what} spent until {}{spares}", clock(block.until)));
        }
        if held.is_empty() { "open".to_owned() } else { held.join("; ") }
    }

    /// What is left of each window, for people.
    pub(crate) fn left(&self) -> String {
        let of = |budget: &Budget| {
            let scope =
                budget.scope.split_once(':').map_or(budget.scope.as_str(), |(_, what)| what);
            format!("{scope}/{} {} of {}", window(budget.window_s), budget.left, budget.limit)
        };
        self.budgets.iter().map(of).collect::<Vec<_>>().join(", ")
    }
}

fn window(seconds: i64) -> String {
    match seconds {
        86_400 => "day".to_owned(),
        3_600 => "hour".to_owned(),
        s if s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lane(more: &serde_json::Value) -> Lane {
        let mut lane = json!({
            "provider": "strava", "title": "Strava", "running": 3, "queued": 10, "waiting": 0, "runnable": 10,
            "maxRunning": null, "pause": null, "block": null,
            "breaker": {"state": "closed", "until": null, "since": null, "trips": 0, "reason": null},
            "budgets": [{"scope": "strava:all", "windowS": 900, "limit": 200, "used": 120, "reserved": 4, "left": 76,
                         "refused": 0, "resetsAt": null}]
        });
        for (name, value) in more.as_object().unwrap() {
            lane[name] = value.clone();
        }
        serde_json::from_value(lane).unwrap()
    }

    #[test]
    fn a_lane_says_all_that_holds_it_back() {
        assert_eq!(lane(&json!({})).standing(), "open");
        let held = lane(&json!({
            "pause": {"until": null, "since": null, "by": "ann", "reason": "maintenance"},
            "block": {"until": "2026-11-21T14:15:00Z", "reason": "rate_limit", "scope": "strava:all", "spares": "interactive"},
        }));
        assert_eq!(
            held.standing(),
            "paused by ann until resumed (maintenance); strava:all spent until 14:15:00, interactive goes on"
        );
    }

    #[test]
    fn budgets_are_told_by_their_window() {
        assert_eq!(lane(&json!({})).left(), "all/15m 76 of 200");
        assert_eq!(
            (window(86_400), window(3_600), window(7)),
            ("day".into(), "hour".into(), "7s".into())
        );
    }
}
