//! The processes that hold a share of a cluster, and are killed.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::support::{Home, binaries, eventually, expect_end, pid, psql, sql};

impl Home {
    /// Starts a process that holds a share, and waits until it does.
    pub(crate) fn hold(&self) -> Holder {
        self.launch().expect_up()
    }

    /// Starts a process that takes a share.
    pub(crate) fn launch(&self) -> Launch {
        Launch::new(&mut hold_cluster(self.path(), binaries().directory()))
    }
}

/// The command line of a holder.
pub(crate) fn hold_cluster(home: &Path, programs: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hold-cluster"));
    command.arg(home).arg("full").arg(programs);
    command
}

/// A holder that is still on its way.
pub(crate) struct Launch {
    child: Option<Child>,
}

impl Launch {
    /// In a process group of its own, so that it can be killed with its children.
    pub(crate) fn new(command: &mut Command) -> Self {
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::piped()).spawn().expect("running hold-cluster");
        Self { child: Some(child) }
    }

    pub(crate) fn expect_up(mut self) -> Holder {
        let mut child = self.child.take().expect("it was not waited for yet");
        let mut words = BufReader::new(child.stdout.take().expect("its standard output is piped"));
        let mut line = String::new();
        words.read_line(&mut line).expect("reading its first line");
        if line.is_empty() {
            let output = child.wait_with_output().expect("waiting for it");
            panic!("no start: {}", String::from_utf8_lossy(&output.stderr));
        }
        let mut fields = line.split_whitespace().map(str::to_owned);
        let mut next = || fields.next().expect("how, process id, URL");
        let (how, server, url) = (next(), pid(&next()), next());
        Holder { child, words, how, server, url }
    }

    /// Expects it to fail, and returns what it says.
    pub(crate) fn expect_refusal(mut self) -> String {
        let mut child = self.child.take().expect("it was not waited for yet");
        drop(child.stdin.take());
        let output = child.wait_with_output().expect("waiting for it");
        assert!(
            !output.status.success(),
            "it started: {}",
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Kills it alone, or with the children in its process group.
    pub(crate) fn kill(mut self, with_children: bool) {
        let mut child = self.child.take().expect("it was not waited for yet");
        if with_children {
            kill_process_group(Pid::from_child(&child), Signal::KILL).expect("killing the group");
        }
        let _ = child.kill();
        child.wait().expect("waiting for it");
    }
}

impl Drop for Launch {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
            let _ = child.wait();
        }
    }
}

/// A process that holds a share.
pub(crate) struct Holder {
    child: Child,
    words: BufReader<ChildStdout>,
    /// How the server came up for it.
    pub(crate) how: String,
    /// The process id of the server.
    pub(crate) server: Pid,
    /// The URL of the database `postgres`.
    pub(crate) url: String,
}

impl Holder {
    /// Lets it release its share; `true` when that stopped the server.
    pub(crate) fn release(mut self) -> bool {
        drop(self.child.stdin.take());
        let mut words = String::new();
        self.words.read_to_string(&mut words).expect("reading its last words");
        let status = self.child.wait().expect("waiting for it");
        assert!(status.success(), "it could not release its share: {status}");
        words.trim() == "stopped"
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killing it");
        self.child.wait().expect("waiting for it");
    }

    /// Commits a row that [`Holder::row_is_there`] looks for.
    pub(crate) fn commit_row(&self) {
        self.sql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)");
    }

    pub(crate) fn row_is_there(&self) -> bool {
        self.sql("SELECT n FROM kept") == "42"
    }

    pub(crate) fn sql(&self, statement: &str) -> String {
        sql(&self.url, statement)
    }

    /// Keeps a backend busy for ever, and returns its process id.
    pub(crate) fn keep_a_backend_busy(&self) -> (Bystander, Pid) {
        let mut endless = psql(&self.url, "DO $$ BEGIN LOOP PERFORM 1; END LOOP; END $$");
        let client = endless.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("psql");
        let backend = eventually("the backend is busy", || {
            let busy =
                "SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %'";
            Some(self.sql(busy)).filter(|found| !found.is_empty())
        });
        (Bystander(client), pid(&backend))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // After a failed assertion: let it stop the server.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A process that is killed when the test ends.
pub(crate) struct Bystander(pub(crate) Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `kill -9`, and waits until it no longer runs.
pub(crate) fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).expect("killing a process");
    expect_end(pid);
}

/// A starter whose initdb is half-way and goes on only when the returned file exists.
pub(crate) fn starter_with_a_stuck_initdb(home: &Home) -> (Launch, PathBuf) {
    let programs = home.path().join("programs");
    let may_end = home.path().join("may-end");
    fs::create_dir(&programs).expect("a directory of programs");
    let real = binaries();
    let real = real.directory().display();
    script(&programs.join("postgres"), &format!("exec '{real}/postgres' \"$@\""));
    script(
        &programs.join("initdb"),
        &format!(
            "for data; do :; done; mkdir \"$data/base\"; echo half > \"$data/PG_VERSION\"\n\
             while [ ! -e '{}' ]; do sleep 0.01; done; exit 1",
            may_end.display()
        ),
    );
    let starter = Launch::new(&mut hold_cluster(home.path(), &programs));
    let half = home.cluster().join("data.new/PG_VERSION");
    eventually("initdb is half-way", || half.exists().then_some(()));
    (starter, may_end)
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("an executable script");
}
