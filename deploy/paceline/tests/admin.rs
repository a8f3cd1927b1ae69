//! The administration as an operator does it: from the command line, against a fleet of `paceline dev`.

mod dev;
mod home;

use chrono::{DateTime, TimeDelta, Utc};
use dev::Dev;
use serde_json::{Value, json};
use std::net::TcpListener;

/// What makes every sync fail until it is taken away.
fn refusal() -> Value {
    json!({ "provider": "strava", "path": "/strava/api/v3/", "fault": { "status": { "code": 400 } } })
}

fn ids(jobs: &Value) -> Vec<&str> {
    let jobs = jobs.as_array().expect("a list");
    jobs.iter().map(|job| job["sync_id"].as_str().expect("an id")).collect()
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().and_then(|at| at.parse().ok()).unwrap_or_else(|| panic!("no time: {value}"))
}

/// The one of the list whose member is this.
fn with<'a>(list: &'a Value, member: &str, wanted: &str) -> &'a Value {
    let mut all = list.as_array().expect("a list").iter();
    all.find(|one| one[member] == wanted).unwrap_or_else(|| panic!("no {wanted} in {list}"))
}

#[test]
fn a_paused_provider_says_who_paused_it_and_its_jobs_go_on_when_it_is_resumed() {
    let dev = Dev::start();
    let asked = Utc::now();
    let pause = ["providers", "pause", "strava", "--for", "10m", "--reason", "new keys"];
    let lane = dev.json(&[&pause[..], &["--as", "ann"]].concat());
    assert_eq!(
        (&lane["pause"]["by"], &lane["pause"]["reason"]),
        (&json!("ann"), &json!("new keys"))
    );
    let until = time(&lane["pause"]["until"]);
    let length = until - asked;
    assert!(TimeDelta::minutes(9) < length && length < TimeDelta::minutes(12), "{length}");

    let id = dev.sync("demo-1", &[]);
    let why = dev.json(&["jobs", "why", &id]);
    assert_eq!((&why["sync_id"], &why["state"]), (&json!(id), &json!("queued")));
    let paused = with(&why["why"], "code", "paused");
    assert_eq!(time(&paused["until"]), until);
    let sentence = paused["message"].as_str().expect("a sentence");
    assert!(sentence.starts_with("Strava is paused by ann until "), "{sentence}");
    assert!(sentence.ends_with(": new keys"), "{sentence}");
    assert!(dev.text(&["jobs", "why", &id]).lines().any(|line| line == sentence));

    assert_eq!(ids(&dev.json(&["jobs", "list", "--state", "queued"])), [&id]);
    assert!(ids(&dev.json(&["jobs", "list", "--state", "running"])).is_empty());
    assert!(dev.text(&["jobs", "list", "--state", "queued", "--user", "demo-1"]).contains(&id));
    assert!(ids(&dev.json(&["jobs", "list", "--state", "queued", "--user", "demo-2"])).is_empty());
    let lanes = dev.json(&["providers", "list"]);
    assert_eq!(lanes[0]["provider"], "all");
    assert_eq!(with(&lanes, "provider", "strava")["pause"]["by"], "ann");
    assert!(dev.text(&["providers", "list"]).contains("paused by ann until "));

    // It waits in its place until somebody says otherwise.
    let urgent = dev.json(&["jobs", "priority", &id, "webhook", "--reason", "she asked"]);
    assert_eq!((&urgent["class"], &urgent["state"]), (&json!("webhook"), &json!("queued")));

    let other = dev.sync("demo-2", &[]);
    let cancelled = dev.json(&["jobs", "cancel", &other, "--reason", "not needed"]);
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(dev.json(&["jobs", "why", &other])["why"][0]["code"], "ended");

    let resume = ["providers", "resume", "strava", "--reason", "keys are in place"];
    let lane = dev.json(&[&resume[..], &["--as", "bob"]].concat());
    assert_eq!(lane["pause"], Value::Null);
    let whole = dev.job_when(&id, "completed");
    assert_eq!(whole["progress"]["percent"], 100);
    let too_late = dev.refused(&["jobs", "cancel", &id], 1);
    assert!(too_late.starts_with("error: the job was not cancelled: "), "{too_late}");
    assert_eq!(with(&whole["audit"], "act", "job.class")["detail"]["reason"], "she asked");
    let counts = dev.when("nothing was counted", || {
        let counts = dev.json(&["jobs", "counts"]);
        counts["as_of"].is_string().then_some(counts)
    });
    assert!(counts["states"]["completed"].is_i64(), "{counts}");
    assert!(dev.text(&["jobs", "counts"]).contains("counted "));

    let limit = |jobs| dev.json(&["providers", "limit", "strava", jobs, "--reason", "slowly"]);
    assert_eq!(limit("3")["max_running"], 3);
    assert_eq!(limit("none")["max_running"], Value::Null);

    // Nothing holds it back; to say so again is no failure.
    let lane = dev.json(&["providers", "unblock", "strava", "--reason", "they gave us more"]);
    assert_eq!(lane["block"], Value::Null);
    let lane = dev.json(&["providers", "close-breaker", "strava"]);
    assert_eq!(lane["breaker"]["state"], "closed");

    let entries = dev.json(&["audit", "--target", "lane:strava"]);
    let acts: Vec<_> = entries.as_array().unwrap().iter().map(|entry| &entry["act"]).collect();
    let expected = ["close_breaker", "unblock", "limit", "limit", "resume", "pause"];
    assert_eq!(acts, expected.map(|act| format!("lane.{act}")).each_ref());
    assert_eq!(entries[5]["actor"], "ann");
    assert_eq!(entries[5]["detail"]["reason"], "new keys");
    let text = dev.text(&["audit", "--actor", "bob"]);
    assert!(text.contains("lane.resume") && text.contains("reason=keys are in place"), "{text}");
}

