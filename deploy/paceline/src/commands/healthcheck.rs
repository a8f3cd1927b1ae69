//! `paceline healthcheck`.

use crate::{client, exit::Ending, exit::Exit, output};
use anyhow::{Context as _, anyhow};
use clap::Args;
use std::time::Duration;
use url::Url;

const LIMIT: Duration = Duration::from_secs(5);
/// Of an answer that is no readiness.
const LONGEST_REASON: usize = 200;

/// Ask a process whether it is ready: exit code 0 when it is, 4 when not
///
/// Works with the API and with a worker's private port, also in an image without a shell.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// What to ask
    #[arg(long, default_value = "http://127.0.0.1:8080/readyz")]
    url: Url,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Exit> {
    let http = client::loopback(LIMIT)?;
    let answer = http.get(options.url.clone()).send().await.map_err(reqwest::Error::without_url);
    let answer =
        answer.with_context(|| format!("asking {}", options.url)).context(Ending::NotReady)?;
    let status = answer.status();
    if status.is_success() {
        output::line("ready")?;
        return Ok(Exit::Done);
    }
    let reason: String =
        answer.text().await.unwrap_or_default().chars().take(LONGEST_REASON).collect();
    let reason = reason.lines().next().unwrap_or_default();
    Err(anyhow!("{} answered {status}: {reason}", options.url).context(Ending::NotReady))
}
