//! A home of its own for a test: what runs on it is this build's binary, told nothing by the caller's
//! environment, and ends before the directory goes.

use paceline_postgres::{Cluster, Error, Options, binaries_from_env};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};
use tempfile::TempDir;

/// A directory that is the home of all that is run on it.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        // The account of the embedded server may be another, and must come in.
        let open = fs::Permissions::from_mode(0o755);
        let directory =
            tempfile::Builder::new().prefix("paceline-home-").permissions(open).tempdir();
        Self(directory.expect("a directory"))
    }

    /// A share in the cluster of this home.
    pub(crate) fn cluster(&self) -> Cluster {
        self.try_cluster().expect("a cluster")
    }

    /// With the same programs as the binary, and so the same cluster.
    fn try_cluster(&self) -> Result<Cluster, Error> {
        let home = self.path().to_owned();
        Cluster::start(&Options { binaries: binaries_from_env(), ..Options::new(home) })
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The binary with these arguments, at home here.
    pub(crate) fn paceline(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_paceline"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            // Where the server's programs are is for the machine to say.
            let is_ours = name.starts_with("PACELINE_") && name != "PACELINE_PG_BIN";
            if is_ours || name == "DATABASE_URL" {
                command.env_remove(&*name);
            }
        }
        command.args(arguments).env("PACELINE_HOME", self.path());
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The last one to leave stops the server; one that was killed could not.
        if std::thread::panicking() {
            drop(self.try_cluster());
        }
    }
}
