//! `paceline jobs bulk` and `jobs operations`: one act on all jobs that match, done by the workers and
//! followed from here.

use super::{Act, Filter, From};
use crate::{
    admin::operation::{Operation, Preview},
    admin_options::{AdminOptions, Length, list},
    client::Client,
    exit::{Ending, Exit, Misused},
    output::{self, Format},
    screen::Screen,
};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    io::{self, BufRead as _, IsTerminal as _},
    time::Duration,
};

/// Act on all jobs that match
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Retry(Retry),
    Cancel(Cancel),
}

/// Queue all ended jobs again that match
#[derive(Args, Debug)]
pub(crate) struct Retry {
    /// Where to begin
    #[arg(long, value_enum, default_value_t)]
    from: From,
    #[command(flatten)]
    many: Many,
}

/// End all live jobs that match
#[derive(Args, Debug)]
pub(crate) struct Cancel {
    #[command(flatten)]
    many: Many,
}

#[derive(Args, Debug)]
struct Many {
    /// Which jobs: 'state=failed provider=strava older-than=2h text="timed out"', with the keys of `jobs list`
    #[arg(long = "where", value_name = "FILTER", value_parser = Filter::parse)]
    filter: Filter,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
    /// Only say how many it would be, with some of them
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    #[command(flatten)]
    act: Act,
}

/// Acts on many jobs: list, show, stop
#[derive(Debug, Subcommand)]
pub(crate) enum Operations {
    List(ListOptions),
    Show(OneOptions),
    Stop(StopOptions),
}

