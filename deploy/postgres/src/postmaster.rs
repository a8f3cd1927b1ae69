//! What `postmaster.pid` says about the server, and stopping it.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    error::Error,
    processes::{Processes, number, pid_from},
    site::Site,
};

/// How often a server that is coming or going is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// How long a server may take over ending its clients and writing its checkpoint.
const FAST_SHUTDOWN: Duration = Duration::from_secs(20);

/// How long it may take to drop everything.
const IMMEDIATE_SHUTDOWN: Duration = Duration::from_secs(10);

/// The server as its data directory shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Postmaster {
    /// No server, and none has died.
    Absent,
    /// A server was here and has died: its file is left, its process is not.
    Lost,
    /// Starting, recovering or stopping.
    Changing(Pid),
    /// Taking connections.
    Ready(Pid),
}

impl Postmaster {
    /// Looks.
    pub(crate) fn of(site: &Site) -> Result<Self, Error> {
        let path = pid_file(&site.data);
        match fs::read(&path) {
            Ok(text) => Ok(Self::read(&String::from_utf8_lossy(&text), &site.processes())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::Absent),
            Err(error) => Err(Error::io("reading", &path)(error)),
        }
    }

    /// The first line is the process id, the eighth the state; the file grows line by line.
    fn read(text: &str, processes: &Processes) -> Self {
        let mut lines = text.lines().map(str::trim);
        let pid = lines.next().and_then(pid_from).filter(|&pid| processes.contain(pid));
        match (pid, lines.nth(6)) {
            (None, _) => Self::Lost,
            (Some(pid), Some("ready")) => Self::Ready(pid),
            (Some(pid), _) => Self::Changing(pid),
        }
    }

    /// The process, while there is one.
    pub(crate) fn pid(self) -> Option<Pid> {
        match self {
            Self::Absent | Self::Lost => None,
            Self::Changing(pid) | Self::Ready(pid) => Some(pid),
        }
    }
}

/// The file by which a server claims its data directory.
pub(crate) fn pid_file(data: &Path) -> PathBuf {
    data.join("postmaster.pid")
}

/// The process id that the last server wrote down, whether it lives or not.
pub(crate) fn recorded(site: &Site) -> Result<Option<Pid>, Error> {
    let path = pid_file(&site.data);
    match fs::read(&path) {
        Ok(text) => {
            Ok(String::from_utf8_lossy(&text).lines().next().map(str::trim).and_then(pid_from))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("reading", &path)(error)),
    }
}

/// Ends the server, its clients' connections with it: a fast shutdown, and if that takes too long an
/// immediate one, after which the next start recovers.
pub(crate) fn stop(pid: Pid, processes: &Processes) -> Result<(), Error> {
    for (signal, patience) in [(Signal::INT, FAST_SHUTDOWN), (Signal::QUIT, IMMEDIATE_SHUTDOWN)] {
        if stop_by(signal, patience, pid, processes) {
            return Ok(());
        }
        tracing::warn!(pid = number(pid), "PostgreSQL does not stop upon {signal:?}");
    }
    Err(Error::WouldNotStop { pid: number(pid) })
}

/// Ends the server at once, without a checkpoint.
pub(crate) fn stop_immediately(pid: Pid, processes: &Processes) -> bool {
    stop_by(Signal::QUIT, IMMEDIATE_SHUTDOWN, pid, processes)
}

fn stop_by(signal: Signal, patience: Duration, pid: Pid, processes: &Processes) -> bool {
    let began = Instant::now();
    if processes.contain(pid) {
        // It may be gone by now, which is what is wanted.
        let _ = kill_process(pid, signal);
    }
    while processes.contain(pid) {
        if began.elapsed() > patience {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nobodys() -> Processes {
        Processes::of(PathBuf::from("/nowhere/data"), "paceline-0a".to_owned(), 101)
    }

    #[test]
    fn the_id_of_a_living_process_that_is_none_of_ours_means_a_lost_server() {
        let text = format!("{}\n/nowhere/data\n1\n5432\n/run\n\n\nready\n", std::process::id());
        assert_eq!(Postmaster::read(&text, &nobodys()), Postmaster::Lost);
    }

    #[test]
    fn a_file_that_was_never_finished_means_a_lost_server() {
        for text in ["", "\n", "-1\n", "0\n", "many\n"] {
            assert_eq!(Postmaster::read(text, &nobodys()), Postmaster::Lost, "{text:?}");
        }
    }
}
