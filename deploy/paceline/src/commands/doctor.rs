//! `paceline doctor`: looks at what a fleet needs and says what is wrong with it, before it goes wrong.

use crate::{
    exit::Exit,
    options::{DatabaseOptions, misconfigured},
    output,
};
use chrono::{TimeDelta, Utc};
use clap::Args;
use paceline_shared::{
    db::{self, Address, Db, Route, server, workers},
    listen,
    sealing::Keyring,
};
use rustix::process::{Resource, getrlimit};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use std::{collections::BTreeSet, fmt, time::Duration};

/// Check what a fleet needs: database, migrations, notifications, clock, workers, keys, limits
///
/// Ends with 4 when something is wrong that keeps Paceline from working.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    database: DatabaseOptions,
    /// Keys that open the accounts' tokens, to be checked: as for `paceline worker`
    #[arg(long, value_name = "KEYS", env = "PACELINE_SEALING_KEYS", hide_env_values = true)]
    sealing_keys: Option<SecretString>,
    /// How to write the findings
    #[arg(short, long, value_enum, default_value_t)]
    output: output::Format,
}

/// The oldest Postgres that the statements run on.
const OLDEST_POSTGRES: i32 = 14;
/// Leases are judged by the database's clock alone; tokens and quotas also by this machine's.
const SKEW: TimeDelta = TimeDelta::seconds(2);
/// A process has a file for each connection.
const FILES: u64 = 1024;
const ECHO_LIMIT: Duration = Duration::from_secs(8);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    /// It works, but not as well as it could, or not for long.
    Warn,
    /// It does not work.
    Fail,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    detail: String,
}

fn finding(check: &'static str, verdict: Verdict, detail: impl Into<String>) -> Finding {
    Finding { check, verdict, detail: detail.into() }
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Exit> {
    let address = options.database.address()?;
    let db = address.connect("paceline-doctor", 2).map_err(misconfigured)?;
    let mut findings = of_the_database(&db, &address).await;
    findings.push(keys(options.sealing_keys.as_ref()));
    findings.push(files());
    db.close().await;
    match options.output {
        output::Format::Table => {
            for Finding { check, verdict, detail } in &findings {
                output::line(&format!("{verdict:<4}  {check:<14} {detail}"))?;
            }
        }
        output::Format::Json => output::json(&findings)?,
        output::Format::Jsonl => {
            for finding in &findings {
                output::json(finding)?;
            }
        }
    }
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(if failed { Exit::NotReady } else { Exit::Done })
}

async fn of_the_database(db: &Db, address: &Address) -> Vec<Finding> {
    let before = Utc::now();
    let facts = match server::facts(db).await {
        Ok(facts) => facts,
        Err(error) => {
            let detail =
                format!("{error}: {}; check the URL and whether the server is up", error.reason());
            return vec![finding("database", Verdict::Fail, detail)];
        }
    };
    // Read some time between the two.
    let skew = (facts.now - before).max(before - facts.now) - (Utc::now() - before);
    let way = match db.route() {
        Route::Direct => "directly",
        Route::Pooler => "through a pooler",
    };
    let version = if facts.major() < OLDEST_POSTGRES { Verdict::Fail } else { Verdict::Ok };
    let skewed = if skew > SKEW { Verdict::Warn } else { Verdict::Ok };
    let mut findings = vec![
        finding(
            "database",
            version,
            format!(
                "PostgreSQL {}, reached {way}; {OLDEST_POSTGRES} is the oldest that will do",
                facts.version
            ),
        ),
        connections(&facts),
        finding(
            "clock",
            skewed,
            format!(
                "{} ms off the database's, the time of the question left out",
                skew.num_milliseconds().max(0)
            ),
        ),
    ];
    match db::is_migrated(db).await {
        Ok(true) => findings.push(finding(
            "migrations",
            Verdict::Ok,
            "the schema is that of this version or later",
        )),
        Ok(false) => {
            findings.push(finding(
                "migrations",
                Verdict::Fail,
                "migrations are pending: run paceline migrate",
            ));
            return findings;
        }
        Err(error) => {
            findings.push(finding("migrations", Verdict::Fail, error.reason()));
            return findings;
        }
    }
    findings.push(notifications(db, address).await);
    findings.push(fleet(db).await);
    findings
}

fn connections(facts: &server::Facts) -> Finding {
    let free = facts.max_connections - facts.connections;
    let verdict = if free < facts.max_connections / 5 { Verdict::Warn } else { Verdict::Ok };
    let detail = format!(
        "{} of {} used; a worker takes up to 22, an api 11 by default",
        facts.connections, facts.max_connections
    );
    finding("connections", verdict, detail)
}

async fn notifications(db: &Db, address: &Address) -> Finding {
    const CHECK: &str = "notifications";
    let listening = match address.connect_listener("paceline-doctor-listener") {
        Ok(listening) => listening,
        Err(error) => return finding(CHECK, Verdict::Fail, error.reason()),
    };
    let arrive = listen::arrive(&listening, db, ECHO_LIMIT).await;
    listening.close().await;
    if arrive {
        return finding(CHECK, Verdict::Ok, "they arrive: new work is picked up at once");
    }
    let detail = match db.route() {
        Route::Pooler => {
            "they do not arrive through the pooler: workers poll every 250 ms; give --database-direct-url to be faster"
        }
        Route::Direct => {
            "they do not arrive: workers poll every 250 ms; if this URL leads through a pooler, say --database-pooler"
        }
    };
    finding(CHECK, Verdict::Warn, detail)
}

async fn fleet(db: &Db) -> Finding {
    const CHECK: &str = "workers";
    let all = match workers::list(db).await {
        Ok(all) => all,
        Err(error) => return finding(CHECK, Verdict::Fail, error.reason()),
    };
    let alive: Vec<_> = all.iter().filter(|worker| worker.state == workers::State::Alive).collect();
    let lost = all.iter().filter(|worker| worker.state == workers::State::Lost).count();
    let slots: i32 = alive.iter().map(|worker| worker.slots).sum();
    let polling = alive.iter().filter(|worker| !worker.listening).count();
    let providers: BTreeSet<&str> =
        alive.iter().flat_map(|worker| worker.providers.iter().map(String::as_str)).collect();
    let providers = providers.into_iter().collect::<Vec<_>>().join(", ");
    let of = if providers.is_empty() { String::new() } else { format!(" for {providers}") };
    let verdict = if alive.is_empty() { Verdict::Warn } else { Verdict::Ok };
    let detail = format!(
        "{} alive with {slots} slots{of}, {polling} of them polling; {lost} lost in the last 24 hours",
        alive.len()
    );
    finding(CHECK, verdict, detail)
}

fn keys(given: Option<&SecretString>) -> Finding {
    match given.map(|keys| keys.expose_secret().parse::<Keyring>()) {
        None => finding("keys", Verdict::Warn, "not checked: no PACELINE_SEALING_KEYS here"),
        Some(Ok(_)) => finding("keys", Verdict::Ok, "they can be read"),
        Some(Err(error)) => finding("keys", Verdict::Fail, error.to_string()),
    }
}

fn files() -> Finding {
    let limit = getrlimit(Resource::Nofile).current;
    let verdict =
        if limit.is_some_and(|limit| limit < FILES) { Verdict::Warn } else { Verdict::Ok };
    let detail = limit.map_or_else(
        || "no limit".to_owned(),
        |limit| format!("{limit} a process; {FILES} or more is well"),
    );
    finding("open files", verdict, detail)
}
