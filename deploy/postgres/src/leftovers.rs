//! Clears up after a server that was killed, so that the next one can start.
//!
//! Postgres refuses to start while the process named in `postmaster.pid` or in the socket's lock
//! file exists, even as a zombie or as another program under a recycled id, and while a backend of
//! the former server still works. Whoever calls this must be the sole user, inside the start lock.

use std::{
    fs,
    io::ErrorKind,
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Signal, kill_process};

use crate::{
    error::Error,
    postmaster::{POLL, pid_file},
    processes::{Processes, number},
    site::Site,
};

/// How long orphans get to end by themselves after SIGQUIT.
const QUIT_PATIENCE: Duration = Duration::from_secs(2);

/// How long the kernel gets to end them.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Ends what is left of a dead server and removes its lock files; tells whether there was anything.
///
/// [`Error::Orphans`] when processes remain, [`Error::OutOfSight`] when a server we cannot see still
/// answers. Nothing is removed then.
pub(crate) fn clear(site: &Site) -> Result<bool, Error> {
    let orphans = end_orphans(&site.processes())?;
    // The last line of defence for the data: two servers on one directory would destroy it.
    if UnixStream::connect(site.socket()).is_ok() {
        return Err(Error::OutOfSight { socket: site.socket() });
    }
    let mut found = orphans;
    for file in [pid_file(&site.data), site.socket_lock(), site.socket()] {
        found |= remove(&file)?;
    }
    Ok(found)
}

/// Ends every process that is left of a dead server, a busy backend for one; tells whether there was
/// any.
pub(crate) fn end_orphans(processes: &Processes) -> Result<bool, Error> {
    let mut left = processes.all();
    let found = !left.is_empty();
    for (signal, patience) in [(Signal::QUIT, QUIT_PATIENCE), (Signal::KILL, KILL_PATIENCE)] {
        for &pid in &left {
            tracing::warn!(
                pid = number(pid),
                "ending an orphaned PostgreSQL process by {signal:?}"
            );
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
        let began = Instant::now();
        while !left.is_empty() && began.elapsed() < patience {
            thread::sleep(POLL);
            left = processes.all();
        }
    }
    if left.is_empty() {
        return Ok(found);
    }
    let pids = left.into_iter().map(number).collect();
    Err(Error::Orphans { data: processes.data().to_owned(), pids })
}

fn remove(file: &Path) -> Result<bool, Error> {
    match fs::remove_file(file) {
        Ok(()) => {
            tracing::info!(file = %file.display(), "removed a leftover of a killed PostgreSQL server");
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("removing", file)(error)),
    }
}
