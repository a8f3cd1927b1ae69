//! `paceline providers`: how the lanes stand, and steering them, over the HTTP API.

use super::jobs::Act;
use crate::{admin::fleet::Lane, admin_options::AdminOptions, exit::Exit, output, parse};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use paceline_shared::Provider;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// Show how providers stand; pause, resume and limit them, end a block, close a breaker
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(List),
    Pause(Pause),
    Resume(Resume),
    Unblock(Unblock),
    CloseBreaker(CloseBreaker),
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
    #[arg(value_name = "PROVIDER|all", value_parser = lane)]
    provider: LaneName,
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
    #[arg(value_name = "PROVIDER|all", value_parser = lane)]
    provider: LaneName,
    #[command(flatten)]
    act: Act,
}

/// End the block of a spent quota before its time; where calls are spent indeed it comes back
#[derive(Args, Debug)]
pub(crate) struct Unblock {
    /// The provider
    provider: Provider,
    #[command(flatten)]
    act: Act,
}

/// Close a breaker without waiting for a probe; it opens again if calls go on failing
#[derive(Args, Debug)]
pub(crate) struct CloseBreaker {
    /// The provider
    provider: Provider,
    #[command(flatten)]
    act: Act,
}

/// Limit the jobs of a provider that run at once in the whole fleet
#[derive(Args, Debug)]
pub(crate) struct Limit {
    /// The provider
    provider: Provider,
    /// How many, or none for any number
    #[arg(value_name = "JOBS|none", value_parser = limit)]
    jobs: MaxRunning,
    #[command(flatten)]
    act: Act,
}

/// A provider, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct LaneName(Option<Provider>);

fn lane(text: &str) -> Result<LaneName, String> {
    if text == "all" {
        return Ok(LaneName(None));
    }
    text.parse().map(|provider| LaneName(Some(provider))).map_err(
        |error: <Provider as std::str::FromStr>::Err| format!("{error}; all stands for everything"),
    )
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
            // The server counts from its own clock, in whole seconds.
            let length = length.map(|length| {
                format!("{}s", length.as_secs() + u64::from(length.subsec_nanos() > 0))
            });
            let body = json!({"until": until, "for": length, "reason": reason});
            steer(&admin, provider, "pause", &body).await?;
        }
        Command::Resume(Resume { provider, act }) => {
            steer(&act.admin, provider, "resume", &json!({"reason": act.reason})).await?;
        }
        Command::Unblock(Unblock { provider, act }) => {
            let body = json!({"reason": act.reason});
            steer(&act.admin, LaneName(Some(provider)), "unblock", &body).await?;
        }
        Command::CloseBreaker(CloseBreaker { provider, act }) => {
            let body = json!({"reason": act.reason});
            steer(&act.admin, LaneName(Some(provider)), "close-breaker", &body).await?;
        }
        Command::Limit(Limit { provider, jobs: MaxRunning(jobs), act }) => {
            let body = json!({"maxRunning": jobs, "reason": act.reason});
            steer(&act.admin, LaneName(Some(provider)), "limit", &body).await?;
        }
    }
    Ok(Exit::Done)
}

async fn steer(
    admin: &AdminOptions,
    LaneName(provider): LaneName,
    act: &str,
    body: &Value,
) -> anyhow::Result<()> {
    let name = provider.map_or("all", Provider::as_str);
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
    fn a_lane_is_a_provider_or_all_of_them() {
        assert_eq!(lane("strava"), Ok(LaneName(Some(Provider::Strava))));
        assert_eq!(lane("all"), Ok(LaneName(None)));
        for wrong in ["", "str/ava", "everything"] {
            assert!(lane(wrong).unwrap_err().contains("all stands for everything"), "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_a_number_or_none() {
        assert_eq!(limit("3"), Ok(MaxRunning(Some(3))));
        assert_eq!(limit("none"), Ok(MaxRunning(None)));
        for wrong in ["0", "-1", "many", "100001", ""] {
            assert!(limit(wrong).unwrap_err().contains("is no limit"), "{wrong}");
        }
    }
}
