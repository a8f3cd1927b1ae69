//! One child process: this very program with another subcommand, on a leash.
//!
//! The leash is its standard input: the kernel closes it however this process ends, and the child
//! drains and goes. It is in a process group of its own, so that Ctrl-C reaches this process first.

use super::spec::{Role, Spec};
use crate::{port_file, screen::Screen};
use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret as _;
use std::{
    env,
    net::SocketAddr,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, ChildStdin, Command},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// How long a process may take until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);
/// The file's name in its directory.
const PORT_FILE: &str = "port";
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(20);
/// How long it may take to end in good order.
const DRAIN_LIMIT: Duration = Duration::from_secs(20);
/// How long its last lines may take to arrive.
const LAST_LINES: Duration = Duration::from_secs(1);

/// What all processes of a run share.
#[derive(Clone)]
pub(super) struct Surroundings {
    pub(super) log_filter: String,
    pub(super) log_format: &'static str,
    /// Whether log lines are marked with the role they come from.
    pub(super) marked: bool,
    pub(super) screen: Screen,
    pub(super) http: reqwest::Client,
}

/// A running child.
pub(super) struct Process {
    role: Role,
    child: Child,
    _leash: Option<ChildStdin>,
    lines: Option<JoinHandle<Option<String>>>,
    /// Where it says which address it listens on; gone as soon as that is known, so that nothing is
    /// left of it when this process is killed.
    announcement: Option<TempDir>,
    ready_path: &'static str,
}

impl Process {
    /// Starts it; it listens on `listen`.
    pub(super) fn start(
        spec: &Spec,
        listen: SocketAddr,
        around: &Surroundings,
    ) -> anyhow::Result<Self> {
        let role = spec.role;
        let announcement = tempfile::Builder::new().prefix("paceline-").tempdir();
        let announcement = announcement.context("no temporary directory can be made")?;
        let program = env::current_exe().context("this program does not know where it is")?;
        let mut command = Command::new(program);
        command
            .args(&spec.arguments)
            .args(["--listen", &listen.to_string(), "--exit-with-parent", "--port-file"])
            .arg(announcement.path().join(PORT_FILE))
            .args(["--log", &around.log_filter, "--log-format", around.log_format])
            // All that these processes ask is on this machine.
            .envs([("NO_PROXY", "127.0.0.1,localhost"), ("no_proxy", "127.0.0.1,localhost")])
            .envs(spec.secrets.iter().map(|(variable, secret)| (variable, secret.expose_secret())))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("starting {role}"))?;
        let mark =
            if around.marked { format!("{:<8} | ", role.to_string()) } else { String::new() };
        let lines = child
            .stderr
            .take()
            .map(|lines| tokio::spawn(pass_on(lines, mark, around.screen.clone())));
        Ok(Self {
            role,
            _leash: child.stdin.take(),
            child,
            lines,
            announcement: Some(announcement),
            ready_path: spec.ready_path,
        })
    }

    /// Returns where it listens once it can do its work. To be asked once.
    ///
    /// Fails when it ends before, and when it takes too long.
    pub(super) async fn ready(&mut self, http: &reqwest::Client) -> anyhow::Result<SocketAddr> {
        let role = self.role;
        let announcement = self.announcement.take().context("a process gets ready only once")?;
        let mut last_answer = String::from("it does not listen");
        let ready = async {
            let address = announced(announcement).await?;
            answers(http, &format!("http://{address}{}", self.ready_path), &mut last_answer).await;
            Ok(address)
        };
        let ready = tokio::select! {
            ready = timeout(READY_LIMIT, ready) => Ok(ready),
            ended = self.child.wait() => Err(ended?),
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(status) => match self.last_lines().await {
                Some(cause) => bail!("{role} ended before it was ready: {cause}"),
                None => bail!("{role} ended before it was ready ({status})"),
            },
        };
        ready.unwrap_or_else(|_late| {
            bail!("{role} was not ready after {} s: {}", READY_LIMIT.as_secs(), last_answer.trim())
        })
    }

    /// Its number; `None` once it has ended.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns when it has ended, and how.
    pub(super) async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.last_lines().await;
        Ok(status)
    }

    /// Ends it: in good order as long as there is time, else at once.
    pub(super) async fn end(mut self, hurry: &CancellationToken) {
        self.signal(Signal::TERM);
        let drained = tokio::select! {
            drained = timeout(DRAIN_LIMIT, self.child.wait()) => drained.is_ok(),
            () = hurry.cancelled() => false,
        };
        if !drained {
            tracing::warn!("{} did not end when asked, and is killed", self.role);
            if let Err(error) = self.child.kill().await {
                tracing::error!(%error, "{} could not be killed", self.role);
            }
        }
        self.last_lines().await;
    }

    fn signal(&self, signal: Signal) {
        // Without an id it has ended and been reaped: the number may be another's by now.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(id) = id
            && let Err(error) = kill_process(id, signal)
        {
            tracing::debug!(%error, "{} could not be signalled", self.role);
        }
    }

    /// Lets its last lines arrive, and returns the error that it ended with.
    async fn last_lines(&mut self) -> Option<String> {
        // Late lines are lost and nothing else.
        timeout(LAST_LINES, self.lines.take()?).await.ok()?.ok()?
    }
}

/// Waits until the address is known; the directory goes when it is.
async fn announced(directory: TempDir) -> anyhow::Result<SocketAddr> {
    let file = directory.path().join(PORT_FILE);
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        if let Some(address) = port_file::read(&file)? {
            return Ok(address);
        }
    }
}

/// Asks until the answer is a success; `last` is what it was before.
async fn answers(http: &reqwest::Client, url: &str, last: &mut String) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        match http.get(url).timeout(READY_LIMIT).send().await {
            Ok(answer) if answer.status().is_success() => return,
            Ok(answer) => *last = answer.text().await.unwrap_or_default(),
            Err(error) => *last = error.without_url().to_string(),
        }
    }
}

/// Passes on what a child logs, line by line. Returns the error that it ended with, if it said one.
async fn pass_on(lines: ChildStderr, mark: String, screen: Screen) -> Option<String> {
    let mut lines = BufReader::new(lines);
    let mut line = Vec::new();
    let mut error = None;
    while let Ok(1..) = lines.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        screen.line(&format!("{mark}{text}"));
        if let Some(said) = text.strip_prefix("error: ") {
            error = Some(said.to_owned());
        }
        line.clear();
    }
    error
}
