//! `paceline jobs`: what an admin asks and does about jobs, over the HTTP API.

mod bulk;
mod filter;
mod show;

pub(crate) use filter::Filter;

use crate::{
    admin::job::{Counts, Job, Whole, Why},
    admin_options::{AdminOptions, Length, list},
    exit::Exit,
    output,
    screen::Screen,
};
use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use paceline_shared::JobId;
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

/// Inspect, retry and cancel jobs, one or ten thousand, over the HTTP API
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(ListOptions),
    Counts(CountsOptions),
    Show(ShowOptions),
    Why(WhyOptions),
    Retry(RetryOptions),
    Cancel(CancelOptions),
    Priority(PriorityOptions),
    #[command(subcommand)]
    Bulk(bulk::Command),
    #[command(subcommand)]
    Operations(bulk::Operations),
}

/// List jobs, newest first
#[derive(Args, Debug)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Count jobs by state and provider
#[derive(Args, Debug)]
pub(crate) struct CountsOptions {
    #[command(flatten)]
    admin: AdminOptions,
}

/// Show all that is known of a job
#[derive(Args, Debug)]
pub(crate) struct ShowOptions {
    /// The job
    id: JobId,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Say why a job is not running, or what it does
#[derive(Args, Debug)]
pub(crate) struct WhyOptions {
    /// The job
    id: JobId,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Queue an ended job again
#[derive(Args, Debug)]
pub(crate) struct RetryOptions {
    /// The job
    id: JobId,
    /// Where to begin
    #[arg(long, value_enum, default_value_t)]
    from: From,
    #[command(flatten)]
    act: Act,
}

/// Where a retry begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum From {
    /// Where it stopped, with the pages that it has
    #[default]
    Checkpoint,
    /// At the beginning
    Scratch,
}

/// End a job
#[derive(Args, Debug)]
pub(crate) struct CancelOptions {
    /// The job
    id: JobId,
    #[command(flatten)]
    act: Act,
}

/// Change how urgent a job is
#[derive(Args, Debug)]
pub(crate) struct PriorityOptions {
    /// The job
    id: JobId,
    /// How urgent
    #[arg(value_enum)]
    class: Class,
    #[command(flatten)]
    act: Act,
}

/// How urgent; each goes half an hour before the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum Class {
    /// A provider said that something changed
    Webhook,
    /// A user waits for it
    Interactive,
    /// Its time came
    Scheduled,
    /// History, in slices
    Backfill,
}

/// What every act takes.
#[derive(Args, Debug)]
pub(crate) struct Act {
    /// Why, for the audit
    #[arg(long)]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminOptions,
}

const JOBS: &str = "/api/v1/admin/jobs";

pub(crate) async fn run(command: Command, screen: &Screen) -> anyhow::Result<Exit> {
    match command {
        Command::List(ListOptions { filter, length, admin }) => {
            let jobs: Vec<Job> =
                list(&admin.client()?, JOBS, &filter.query(), length.get()).await?;
            admin.print_list(&jobs, Job::HEADER, Job::row)?;
        }
        Command::Counts(CountsOptions { admin }) => {
            let counts: Counts = admin.client()?.get(&format!("{JOBS}/counts"), &[]).await?;
            admin.print(&counts, show::counts)?;
        }
        Command::Show(ShowOptions { id, admin }) => {
            let whole: Whole = admin.client()?.get(&format!("{JOBS}/{id}"), &[]).await?;
            admin.print(&whole, show::whole)?;
        }
        Command::Why(WhyOptions { id, admin }) => {
            let why: Why = admin.client()?.get(&format!("{JOBS}/{id}/why"), &[]).await?;
            admin.print(&why, |why| show::reasons(&why.why))?;
        }
        Command::Retry(RetryOptions { id, from, act }) => {
            let body = json!({"from": from, "reason": act.reason});
            one(&act.admin, Method::POST, &format!("{JOBS}/{id}/retry"), &body)
                .await
                .context("the job was not queued again")?;
        }
        Command::Cancel(CancelOptions { id, act }) => {
            let body = json!({"reason": act.reason});
            one(&act.admin, Method::POST, &format!("{JOBS}/{id}/cancel"), &body)
                .await
                .context("the job was not cancelled")?;
        }
        Command::Priority(PriorityOptions { id, class, act }) => {
            let body = json!({"class": class, "reason": act.reason});
            one(&act.admin, Method::PATCH, &format!("{JOBS}/{id}"), &body)
                .await
                .context("the job stays where it is")?;
        }
        Command::Bulk(command) => return bulk::run(command, screen).await,
        Command::Operations(command) => return bulk::operations(command, screen).await,
    }
    Ok(Exit::Done)
}

/// Acts on one job and prints it as it is then.
async fn one(
    admin: &AdminOptions,
    method: Method,
    path: &str,
    body: &serde_json::Value,
) -> anyhow::Result<()> {
    let job: Job = admin.client()?.send(method, path, body).await?;
    admin.print(&job, |job| output::table(Job::HEADER, [job.row()]))
}
