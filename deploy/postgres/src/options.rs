//! What a caller may choose about a cluster, and the directories it usually lives in.

use std::{
    env,
    path::{Path, PathBuf},
};

use rustix::process::geteuid;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// What a crash of the machine may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Nothing that was committed.
    Full,
    /// Everything. For tests, which make their data anew: no fsync, no autovacuum.
    TestOnly,
}

/// How to run a cluster. Where a server is up already, its own settings stand.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the cluster lives; made if absent. One home holds a cluster per major version.
    pub home: PathBuf,
    /// What a crash may cost.
    pub durability: Durability,
    /// Connections that the server allows.
    pub max_connections: u32,
    /// The directory of the Postgres programs; `None` searches the machine for them.
    pub binaries: Option<PathBuf>,
    /// Further server settings by name, stronger than this crate's own.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// A cluster that keeps its data, with room for 100 connections.
    #[must_use]
    pub fn new(home: PathBuf) -> Self {
        Self {
            home,
            durability: Durability::Full,
            max_connections: 100,
            binaries: None,
            settings: Vec::new(),
        }
    }

    /// A cluster for tests: fast, forgetful, with room for 300 connections.
    #[must_use]
    pub fn for_tests(home: PathBuf) -> Self {
        Self { durability: Durability::TestOnly, max_connections: 300, ..Self::new(home) }
    }
}

/// Where a person's cluster lives: `/var/lib/paceline` for root, whose own home is closed to the
/// server's account, else `paceline` in the XDG data directory.
///
/// Reads `XDG_DATA_HOME` and `HOME`; [`Error::NoHome`] when neither says anything.
pub fn default_home() -> Result<PathBuf, Error> {
    if geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/paceline"));
    }
    // The XDG specification: a relative path is to be ignored.
    let named = env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || env::home_dir().filter(|path| path.is_absolute());
    let data = named.or_else(|| home().map(|path| path.join(".local/share")));
    data.map(|path| path.join("paceline")).ok_or(Error::NoHome)
}

/// Where the tests of one working copy keep their cluster, whichever package they belong to.
///
/// Below `/tmp`, because the working copy may lie where the server's account cannot go and because
/// socket paths are short. Differs by user, so that root's and a plain user's runs do not collide.
#[must_use]
pub fn test_home(workspace: &Path) -> PathBuf {
    let mut hash = Sha256::new();
    hash.update(workspace.as_os_str().as_encoded_bytes());
    hash.update(geteuid().as_raw().to_be_bytes());
    Path::new("/tmp").join(format!("paceline-test-{}", short_hex(&hash.finalize())))
}

/// The first eight bytes of a digest in hexadecimal, for names that must be short and stable.
pub(crate) fn short_hex(digest: &[u8]) -> String {
    use std::fmt::Write;

    digest.iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_working_copy_has_a_test_home_of_its_own() {
        let one = test_home(Path::new("/src/one"));
        assert_eq!(one, test_home(Path::new("/src/one")));
        assert_ne!(one, test_home(Path::new("/src/two")));
        assert!(one.as_os_str().len() < 40, "{}", one.display());
    }

    #[test]
    fn the_default_home_is_an_absolute_path() {
        assert!(default_home().unwrap().is_absolute());
    }
}