/// List acts on many jobs, newest first
#[derive(Args, Debug)]
pub(crate) struct ListOptions {
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Follow an act on many jobs to its end
#[derive(Args, Debug)]
pub(crate) struct OneOptions {
    /// The operation
    id: String,
    #[command(flatten)]
    admin: AdminOptions,
}

/// Stop an act on many jobs; what it did stays done
#[derive(Args, Debug)]
pub(crate) struct StopOptions {
    /// The operation
    id: String,
    #[command(flatten)]
    act: Act,
}

const OPERATIONS: &str = "/api/v1/admin/operations";
/// How often an operation is looked at.
const LOOK: Duration = Duration::from_millis(250);

pub(super) async fn run(command: Command, screen: &Screen) -> anyhow::Result<Exit> {
    let (name, from, many) = match command {
        Command::Retry(Retry { from, many }) => ("retry", Some(from), many),
        Command::Cancel(Cancel { many }) => ("cancel", None, many),
    };
    let admin = &many.act.admin;
    let client = admin.client()?;
    let mut body = json!({"act": name, "filter": many.filter});
    if let Some(from) = from {
        body["from"] = json!(from);
    }
    if !many.yes && !many.dry_run && !io::stdin().is_terminal() {
        let needs = "there is no terminal to ask on: give --yes, or --dry-run to see the jobs";
        return Err(Misused(needs.to_owned()).into());
    }
    if !many.yes {
        let path = format!("{OPERATIONS}/preview");
        let preview: Preview = client.send(Method::POST, &path, &body).await?;
        if many.dry_run {
            admin.print(&preview, |preview| previewed(name, preview))?;
            return Ok(Exit::Done);
        }
        if preview.count == 0 {
            screen.line("no job matches");
            return Ok(Exit::Done);
        }
        if !confirmed(&format!("{name} {} jobs? [y/N]", preview.count), screen)? {
            screen.line("nothing was done");
            return Ok(Exit::Done);
        }
        // What was confirmed is what is done: the server refuses when others match by now.
        body["expect"] = json!(preview.count);
    }
    body["reason"] = json!(many.act.reason);
    let started: Operation =
        client.send(Method::POST, OPERATIONS, &body).await.context("nothing was done")?;
    finish(&client, admin, started, screen).await.map(|ended| match ended.state.as_str() {
        "completed" => Exit::Done,
        _ => Exit::Failed,
    })
}

fn previewed(act: &str, preview: &Preview) -> String {
    let jobs = output::table(super::Job::HEADER, preview.sample.iter().map(super::Job::row));
    format!("{jobs}{act} would meet {} jobs\n", preview.count)
}

pub(super) async fn operations(command: Operations, screen: &Screen) -> anyhow::Result<Exit> {
    match command {
        Operations::List(ListOptions { length, admin }) => {
            let all: Vec<Operation> = list(&admin.client()?, OPERATIONS, &[], length.get()).await?;
            admin.print_list(&all, Operation::HEADER, Operation::row)?;
            Ok(Exit::Done)
        }
        Operations::Show(OneOptions { id, admin }) => {
            let client = admin.client()?;
            let operation = client.get(&path(&id)?, &[]).await?;
            Ok(seen(&finish(&client, &admin, operation, screen).await?))
        }
        Operations::Stop(StopOptions { id, act }) => {
            let client = act.admin.client()?;
            let body = json!({"reason": act.reason});
            let path = format!("{}/stop", path(&id)?);
            let stopping: Operation = client.send(Method::POST, &path, &body).await?;
            Ok(seen(&finish(&client, &act.admin, stopping, screen).await?))
        }
    }
}

/// One that was stopped ended as somebody wanted it to.
fn seen(operation: &Operation) -> Exit {
    if operation.state == "failed" { Exit::Failed } else { Exit::Done }
}

/// An id goes into a path: nothing else may.
fn path(id: &str) -> Result<String, Misused> {
    let id: uuid::Uuid =
        id.parse().map_err(|_no_uuid| Misused(format!("{id:?} is no operation's id")))?;
    Ok(format!("{OPERATIONS}/{id}"))
}

/// Asks on the terminal.
fn confirmed(question: &str, screen: &Screen) -> anyhow::Result<bool> {
    screen.line(question);
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// Follows an operation to its receipt. Whoever stops looking leaves it running.
async fn finish(
    client: &Client,
    admin: &AdminOptions,
    operation: Operation,
    screen: &Screen,
) -> anyhow::Result<Operation> {
    let id = operation.operation_id.clone();
    let followed = tokio::select! {
        followed = follow(client, admin.output, operation, screen) => followed
            .with_context(|| format!("it goes on; to see it: paceline jobs operations show {id}"))?,
        _ = tokio::signal::ctrl_c() => {
            screen.line(&format!("it goes on; to stop it: paceline jobs operations stop {id}"));
            return Err(Ending::Interrupted.into());
        }
    };
    if admin.output != Format::Jsonl {
        admin.print(&followed, |operation| format!("{}\n", operation.receipt()))?;
    }
    Ok(followed)
}

async fn follow(
    client: &Client,
    output: Format,
    mut now: Operation,
    screen: &Screen,
) -> anyhow::Result<Operation> {
    let bar = screen.is_terminal().then(|| {
        let style = ProgressStyle::with_template("{msg:<10} {wide_bar} {pos} of {len}  {eta}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let length = u64::try_from(now.expected).unwrap_or_default();
        screen.add(ProgressBar::new(length).with_style(style).with_message(now.act.clone()))
    });
    let path = path(&now.operation_id)?;
    let mut told: Option<Value> = None;
    loop {
        let written = serde_json::to_value(&now)?;
        if told.as_ref() != Some(&written) {
            if let Some(bar) = &bar {
                bar.set_position(u64::try_from(now.dealt_with()).unwrap_or_default());
            } else {
                tracing::info!("{}", now.receipt());
            }
            if output == Format::Jsonl {
                output::json(&now)?;
            }
            told = Some(written);
        }
        if now.is_over() {
            if let Some(bar) = &bar {
                bar.abandon();
            }
            return Ok(now);
        }
        tokio::time::sleep(LOOK).await;
        now = client.get(&path, &[]).await?;
    }
}
