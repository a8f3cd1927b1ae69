//! The command line from outside: exit codes, one clear line for each error, data on standard output.

use std::{
    net::TcpListener,
    process::{Command, Output},
};

/// Runs the binary without anything that the caller's environment says about it.
fn paceline(arguments: &[&str]) -> Output {
    paceline_in(arguments, &[])
}

/// Likewise, with these variables.
fn paceline_in(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
    for (name, _) in std::env::vars_os() {
        if name == "DATABASE_URL" || name.to_string_lossy().starts_with("PACELINE_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(environment.iter().copied()).output().expect("the binary runs")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

/// The one line that says what is wrong; nothing is on standard output.
fn complaint(output: &Output) -> &str {
    assert_eq!(stdout(output), "");
    let stderr = std::str::from_utf8(&output.stderr).expect("UTF-8");
    let line = stderr.lines().next().unwrap_or_default();
    assert!(line.starts_with("error: "), "{stderr}");
    line
}

/// A port that nobody listens on.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

#[test]
fn help_lists_the_commands_and_is_no_error() {
    let help = paceline(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    let commands = [
        &["demo", "dev", "api", "worker", "migrate", "sync", "jobs", "failures", "workers"][..],
        &["providers", "audit", "doctor", "healthcheck", "sim", "token", "openapi", "completions"],
    ];
    for command in commands.concat() {
        assert!(stdout(&help).contains(&format!("\n  {command} ")), "{command}: {}", stdout(&help));
        assert_eq!(paceline(&[command, "--help"]).status.code(), Some(0), "{command}");
    }
}

#[test]
fn every_act_of_an_operator_has_its_command() {
    let groups: [(&[&str], &[&str]); 6] = [
        (
            &["jobs"],
            &["list", "counts", "show", "why", "retry", "cancel", "priority", "bulk", "operations"],
        ),
        (&["jobs", "bulk"], &["retry", "cancel"]),
        (&["jobs", "operations"], &["list", "show", "stop"]),
        (&["failures"], &["show"]),
        (&["workers"], &["list", "drain"]),
        (&["providers"], &["list", "pause", "resume", "limit"]),
    ];
    for (group, commands) in groups {
        let help = paceline(&[group, &["--help"]].concat());
        assert_eq!(help.status.code(), Some(0), "{group:?}");
        for command in commands {
            assert!(stdout(&help).contains(&format!("\n  {command} ")), "{group:?} {command}");
            let help = paceline(&[group, &[*command, "--help"]].concat());
            assert_eq!(help.status.code(), Some(0), "{group:?} {command}");
        }
    }
}

#[test]
fn what_cannot_be_meant_is_wrong_usage() {
    let wrong: [(&[&str], &str); 18] = [
        (&["frobnicate"], "frobnicate"),
        (&["demo", "--users", "0"], "--users"),
        (&["demo", "--faults", "some"], "--faults"),
        (&["worker", "--slots", "8"], "the following required arguments"),
        (&["sync", "start", "--user", "demo-1", "--batch-size", "201"], "--batch-size"),
        (&["sync", "start", "--user", "demo-1", "--after", "yesterday"], "yesterday"),
        (&["--log", "a=b=c", "openapi"], "a=b=c"),
        (&["jobs", "show", "the-first"], "the-first"),
        (&["jobs", "retry", "--reason", "why not"], "the following required arguments"),
        (&["jobs", "bulk", "retry", "--where", "", "--yes"], "it is empty"),
        (&["jobs", "bulk", "retry", "--where", "status=failed", "--yes"], "status"),
        (&["jobs", "operations", "stop", "the-first"], "the-first"),
        (&["failures", "--limit", "201"], "--limit"),
        (&["workers", "drain", ""], "a value is required"),
        (&["providers", "pause", "moonbeam", "--reason", "eclipse"], "moonbeam"),
        (&["providers", "pause", "strava"], "the following required arguments"),
        (&["providers", "limit", "strava", "0"], "is no limit"),
        (&["audit", "--limit", "0"], "--limit"),
    ];
    for (arguments, named) in wrong {
        let output = paceline(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let complaint = complaint(&output);
        assert!(complaint.contains(named), "{arguments:?}: {complaint}");
    }
}

#[test]
fn a_wrong_key_is_wrong_usage_and_is_not_repeated_to_the_screen() {
    let output = paceline(&[
        "worker",
        "--database-url=postgres://nobody@127.0.0.1:1/nothing",
        "--sealing-keys=k:c2VjcmV0IHRoaW5n",
        "--strava-client-id=1",
        "--strava-client-secret=hush",
        "--listen=0",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).contains("--sealing-keys"), "{}", complaint(&output));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("c2VjcmV0IHRoaW5n"));
}

#[test]
fn an_api_that_nobody_could_call_does_not_start() {
    let database = "--database-url=postgres://nobody@127.0.0.1:1/nothing";
    let output = paceline(&["api", "--listen=127.0.0.1:0", database]);
    assert_eq!(output.status.code(), Some(2));
    assert!(complaint(&output).contains("no issuer is configured"), "{}", complaint(&output));
}

#[test]
fn a_database_that_is_away_is_named_in_one_line() {
    let url =
        format!("--database-url=postgres://paceline:hush@127.0.0.1:{}/paceline", closed_port());
    for (arguments, code) in
        [(&["migrate", &url][..], 1), (&["migrate", "--check", &url], 4), (&["demo", &url], 1)]
    {
        let output = paceline(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(complaint(&output).contains("Connection refused"), "{stderr}");
        assert!(!stderr.contains("hush"), "{stderr}");
    }
}

#[test]
fn a_process_that_is_away_is_not_ready() {
    let url = format!("http://127.0.0.1:{}/readyz", closed_port());
    let output = paceline(&["healthcheck", "--url", &url]);
    assert_eq!(output.status.code(), Some(4));
    assert!(complaint(&output).contains(&url), "{}", complaint(&output));
}

#[test]
fn openapi_prints_the_document() {
    let output = paceline(&["openapi"]);
    assert_eq!(output.status.code(), Some(0));
    let document: serde_json::Value = serde_json::from_str(stdout(&output)).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert!(document["paths"]["/api/v1/syncs"]["post"].is_object());
}

#[test]
fn a_token_is_for_the_user_that_was_named() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    let output = paceline(&["token", "--user", "demo-1", "--ttl", "90m", "--home", home]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let parts: Vec<&str> = stdout(&output).trim_end().split('.').collect();
    assert_eq!(parts.len(), 3);
    // The same key signs the next one.
    let again = paceline(&["token", "--user", "demo-1", "--ttl", "90m", "--home", home]);
    assert_eq!(stdout(&again).split('.').next(), Some(parts[0]));
    assert_eq!(std::fs::read_dir(home).unwrap().count(), 1);
}

#[test]
fn whoever_stops_reading_has_seen_enough() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
    let output = command.args(["completions", "bash"]).stdout(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn programs_of_postgres_that_were_named_and_are_not_there_are_no_reason_to_look_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().to_str().unwrap();
    for command in ["demo", "dev"] {
        let output = paceline_in(&[command, "--home", empty], &[("PACELINE_PG_BIN", empty)]);
        assert_eq!(output.status.code(), Some(1), "{command}");
        let complaint = complaint(&output);
        assert!(
            complaint.starts_with(&format!("error: PACELINE_PG_BIN: {empty} holds no ")),
            "{complaint}"
        );
        assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 1, "{output:?}");
    }
}
