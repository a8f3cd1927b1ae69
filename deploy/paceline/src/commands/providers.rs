//! `paceline providers`: how the lanes stand, and pausing them, over the HTTP API.

use super::jobs::Act;
use crate::{admin::fleet::Lane, admin_options::AdminOptions, exit::Exit, output, parse};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Show how providers stand; pause, resume and limit them
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(List),
    Pause(Pause),
    Resume(Resume),
    Limit(Limit),
}

/// List providers: jobs, pauses, spent quotas, breakers, budgets
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    admin: AdminOptions,
}

/// Let no job of a provider begin; what runs goes on
#[derive(Args, Debug)]
pub(crate) struct Pause {
    /// The provider, or all
    provider: String,
    /// How long; without it until somebody resumes
    #[arg(long = "for", value_name = "DURATION", value_parser = parse::duration)]
    length: Option<Duration>,
    /// Until when: 2025-03-31T07:30:00Z, or Unix seconds
    #[arg(long, value_name = "TIME", value_parser = parse::instant, conflicts_with = "length")]
    until: Option<DateTime<Utc>>,
    /// Why: those who wait are told
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    admin: AdminOptions,
}

/// End a pause
#[derive(Args, Debug)]
pub(crate) struct Resume {
    /// The provider, or all
    provider: String,
    #[command(flatten)]
    act: Act,
}

/// Limit the jobs of a provider that run at once in the whole fleet
#[derive(Args, Debug)]
pub(crate) struct Limit {
    /// The provider
    provider: String,
    /// How many, or none for any number
    #[arg(value_name = "JOBS|none", value_parser = limit)]
    jobs: MaxRunning,
    #[command(flatten)]
    act: Act,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MaxRunning(Option<u32>);

fn limit(text: &str) -> Result<MaxRunning, String> {
    if text == "none" {
        return Ok(MaxRunning(None));
    }
    let number = text.parse().ok().filter(|number: &u32| (1..=100_000).contains(number));
    number
        .map(|number| MaxRunning(Some(number)))
        .ok_or_else(|| format!("{text:?} is no limit; write a number from 1 to 100000, or none"))
}

const PROVIDERS: &str = "/api/v1/admin/providers";

#[derive(Deserialize)]
struct Answer {
    items: Vec<Lane>,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::List(List { admin }) => {
            let Answer { items } = admin.client()?.get(PROVIDERS, &[]).await?;
            admin.print_list(&items, HEADER, row)?;
        }
        Command::Pause(Pause { provider, length, until, reason, admin }) => {
            let length = length.and_then(|length| TimeDelta::from_std(length).ok());
            let until =
                until.or_else(|| length.and_then(|length| Utc::now().checked_add_signed(length)));
            let body = json!({"until": until, "reason": reason});
            steer(&admin, &provider, "pause", &body).await?;
        }
        Command::Resume(Resume { provider, act }) => {
            steer(&act.admin, &provider, "resume", &json!({"reason": act.reason})).await?;
        }
        Command::Limit(Limit { provider, jobs: MaxRunning(jobs), act }) => {
            let body = json!({"maxRunning": jobs, "reason": act.reason});
            steer(&act.admin, &provider, "limit", &body).await?;
        }
    }
    Ok(Exit::Done)
}

async fn steer(
    admin: &AdminOptions,
    provider: &str,
    act: &str,
    body: &Value,
) -> anyhow::Result<()> {
    // A name goes into a path: what is no name of a provider finds none.
    let name: String =
        provider.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let path = format!("{PROVIDERS}/{name}/{act}");
    let lane: Lane = admin.client()?.send(Method::POST, &path, body).await?;
    admin.print(&lane, |lane| output::table(HEADER, [row(lane)]))
}

const HEADER: [&str; 7] = ["provider", "running", "queued", "waiting", "limit", "stands", "left"];

fn row(lane: &Lane) -> [String; 7] {
    [
        lane.provider.clone(),
        lane.running.to_string(),
        lane.queued.to_string(),
        lane.waiting.to_string(),
        lane.max_running.map_or_else(|| "none".to_owned(), |most| most.to_string()),
        lane.standing(),
        lane.left(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(limit("3"), Ok(MaxRunning(Some(3))));
        assert_eq!(limit("none"), Ok(MaxRunning(None)));
        for wrong in ["0", "-1", "many", "100001", ""] {
            assert!(limit(wrong).unwrap_err().contains("is no limit"), "{wrong}");
        }
    }
}
