//! What Prometheus reads: every metric that is documented, and none that is not.

use paceline_shared::measures::{DATABASE, Kind, Measure, PROCESS};
use paceline_tests::{
    client::Client,
    stack::{SOON, Stack, WorkerSetup},
    wait::until,
};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// A page of metrics, taken apart.
struct Page {
    help: BTreeMap<String, String>,
    kinds: BTreeMap<String, String>,
    /// Name, labels, value.
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Page {
    async fn read(client: &Client) -> Self {
        let answer = client.get("/metrics").await;
        assert_eq!((answer.status.as_u16(), answer.media_type()), (200, "text/plain"));
        let mut page = Self { help: BTreeMap::new(), kinds: BTreeMap::new(), samples: Vec::new() };
        for line in answer.text.lines().filter(|line| !line.is_empty()) {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' '))
            {
                page.help.insert(name.to_owned(), help.to_owned());
            } else if let Some((name, kind)) =
                line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' '))
            {
                page.kinds.insert(name.to_owned(), kind.to_owned());
            } else {
                page.samples.push(sample(line));
            }
        }
        page
    }

    /// The sum over all samples of this name that have these labels.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |of: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| of.get(*key).is_some_and(|is| is == value))
        };
        let found: Vec<f64> =
            self.samples.iter().filter(|(is, of, _)| is == name && has(of)).map(|s| s.2).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }

    /// Everything there is declared, with its kind, its meaning and no label beside its own; everything
    /// declared is there, but for `may_lack`.
    fn assert_is(&self, declared: &[&[Measure]], may_lack: &[&str]) {
        let declared: BTreeMap<&str, &Measure> =
            declared.iter().copied().flatten().map(|measure| (measure.name, measure)).collect();
        let mut seen = BTreeSet::new();
        for (sample, labels, value) in &self.samples {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| sample.strip_suffix(suffix))
                .find(|base| self.kinds.get(*base).is_some_and(|kind| kind == "histogram"))
                .unwrap_or(sample);
            let measure = declared.get(base).unwrap_or_else(|| panic!("{sample} is not declared"));
            for label in labels.keys().filter(|label| *label != "le") {
                assert!(measure.labels.contains(&label.as_str()), "{label} of {sample}");
            }
            assert!(value.is_finite() && *value >= 0.0, "{sample} is {value}");
            seen.insert(measure.name);
        }
        for (name, measure) in &declared {
            if !seen.contains(name) {
                assert!(may_lack.contains(name), "{name} is declared and not there");
                continue;
            }
            let kind = match measure.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            assert_eq!(self.kinds.get(*name).map(String::as_str), Some(kind), "{name}");
            assert_eq!(self.help.get(*name).map(String::as_str), Some(measure.meaning), "{name}");
        }
    }
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split("\",").filter(|label| !label.is_empty());
    let labels = labels.map(|label| {
        let (key, value) = label.split_once("=\"").unwrap();
        (key.to_owned(), value.trim_end_matches('"').to_owned())
    });
    (name.to_owned(), labels.collect(), value.parse().unwrap())
}