#[test]
fn failed_jobs_are_found_by_their_kind_and_retried_one_by_one_and_together() {
    let dev = Dev::start();
    let start_and_fail = |user| {
        let id = dev.sync(user, &["--max-retries", "0"]);
        dev.job_when(&id, "failed");
        id
    };
    dev.add_fault(&refusal());
    let first = start_and_fail("demo-1");

    let groups = dev.json(&["failures"]);
    assert_eq!(groups.as_array().map(Vec::len), Some(1), "{groups}");
    let group = &groups[0];
    assert_eq!((&group["count"], &group["open"]), (&json!(1), &json!(1)), "{group}");
    assert_eq!(group["sample"]["sync_id"], first.as_str());
    let kind = group["fingerprint"].as_str().expect("a fingerprint");
    assert!(dev.text(&["failures", "--since", "15m", "--provider", "strava"]).contains(kind));
    assert_eq!(ids(&dev.json(&["failures", "show", kind])), [&first]);
    assert_eq!(ids(&dev.json(&["jobs", "list", "--state", "failed"])), [&first]);
    let whole = dev.json(&["jobs", "show", &first]);
    assert_eq!(whole["attempts"][0]["fingerprint"], kind);
    assert_eq!(whole["why"][0]["code"], "ended");
    let page = dev.text(&["jobs", "show", &first]);
    for part in [&first, "failed in fetch", "It failed at ", "\nphases\n", "\nfailed attempts\n"] {
        assert!(page.contains(part), "{part}: {page}");
    }

    dev.clear_faults();
    let queued = dev.json(&["jobs", "retry", &first, "--reason", "strava is back"]);
    assert_eq!(queued["sync_id"], first.as_str());
    let whole = dev.job_when(&first, "completed");
    let retry = with(&whole["audit"], "act", "job.retry");
    assert_eq!(
        (&retry["actor"], &retry["detail"]["reason"]),
        (&json!("admin"), &json!("strava is back"))
    );
    assert!(whole["attempts"][0]["resolved_at"].is_string(), "{whole}");
    let group = &dev.json(&["failures"])[0];
    assert_eq!((&group["open"], &group["resolved"]), (&json!(0), &json!(1)), "{group}");
    let refused = dev.refused(&["jobs", "retry", &first], 1);
    assert!(refused.starts_with("error: the job was not queued again: "), "{refused}");

    dev.add_fault(&refusal());
    let mut failed = [start_and_fail("demo-1"), start_and_fail("demo-2")];
    dev.clear_faults();
    let bulk = ["jobs", "bulk", "retry", "--where", "state=failed provider=strava"];
    let many = |options: &[&'static str]| [&bulk[..], options].concat();
    let refused = dev.refused(&bulk, 2);
    assert!(refused.starts_with("error: there is no terminal to ask on: give --yes"), "{refused}");
    let preview = dev.json(&many(&["--dry-run"]));
    assert_eq!(preview["count"], 2);
    let mut sample = ids(&preview["sample"]);
    sample.sort_unstable();
    failed.sort_unstable();
    assert_eq!(sample, failed);
    let text = dev.text(&many(&["--dry-run"]));
    assert!(text.ends_with("\nretry would meet 2 jobs\n"), "{text}");
    // Nothing was done yet.
    assert_eq!(ids(&dev.json(&["jobs", "list", "--state", "failed"])).len(), 2);

    let receipt = dev.json(&many(&["--yes", "--reason", "strava is back"]));
    assert_eq!(receipt["state"], "completed", "{receipt}");
    let figures = ["expected", "done", "skipped"].map(|figure| receipt[figure].as_i64());
    assert_eq!(figures, [Some(2), Some(2), Some(0)], "{receipt}");
    for id in &failed {
        dev.job_when(id, "completed");
    }
    let operation = receipt["operation_id"].as_str().expect("an id");
    assert_eq!(dev.json(&["jobs", "operations", "list"])[0]["operation_id"], operation);
    assert_eq!(dev.json(&["jobs", "operations", "show", operation])["done"], 2);
    assert_eq!(
        dev.text(&["jobs", "operations", "show", operation]),
        "completed: 2 of 2 jobs, 0 skipped\n"
    );
    let over = dev.refused(&["jobs", "operations", "stop", operation], 1);
    assert!(over.starts_with("error: "), "{over}");
    let entry = &dev.json(&["audit", "--act", "operation.start"])[0];
    assert_eq!(entry["detail"]["reason"], "strava is back", "{entry}");
    // Nothing matches any more: that is a receipt as well.
    assert_eq!(dev.json(&many(&["--yes"]))["expected"], 0);
    let lines = dev.text(&["jobs", "list", "-o", "jsonl", "--all"]);
    // Two users have connected four accounts each, and each of these had its first sync.
    assert_eq!(lines.lines().count(), 2 * 4 * 2 + 3);
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{lines}");
}

#[test]
fn a_drained_worker_ends_and_another_takes_its_place_and_the_doctor_finds_all_well() {
    let dev = Dev::start();
    let alive = |workers: &Value| -> Vec<(String, String)> {
        let all = workers.as_array().expect("a list").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let alive = all.filter(|worker| worker["state"] == "alive");
        let mut alive: Vec<_> =
            alive.map(|worker| (text(&worker["label"]), text(&worker["worker_id"]))).collect();
        alive.sort_unstable();
        alive
    };
    let labels = |workers: &[(String, String)]| -> Vec<String> {
        workers.iter().map(|(label, _)| label.clone()).collect()
    };
    let first = alive(&dev.json(&["workers", "list"]));
    assert_eq!(labels(&first), ["worker-1", "worker-2"]);

    // They say so with a beat of theirs.
    dev.when("notifications do not reach the workers", || {
        let workers = dev.json(&["workers", "list"]);
        let mut all = workers.as_array().expect("a list").iter();
        all.all(|worker| worker["listening"] == true).then_some(())
    });

    // By its label, and by the beginning of its id.
    let (_, worker_1) = &first[0];
    let (_, worker_2) = &first[1];
    let prefix = &worker_2[..worker_2.len() - 1];
    for (name, meant) in [("worker-1", worker_1), (prefix, worker_2)] {
        let drained =
            dev.json(&["workers", "drain", name, "--reason", "new kernel", "--as", "ann"]);
        assert_eq!(drained["worker_id"], meant.as_str());
        assert_eq!(drained["drain_requested_by"], "ann");
        let workers = dev.when("the worker did not end, or no other took its place", || {
            let workers = dev.json(&["workers", "list"]);
            let ended = with(&workers, "worker_id", meant)["state"] == "stopped";
            (ended && alive(&workers).len() == 2).then_some(workers)
        });
        assert_eq!(labels(&alive(&workers)), ["worker-1", "worker-2"]);
    }
    let ended = dev.refused(&["workers", "drain", worker_1], 1);
    assert!(ended.contains("The worker has ended already."), "{ended}");
    let entries = dev.json(&["audit", "--act", "worker.drain"]);
    let targets: Vec<_> =
        entries.as_array().unwrap().iter().map(|entry| &entry["target"]).collect();
    assert_eq!(
        targets,
        [&json!(format!("worker:{worker_2}")), &json!(format!("worker:{worker_1}"))]
    );
    assert_eq!(entries[0]["detail"]["reason"], "new kernel");
    assert!(dev.text(&["workers", "list"]).contains(" stopped "));

    let findings = dev.doctor(&["-o", "json"]);
    let findings: Value = serde_json::from_str(&findings).expect("JSON");
    for check in ["database", "migrations", "notifications", "workers"] {
        let finding = with(&findings, "check", check);
        assert_eq!(finding["verdict"], "ok", "{finding}");
    }
    assert!(dev.doctor(&[]).contains("\nok    migrations     the schema is "));
}

#[test]
fn wrong_input_is_one_line_that_says_what_is_wrong() {
    let dev = Dev::start();
    let nothing = "019a9c6e-7b0c-7d4e-9d52-0a6a1c0e8f11";
    let unknown_jobs: [&[&str]; 5] = [
        &["jobs", "show", nothing],
        &["jobs", "why", nothing],
        &["jobs", "retry", nothing],
        &["jobs", "cancel", nothing],
        &["jobs", "priority", nothing, "backfill"],
    ];
    for arguments in unknown_jobs {
        let line = dev.refused(arguments, 1);
        assert!(line.to_lowercase().contains("job"), "{arguments:?}: {line}");
    }
    let refused: [(&[&str], i32, &str); 12] = [
        (&["jobs", "list", "--state", "frozen"], 1, "state"),
        (&["jobs", "list", "--provider", "moonbeam"], 1, "provider"),
        (&["jobs", "list", "--user", "nobody"], 1, "names nobody who was ever seen here"),
        (&["jobs", "list", "--older-than", "yesterday"], 1, "olderThan"),
        (&["jobs", "list", "--text", "ab"], 1, "text: must be 3 characters"),
        (&["jobs", "bulk", "retry", "--where", "state=running", "--yes"], 1, "to retry"),
        (&["jobs", "operations", "show", nothing], 1, "peration"),
        (&["jobs", "operations", "stop", nothing], 1, "peration"),
        (&["failures", "--since", "forever"], 1, "window"),
        (&["failures", "--provider", "moonbeam"], 1, "provider"),
        (&["providers", "pause", "strava", "--until", "2020-01-01", "--reason", "x"], 1, "future"),
        (&["workers", "drain", "nobody"], 2, "no worker that runs is called \"nobody\""),
    ];
    for (arguments, code, named) in refused {
        let line = dev.refused(arguments, code);
        assert!(line.contains(named), "{arguments:?}: {line}");
    }

    let viewer = dev.text(&["token", "--user", "eve", "--admin-role", "viewer"]);
    let eve = ["--token", viewer.trim()];
    assert_eq!(dev.json(&[&["jobs", "list", "--state", "failed"], &eve[..]].concat()), json!([]));
    let line = dev.refused(&[&["jobs", "cancel", nothing], &eve[..]].concat(), 1);
    assert!(line.contains("operator"), "{line}");
    let nobody = dev.text(&["token", "--user", "demo-1"]);
    let line = dev.refused(&["jobs", "list", "--token", nobody.trim()], 1);
    assert!(line.contains("viewer"), "{line}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let closed = listener.local_addr().expect("an address");
    drop(listener);
    let line = dev.refused(&["audit", "--api-url", &format!("http://{closed}")], 1);
    assert!(line.contains("cannot be reached"), "{line}");
}
