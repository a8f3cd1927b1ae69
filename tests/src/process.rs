//! A `paceline` process as a test has it: started, asked, frozen, killed. It ends with the test however
//! that ends: its standard input is a pipe that only this process holds.

use crate::{binary, wait::until};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

/// A process takes no longer than this to listen, on a machine that has other things to do.
const START: Duration = Duration::from_secs(30);
/// How much of a log is shown when a test fails, in bytes.
const TAIL: usize = 8 * 1024;

/// A running `paceline`.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    address: SocketAddr,
}

impl Process {
    /// Starts `paceline <arguments>` and waits until it listens. Its log goes to `<directory>/<name>.log`.
    pub async fn start(directory: &Path, name: &str, arguments: &[String]) -> Self {
        let binary = tokio::task::spawn_blocking(binary::paceline).await.expect("the binary");
        let log = directory.join(format!("{name}.log"));
        let port_file = directory.join(format!("{name}.port"));
        let file = File::create(&log).expect("a log file");
        let mut command = Command::new(binary);
        for (variable, _) in std::env::vars_os() {
            let text = variable.to_string_lossy();
            if text.starts_with("PACELINE_") || text.starts_with("PG") || text == "DATABASE_URL" {
                command.env_remove(&variable);
            }
        }
        let child = command
            .args(arguments)
            .args(["--exit-with-parent", "--port-file"])
            .arg(&port_file)
            .stdin(Stdio::piped())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .spawn()
            .expect("starting paceline");
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut process = Self { child, name: name.to_owned(), log, address: nowhere };
        until(&format!("{name} listens"), START, async || {
            let ended = process.child.try_wait().expect("asking for the process");
            assert!(ended.is_none(), "{name} ended at once: {ended:?}\n{}", process.log_tail());
            let text = fs::read_to_string(&port_file).unwrap_or_default();
            text.trim().parse().map(|address| process.address = address).is_ok()
        })
        .await;
        process
    }

    /// Where it listens: the API, or a worker's health port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was called when it was started.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let from = log.ceil_char_boundary(log.len().saturating_sub(TAIL));
        log[from..].to_owned()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("signalling a process of ours");
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`: it runs no further instruction, and nothing is left of it afterwards.
    pub fn kill_9(&mut self) {
        self.child.kill().expect("killing a process of ours");
        self.child.wait().expect("its end");
    }

    /// Asks it to end in good order.
    pub fn sigterm(&self) {
        self.signal(Signal::TERM);
    }

    /// Freezes it.
    pub fn sigstop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn sigcont(&self) {
        self.signal(Signal::CONT);
    }

    /// Lets its standard input end, as the death of its parent does.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Waits for its end.
    pub async fn wait(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} ends", self.name);
        crate::wait::eventually(&what, limit, async || {
            self.child.try_wait().expect("asking for the process")
        })
        .await
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("asking for the process").is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors: it has ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            #[expect(clippy::print_stderr, reason = "beside the failure of the test")]
            {
                eprintln!("--- {} ({}) ---\n{}", self.name, self.log.display(), self.log_tail());
            }
        }
    }
}
