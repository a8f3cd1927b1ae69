//! `paceline demo` as a person runs it: both sides agree, and nothing stays behind, whatever ends it.

mod home;

use home::Home;
use paceline_postgres::Cluster;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, Command, Output, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

impl Home {
    fn demo(&self, options: &[&str]) -> Command {
        let mut demo = self.paceline(&["demo"]);
        demo.args(options);
        demo
    }

    /// Begins a demo that takes a while, and returns once its syncs are under way.
    fn begin(&self) -> Begun {
        let mut demo = self.demo(&["--users", "2", "--activities", "8000"]);
        let demo = demo.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut demo = Begun(demo.expect("the binary runs"), None);
        let mut log = BufReader::new(demo.0.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("fetching") {
            line.clear();
            let read = log.read_line(&mut line).expect("a line");
            assert_ne!(read, 0, "the demo ended early");
        }
        // Whatever else it has to say, somebody takes it.
        demo.1 = Some(thread::spawn(move || {
            let mut said = String::new();
            // The end of its life is the end of what it says, whichever way it comes.
            let _end = log.read_to_string(&mut said);
            said
        }));
        demo
    }
}

/// A demo that does not outlive its test, and what it says.
struct Begun(Child, Option<JoinHandle<String>>);

impl Begun {
    /// How it ended, and what it had to say on the way.
    fn ended(&mut self) -> (Option<i32>, String) {
        let code = self.0.wait().expect("a status").code();
        let said = self.1.take().map(|said| said.join().expect("text"));
        (code, said.unwrap_or_default())
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to do.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn total(output: &Output) -> Value {
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// What `-o json` counts records of.
const KINDS: [&str; 3] = ["activities", "measurements", "daily_summaries"];

struct Count {
    expected: u64,
    stored: u64,
}

fn count(of: &Value) -> Count {
    let number = |name: &str| of[name].as_u64().unwrap_or_else(|| panic!("{name}: {of}"));
    Count { expected: number("expected"), stored: number("stored") }
}

/// The ids and programs of the processes whose parent this is.
fn children(parent: u32) -> Vec<(u32, String)> {
    let all = fs::read_dir("/proc").expect("Linux").filter_map(Result::ok);
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter_map(|id| {
        let (program, its_parent) = status(id)?;
        (its_parent == parent).then_some((id, program))
    })
    .collect()
}

/// A process's program and parent; `None` when it has ended, reaped or not.
fn status(id: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name is in brackets and may hold anything.
    let (program, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
    let mut rest = rest.split(' ');
    let state = rest.next()?;
    let parent = rest.next()?.parse().ok()?;
    (state != "Z").then(|| (program.to_owned(), parent))
}

fn wait_until(limit: Duration, what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(began.elapsed() < limit, "after {limit:?}: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn both_sides_agree_though_one_answer_in_ten_fails() {
    let home = Home::new();
    let options = ["--users", "2", "--activities", "150", "--faults", "flaky", "-o", "json"];
    let output = home.demo(&options).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let total = total(&output);
    // Two users with an account at each of four providers.
    assert_eq!((&total["connections"], &total["completed"]), (&8.into(), &8.into()), "{total}");
    assert!(
        total["providers"]["strava"]["activities"]["expected"].as_u64() >= Some(300),
        "{total}"
    );
    assert_eq!((&total["missing"], &total["stored"]), (&0.into(), &total["expected"]), "{total}");
    assert_eq!(total["weather_enriched"], total["locatable"]);
    for (provider, kinds) in [
        ("strava", &["activities"][..]),
        ("withings", &KINDS),
        ("fitbit", &KINDS),
        ("garmin", &KINDS),
    ] {
        for kind in kinds {
            let Count { expected, stored } = count(&total["providers"][provider][kind]);
            assert!(expected > 0 && stored == expected, "{provider} {kind}: {total}");
        }
    }
    for kind in KINDS {
        assert!(count(&total[kind]).expected > 0, "{kind}: {total}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_interrupted_demo_takes_its_processes_along() {
    let home = Home::new();
    let mut demo = home.begin();
    let processes = children(demo.0.id());
    assert_eq!(processes.len(), 5, "simulator, API, two workers, Postgres: {processes:?}");
    let id = rustix::process::Pid::from_child(&demo.0);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let (code, said) = demo.ended();
    assert_eq!(code, Some(130), "{said}");
    let left: Vec<_> = processes.iter().filter(|(id, _)| status(*id).is_some()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_postgres_that_is_killed_is_started_again_and_both_sides_still_agree() {
    let home = Home::new();
    let mut demo = home.begin();
    let server = |demo: &Begun| {
        children(demo.0.id()).into_iter().find_map(|(id, of)| (of == "postgres").then_some(id))
    };
    let first = server(&demo).expect("a server");
    let id = i32::try_from(first).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(id.unwrap(), rustix::process::Signal::KILL).unwrap();
    wait_until(Duration::from_secs(30), "there is no new server", || {
        server(&demo).is_some_and(|now| now != first)
    });
    // That is what it ends with only when every activity is stored once.
    let (code, said) = demo.ended();
    assert_eq!(code, Some(0), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn not_even_sigkill_leaves_processes_behind_and_the_next_demo_tidies_up() {
    let home = Home::new();
    let mut demo = home.begin();
    let mut processes = children(demo.0.id());
    // Postgres stays: it is not ours alone.
    processes.retain(|(_, program)| program == "paceline");
    assert_eq!(processes.len(), 4, "simulator, API, two workers: {processes:?}");
    demo.0.kill().unwrap();
    wait_until(Duration::from_secs(20), "processes outlived the demo", || {
        processes.iter().all(|(id, _)| status(*id).is_none())
    });

    let databases = |cluster: &Cluster| {
        let psql = Command::new(cluster.binaries().directory().join("psql"))
            .args(["-Atc", "select datname from pg_database", &cluster.url("postgres")])
            .output();
        String::from_utf8(psql.unwrap().stdout).unwrap()
    };
    // Holding a share, so that the server stays up and its databases can be looked at.
    let cluster = home.cluster();
    assert!(databases(&cluster).contains("paceline_demo_"), "{}", databases(&cluster));
    let output = home.demo(&["--users", "1", "--activities", "20", "-o", "json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!databases(&cluster).contains("paceline_demo_"), "{}", databases(&cluster));
    assert!(cluster.release().unwrap(), "somebody else uses this cluster");
}
