//! `paceline failures`: what goes wrong, in groups, over the HTTP API.

use super::jobs::Filter;
use crate::{
    admin::{job::Job, report::FailureGroup, short, time},
    admin_options::{AdminOptions, Length, list},
    exit::Exit,
};
use clap::{Args, Subcommand};
use serde::Deserialize;

/// Show what goes wrong: failed attempts, grouped by their kind
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    groups: Groups,
}

#[derive(Debug, Subcommand)]
enum Command {
    Show(Show),
}

#[derive(Args, Debug)]
struct Groups {
    /// How far to look back, as 15m, 2h or 7d
    #[arg(long, value_name = "AGE", default_value = "24h")]
    since: String,
    /// Only this provider's
    #[arg(long)]
    provider: Option<String>,
    /// How many kinds to list
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
    #[command(flatten)]
    admin: AdminOptions,
}

/// List the jobs whose newest failure is of one kind
#[derive(Args, Debug)]
struct Show {
    /// The kind, as `paceline failures` lists it
    fingerprint: String,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    admin: AdminOptions,
}

#[derive(Deserialize)]
struct Answer {
    items: Vec<FailureGroup>,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Exit> {
    if let Some(Command::Show(Show { fingerprint, length, admin })) = options.command {
        let filter = Filter::with_fingerprint(fingerprint);
        let path = "/api/v1/admin/jobs";
        let jobs: Vec<Job> = list(&admin.client()?, path, &filter.query(), length.get()).await?;
        admin.print_list(&jobs, Job::HEADER, Job::row)?;
        return Ok(Exit::Done);
    }
    let Groups { since, provider, limit, admin } = options.groups;
    let mut query = vec![("window", since), ("limit", limit.to_string())];
    query.extend(provider.map(|provider| ("provider", provider)));
    let answer: Answer = admin.client()?.get("/api/v1/admin/failures", &query).await?;
    let header = [
        "fingerprint",
        "count",
        "users",
        "open",
        "provider",
        "phase",
        "code",
        "last seen",
        "message",
    ];
    admin.print_list(&answer.items, header, |group| {
        [
            group.fingerprint.clone(),
            group.count.to_string(),
            group.users.to_string(),
            group.open.to_string(),
            group.provider.clone(),
            group.phase.clone(),
            group.code.clone(),
            time(group.last_seen_at),
            short(&group.sample.message, 60),
        ]
    })?;
    Ok(Exit::Done)
}