#[tokio::test]
async fn both_ports_show_what_is_declared_and_nothing_else() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 20).await;
    let options = vec!["--tidy-every".to_owned(), "50ms".to_owned()];
    let worker = stack.worker_with(WorkerSetup { options, ..WorkerSetup::default() }).await;
    user.sync_all(&json!({})).await;

    let port = Client::new(format!("http://{}", worker.address()), None);
    // Read every ten seconds, after somebody has counted.
    until("the depth and a round of housekeeping", SOON, async || {
        let page = Page::read(&port).await;
        page.value("paceline_jobs_runnable", &[]).is_some()
            && page.value("paceline_rows_pruned_total", &[]).is_some()
            && page.value("paceline_notify_lag_seconds_count", &[]).is_some()
    })
    .await;
    let page = Page::read(&port).await;
    // What only happens when something is wrong.
    let troubles = [
        "paceline_jobs_parked_total",
        "paceline_jobs_stuck_total",
        "paceline_provider_waits_total",
        "paceline_breaker_moves_total",
    ];
    page.assert_is(&[DATABASE, PROCESS, paceline_worker::observe::METRICS], &troubles);

    let strava = ("provider", "strava");
    let one = [
        ("paceline_jobs_claimed_total", vec![strava]),
        ("paceline_jobs_finished_total", vec![strava, ("outcome", "completed")]),
        ("paceline_attempts_total", vec![strava, ("outcome", "completed")]),
        ("paceline_attempt_seconds_count", vec![strava]),
        ("paceline_sync_seconds_count", vec![strava, ("size", "le100")]),
        ("paceline_phase_seconds_count", vec![strava, ("phase", "fetch"), ("size", "le100")]),
        ("paceline_phase_seconds_count", vec![strava, ("phase", "enrich")]),
        ("paceline_phase_seconds_count", vec![strava, ("phase", "store")]),
    ];
    for (name, labels) in one {
        assert_eq!(page.value(name, &labels), Some(1.0), "{name} {labels:?}");
    }
    let at_least = |name: &str, labels: &[(&str, &str)], least: f64| {
        let value = page.value(name, labels).unwrap_or_else(|| panic!("{name} {labels:?}"));
        assert!(value >= least, "{name} {labels:?} is {value}");
    };
    at_least("paceline_records_stored_total", &[strava], 20.0);
    at_least("paceline_provider_requests_total", &[strava, ("outcome", "ok")], 2.0);
    at_least("paceline_provider_requests_total", &[("provider", "open_meteo")], 1.0);
    at_least("paceline_process_resident_bytes", &[], 1e6);
    at_least("paceline_sql_pool_connections", &[("pool", "paceline-worker-control")], 1.0);
    at_least("paceline_sql_acquire_seconds_count", &[("pool", "paceline-worker")], 1.0);
    for statement in ["claim", "beat", "checkpoint", "settle"] {
        at_least("paceline_sql_seconds_count", &[("statement", statement)], 1.0);
    }
    for table in ["sync_jobs", "sync_runs", "sync_progress"] {
        at_least("paceline_table_dead_rows", &[("table", table)], 0.0);
    }

    let page = Page::read(&stack.client_with(None)).await;
    page.assert_is(&[DATABASE, PROCESS, paceline_api::METRICS], &[]);
    let route = [("route", "/api/v1/syncs"), ("method", "POST"), ("status", "202")];
    assert_eq!(page.value("paceline_http_requests_total", &route), Some(1.0));
    assert_eq!(page.value("paceline_sql_seconds_count", &[("statement", "enqueue")]), Some(1.0));
}

#[tokio::test]
async fn what_is_runnable_is_told_apart_from_what_waits() {
    let mut stack = Stack::new().await;
    for name in ["ann", "bea", "cyd", "dee"] {
        stack.user(name, 1).await.client.start_sync(&json!({})).await;
    }
    paceline_tests::rows::change(
        &stack.db,
        "update paceline.sync_jobs set waiting_for = 'rate_limit', run_at = clock_timestamp() + interval '1 hour'
          where id = (select id from paceline.sync_jobs order by id limit 1);
         update paceline.sync_jobs set run_at = clock_timestamp() - interval '5 minutes' where waiting_for is null;
         update paceline.sync_jobs set provider = 'garmin' where id = (select id from paceline.sync_jobs order by id desc limit 1);
         update paceline.lanes set paused_until = 'infinity', paused_at = clock_timestamp(), pause_reason = 'test'
          where lane = 'garmin'",
    )
    .await;
    // No slot for anybody: its provider is another one.
    paceline_tests::rows::change(&stack.db, "update paceline.sync_jobs set payload_version = 1000")
        .await;
    let worker = stack.worker().await;
    let port = Client::new(format!("http://{}", worker.address()), None);
    until("the depth", SOON, async || {
        Page::read(&port).await.value("paceline_jobs_runnable", &[]).is_some()
    })
    .await;
    let page = Page::read(&port).await;
    let jobs = |provider| {
        let of = |state| page.value("paceline_jobs", &[("provider", provider), ("state", state)]);
        let runnable = page.value("paceline_jobs_runnable", &[("provider", provider)]);
        [of("queued"), of("waiting"), of("running"), runnable]
    };
    assert_eq!(jobs("strava"), [2.0, 1.0, 0.0, 2.0].map(Some));
    assert_eq!(jobs("garmin"), [1.0, 0.0, 0.0, 0.0].map(Some), "it is paused");
    let oldest = page.value("paceline_jobs_oldest_runnable_seconds", &[]).unwrap();
    assert!((290.0..400.0).contains(&oldest), "{oldest}");
}
