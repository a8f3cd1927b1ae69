//! Where each part of a cluster lies.
//!
//! ```text
//! <home>/pg15/            ours
//!     start.lock          held while a start or a release decides
//!     users.lock          shared by every user
//!     server.log
//!     data/               the server's account's, 0700
//!     run/                its socket, likewise; in /tmp when this path does not do for one
//! ```

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{
    account::Account,
    directories::{claim, ensure_enterable, open_home, outer_mode},
    error::Error,
    options::short_hex,
    processes::Processes,
};

/// A socket's address holds 104 bytes on macOS and 108 on Linux, its final zero included.
const SOCKET_PATH_MAX: usize = 103;

/// The name that Postgres gives its socket. We listen on no port, so the number is free to be the
/// one that clients assume.
const SOCKET: &str = ".s.PGSQL.5432";

/// The places of one cluster. Each major version has a cluster, and so locks, of its own.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) directory: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) socket_directory: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) start_lock: PathBuf,
    pub(crate) users_lock: PathBuf,
    pub(crate) account: Account,
}

impl Site {
    /// The cluster of `major` in `home`, whose directory is made if it is absent. Of what lies
    /// inside, nothing is touched yet: that takes the start lock.
    pub(crate) fn open(home: &Path, major: u32, account: Account) -> Result<Self, Error> {
        let directory = open_home(home, &account)?.join(format!("pg{major}"));
        claim(&directory, outer_mode(&account), &Account::current())?;
        ensure_enterable(&directory, &account)?;
        Ok(Self {
            data: directory.join("data"),
            socket_directory: socket_directory(&directory),
            log: directory.join("server.log"),
            start_lock: directory.join("start.lock"),
            users_lock: directory.join("users.lock"),
            directory,
            account,
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.socket_directory.join(SOCKET)
    }

    /// The file by which the server keeps others away from its socket.
    pub(crate) fn socket_lock(&self) -> PathBuf {
        self.socket_directory.join(format!("{SOCKET}.lock"))
    }

    /// Where initdb works until it has succeeded.
    pub(crate) fn unfinished_data(&self) -> PathBuf {
        self.directory.join("data.new")
    }

    /// The name that the server's processes wear in their titles.
    pub(crate) fn cluster_name(&self) -> String {
        format!("paceline-{}", path_hash(&self.data))
    }

    /// The server's processes.
    pub(crate) fn processes(&self) -> Processes {
        Processes::of(self.data.clone(), self.cluster_name(), self.account.uid)
    }

    /// Makes the directory of the socket.
    pub(crate) fn claim_socket_directory(&self) -> Result<(), Error> {
        claim(&self.socket_directory, 0o700, &self.account)
    }

    /// Whether the socket lies outside the cluster's own directory.
    pub(crate) fn has_distant_socket(&self) -> bool {
        !self.socket_directory.starts_with(&self.directory)
    }
}

/// Beside the data if it can be: short enough for a socket, and nothing that a URL cannot say. To
/// libpq a comma, however encoded, separates two hosts.
fn socket_directory(directory: &Path) -> PathBuf {
    let near = directory.join("run");
    let short = near.join(SOCKET).as_os_str().len() <= SOCKET_PATH_MAX;
    if short && near.to_str().is_some_and(|path| !path.contains(',')) {
        near
    } else {
        // Not the temporary directory of the environment, which may be just as long.
        Path::new("/tmp").join(format!("paceline-{}", path_hash(directory)))
    }
}

fn path_hash(path: &Path) -> String {
    short_hex(&Sha256::digest(path.as_os_str().as_encoded_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_near_the_data_unless_its_path_would_be_too_long() {
        assert_eq!(socket_directory(Path::new("/srv/pg15")), Path::new("/srv/pg15/run"));
        let fits = PathBuf::from(format!("/{}", "x".repeat(84)));
        assert_eq!(socket_directory(&fits), fits.join("run"));
        let long = PathBuf::from(format!("/{}", "x".repeat(85)));
        let short = socket_directory(&long);
        assert!(short.starts_with("/tmp"), "{}", short.display());
        assert_eq!(short, socket_directory(&long));
        assert_ne!(short, socket_directory(&long.join("other")));
    }

    #[test]
    fn a_socket_is_not_put_where_clients_would_see_two_hosts() {
        let here = socket_directory(Path::new("/srv/here,there"));
        assert!(here.starts_with("/tmp"), "{}", here.display());
    }
}
