//! A home for the cluster of one test, and a look at what runs in it.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use paceline_postgres::{Binaries, binaries_from_env, find_binaries};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

/// A directory for one test. What still runs in it when the test ends is killed.
pub(crate) struct Home {
    directory: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        // Not in the temporary directory of the environment, where the server's account may be shut
        // out; and open to that account.
        let directory = tempfile::Builder::new().prefix("paceline-test-").tempdir_in("/tmp");
        let directory = directory.expect("a temporary directory");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), open).expect("opening the directory");
        Self { directory }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The directory of the one cluster in it.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.path().join(format!("pg{}", binaries().major()))
    }

    pub(crate) fn pid_file(&self) -> PathBuf {
        self.cluster().join("data/postmaster.pid")
    }

    /// What runs in its cluster: by `/proc`, or else just the server.
    fn processes(&self) -> Vec<Pid> {
        let Ok(processes) = fs::read_dir("/proc") else {
            let server = fs::read_to_string(self.pid_file()).ok();
            let server = server.and_then(|text| text.lines().next()?.parse().ok());
            return server
                .and_then(Pid::from_raw)
                .filter(|&pid| is_alive(pid))
                .into_iter()
                .collect();
        };
        processes
            .flatten()
            .filter(|process| {
                let directory = fs::read_link(process.path().join("cwd"));
                directory.is_ok_and(|directory| directory.starts_with(self.cluster()))
            })
            .filter_map(|process| {
                process.file_name().to_str()?.parse().ok().and_then(Pid::from_raw)
            })
            .collect()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        eventually("the processes that the test left end", || {
            let left = self.processes();
            for &pid in &left {
                let _ = kill_process(pid, Signal::KILL);
            }
            left.is_empty().then_some(())
        });
    }
}

pub(crate) fn binaries() -> Binaries {
    find_binaries(binaries_from_env().as_deref()).expect("these tests need a PostgreSQL server")
}

/// psql from the server's directory; a few platforms keep it elsewhere on the PATH.
pub(crate) fn psql(url: &str, statement: &str) -> Command {
    let beside = binaries().directory().join("psql");
    let elsewhere = || {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).map(|directory| directory.join("psql")).find(|psql| psql.is_file())
    };
    let program = Some(beside).filter(|psql| psql.is_file()).or_else(elsewhere);
    let mut psql = Command::new(program.expect("these tests need psql, from the client package"));
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        psql.env_remove(name);
    }
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-c", statement, "-d", url]).stdin(Stdio::null());
    psql
}

/// What a statement answers, in psql's unaligned form.
pub(crate) fn sql(url: &str, statement: &str) -> String {
    let output = psql(url, statement).output().expect("running psql");
    assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn pid(digits: &str) -> Pid {
    digits.parse().ok().and_then(Pid::from_raw).expect("a process id")
}

/// Expects that it ends. To the supervisor a process is gone once it has let go of memory and files;
/// the kernel may take a moment longer to bury it.
pub(crate) fn expect_end(pid: Pid) {
    eventually("a process ends", || (!is_alive(pid)).then_some(()));
}

/// Whether it runs. A zombie does not.
pub(crate) fn is_alive(pid: Pid) -> bool {
    if !cfg!(target_os = "linux") {
        return test_kill_process(pid).is_ok();
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with(['Z', 'X']))
}

/// Asks until there is an answer.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "not within a minute: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
