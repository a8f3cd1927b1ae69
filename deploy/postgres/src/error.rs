//! Why a private cluster cannot be used, one variant for each thing a person can do about it.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use crate::binaries::OLDEST_MAJOR;

/// Why a cluster could not be started or given up. The text names the remedy where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No usable server on this machine.
    #[error(
        "no PostgreSQL {OLDEST_MAJOR} or newer was found on this machine{}; install it with `{install}`, \
         or set PACELINE_PG_BIN to the directory that holds `postgres` and `initdb`",
        older.as_ref().map_or_else(String::new, |(directory, major)|
            format!(" (only version {major} in {})", directory.display()))
    )]
    NoServer {
        /// The newest server found, when every one of them is too old.
        older: Option<(PathBuf, u32)>,
        /// The command that installs a server on this platform.
        install: &'static str,
    },

    /// The directory that the caller named holds no usable server.
    #[error("{} holds no PostgreSQL {OLDEST_MAJOR} or newer: {reason}", directory.display())]
    UnusableBinaries {
        /// The directory as the caller named it.
        directory: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// Neither `XDG_DATA_HOME` nor the home directory of the user is known.
    #[error("no directory to keep PostgreSQL's data in: neither XDG_DATA_HOME nor HOME is set")]
    NoHome,

    /// Started by root, and there is no account to drop to.
    #[error(
        "PostgreSQL does not run as root, and none of the accounts {tried} exists to run it as"
    )]
    NoAccount {
        /// The accounts that were looked for.
        tried: String,
    },

    /// The account of the server cannot enter a directory on the way to its data or programs.
    #[error(
        "{} cannot be entered by the account {account}, which PostgreSQL runs as; let others enter it \
         (chmod o+x) or choose a place outside it", directory.display()
    )]
    Closed {
        /// The directory that is closed to the account.
        directory: PathBuf,
        /// The account of the server.
        account: String,
    },

    /// A directory that should belong to the cluster belongs to somebody else.
    #[error("{} is not a directory of the account {account}; remove it or choose another home", directory.display())]
    NotOurs {
        /// The directory.
        directory: PathBuf,
        /// The account that should own it.
        account: String,
    },

    /// Another process has been starting or stopping the cluster for too long.
    #[error("another process has been starting or stopping this cluster for {waited:?} (it holds {})", lock.display())]
    Busy {
        /// The lock that it holds.
        lock: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },

    /// `initdb` refused; nothing is left of its attempt.
    #[error("initdb could not make a cluster in {}: {output}", data.display())]
    Initdb {
        /// Where the cluster was to be.
        data: PathBuf,
        /// What initdb printed.
        output: String,
    },

    /// The server ended before it was ready.
    #[error("PostgreSQL ended while starting ({status}); the end of {}:\n{tail}", log.display())]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The last lines it wrote.
        tail: String,
    },

    /// The server runs and does not become ready.
    #[error("PostgreSQL was not ready after {waited:?}; the end of {}:\n{tail}", log.display())]
    NotReady {
        /// How long it was waited for.
        waited: Duration,
        /// Its log.
        log: PathBuf,
        /// The last lines it wrote.
        tail: String,
    },

    /// The server has died while others hold a share. Only a sole user may clear up after it.
    #[error(
        "the server of {} is gone while other processes still hold a share of it; end those, then start again",
        data.display()
    )]
    Lost {
        /// The cluster's data directory.
        data: PathBuf,
    },

    /// Something answers on the cluster's socket that is not a process we can see.
    #[error(
        "a server that cannot be seen from here (another container?) answers on {}; stop it there first",
        socket.display()
    )]
    OutOfSight {
        /// The cluster's socket.
        socket: PathBuf,
    },

    /// Processes of a dead server survive even SIGKILL.
    #[error("processes of the former server of {} do not end: {pids:?}", data.display())]
    Orphans {
        /// The cluster's data directory.
        data: PathBuf,
        /// The processes.
        pids: Vec<u32>,
    },

    /// Full durability was asked for, and the server that is up was started without fsync.
    #[error(
        "the server of {} runs without fsync and may lose data; release it everywhere, then start it again",
        data.display()
    )]
    NotDurable {
        /// The cluster's data directory.
        data: PathBuf,
    },

    /// The server ignores both a fast and an immediate shutdown.
    #[error("the server with process id {pid} does not stop")]
    WouldNotStop {
        /// The process id of the postmaster.
        pid: u32,
    },

    /// The operating system refused.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The refusal.
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: what was being done to which path when the operating system refused.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, path: path.to_owned(), source }
    }
}
