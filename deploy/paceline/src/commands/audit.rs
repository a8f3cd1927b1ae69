//! `paceline audit`: who did what, over the HTTP API.

use crate::{
    admin::{report::Entry, short, time},
    admin_options::{AdminOptions, Length, list},
    exit::Exit,
};
use clap::Args;

/// List what operators and admins did, newest first
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only this person's acts
    #[arg(long, value_name = "SUBJECT")]
    actor: Option<String>,
    /// Only acts of this kind, as job.retry
    #[arg(long)]
    act: Option<String>,
    /// Only acts on this, as job:019a9c6e-… or lane:strava
    #[arg(long)]
    target: Option<String>,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    admin: AdminOptions,
}

pub(crate) async fn run(options: Options) -> anyhow::Result<Exit> {
    let Options { actor, act, target, length, admin } = options;
    let fields = [("actor", actor), ("act", act), ("target", target)];
    let query: Vec<_> =
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let entries: Vec<Entry> =
        list(&admin.client()?, "/api/v1/admin/audit", &query, length.get()).await?;
    let header = ["at", "actor", "role", "act", "target", "detail"];
    admin.print_list(&entries, header, |entry| {
        [
            time(entry.at),
            entry.actor.clone(),
            entry.role.clone(),
            entry.act.clone(),
            entry.target.clone(),
            short(&entry.details(), 80),
        ]
    })?;
    Ok(Exit::Done)
}
