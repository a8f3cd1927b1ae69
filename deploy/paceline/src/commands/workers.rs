//! `paceline workers`: who works, and who shall stop, over the HTTP API.

use super::jobs::Act;
use crate::{
    admin::{ago, fleet::Worker},
    admin_options::AdminOptions,
    exit::{Exit, Misused},
    output,
};
use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

/// List worker processes, and drain one
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(List),
    Drain(Drain),
}

/// List the worker processes of the last day
#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    admin: AdminOptions,
}

/// Let a worker hand back what it has, and end
#[derive(Args, Debug)]
pub(crate) struct Drain {
    /// Its id, the beginning of its id, or its label
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    worker: String,
    #[command(flatten)]
    act: Act,
}

const WORKERS: &str = "/api/v1/admin/workers";
const HEADER: [&str; 11] = [
    "worker",
    "label",
    "host",
    "state",
    "jobs",
    "slots",
    "providers",
    "version",
    "memory",
    "beat",
    "notified",
];

#[derive(Deserialize)]
struct Answer {
    items: Vec<Worker>,
}

pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::List(List { admin }) => {
            let Answer { items } = admin.client()?.get(WORKERS, &[]).await?;
            admin.print_list(&items, HEADER, row)?;
        }
        Command::Drain(Drain { worker, act }) => {
            let client = act.admin.client()?;
            let Answer { items } = client.get(WORKERS, &[]).await?;
            let id = &named(&items, &worker)?.worker_id;
            let path = format!("{WORKERS}/{id}/drain");
            let body = json!({"reason": act.reason});
            let drained: Worker = client.send(Method::POST, &path, &body).await?;
            act.admin.print(&drained, |worker| output::table(HEADER, [row(worker)]))?;
        }
    }
    Ok(Exit::Done)
}

fn row(worker: &Worker) -> [String; 11] {
    let memory = if worker.rss_bytes > 0 {
        format!("{} MiB", worker.rss_bytes / (1024 * 1024))
    } else {
        "-".to_owned()
    };
    [
        worker.worker_id.clone(),
        worker.label.clone(),
        format!("{}:{}", worker.host, worker.pid),
        worker.state.clone(),
        worker.jobs.to_string(),
        worker.slots.to_string(),
        worker.providers.join(", "),
        worker.version.clone(),
        memory,
        format!("{} ago", ago(worker.last_beat_at)),
        if worker.listening { "yes" } else { "no, polls" }.to_owned(),
    ]
}

/// The one worker that is meant. Those that ended are meant only by their whole id.
fn named<'a>(workers: &'a [Worker], name: &str) -> Result<&'a Worker, Misused> {
    if let Some(exact) = workers.iter().find(|worker| worker.worker_id == name) {
        return Ok(exact);
    }
    let meant = |worker: &&Worker| {
        worker.is_up() && (worker.label == name || worker.worker_id.starts_with(name))
    };
    let found: Vec<_> = workers.iter().filter(meant).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(Misused(format!(
            "no worker that runs is called {name:?}; paceline workers list shows them"
        ))),
        several => {
            let ids: Vec<_> = several.iter().map(|worker| worker.worker_id.as_str()).collect();
            Err(Misused(format!("{name:?} may be any of {}", ids.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: &str, label: &str, state: &str) -> Worker {
        serde_json::from_value(json!({
            "workerId": id, "label": label, "host": "h", "pid": 1, "version": "0.1.0", "state": state, "slots": 8,
            "jobs": 0, "providers": ["strava"], "payloadVersion": 1, "listening": true, "rssBytes": 0,
            "startedAt": "2026-11-21T10:00:00Z", "lastBeatAt": "2026-11-21T10:00:00Z",
            "stoppedAt": null, "drainRequestedAt": null, "drainRequestedBy": null
        }))
        .unwrap()
    }

    #[test]
    fn a_worker_is_named_by_id_prefix_or_label_and_never_by_chance() {
        let all = [
            worker("019a-1", "eu", "alive"),
            worker("019a-2", "eu", "draining"),
            worker("019b-3", "us", "alive"),
            worker("019c-4", "us", "lost"),
            worker("019d-5", "old", "stopped"),
        ];
        let id = |name| named(&all, name).map(|worker| worker.worker_id.clone());
        assert_eq!(id("019a-1").unwrap(), "019a-1");
        assert_eq!(id("019b").unwrap(), "019b-3");
        assert_eq!(id("us").unwrap(), "019b-3");
        assert_eq!(id("019c-4").unwrap(), "019c-4");
        let several = id("eu").unwrap_err();
        assert!(several.to_string().contains("019a-1, 019a-2"), "{several}");
        assert!(id("019c").is_err() && id("old").is_err() && id("nobody").is_err());
    }
}
