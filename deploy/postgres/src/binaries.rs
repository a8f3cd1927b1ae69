//! Finds the Postgres programs of this machine. Knows where the platforms put them, and nothing of
//! clusters.

use std::{
    env, fs, iter,
    path::{Path, PathBuf},
};

use crate::{command::command, error::Error, install};

/// The oldest major version of Postgres that Paceline runs on.
pub const OLDEST_MAJOR: u32 = 15;

/// A usable Postgres installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    directory: PathBuf,
    major: u32,
}

impl Binaries {
    /// The directory of the programs, with links resolved.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The major version of the server, at least [`OLDEST_MAJOR`].
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The directory that the environment variable `PACELINE_PG_BIN` names, for [`find_binaries`] and
/// `Options::binaries`. Nothing else in this crate reads it.
#[must_use]
pub fn binaries_from_env() -> Option<PathBuf> {
    env::var_os("PACELINE_PG_BIN").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The server to use: the one in `named`, or without a name the first of `pg_config --bindir`, `PATH`
/// and the usual places of the platforms that is recent enough.
///
/// [`Error::UnusableBinaries`] when a named directory does not do, [`Error::NoServer`] when the
/// search finds none.
pub fn find_binaries(named: Option<&Path>) -> Result<Binaries, Error> {
    let Some(named) = named else { return search(candidates()) };
    let unusable = |reason| Error::UnusableBinaries { directory: named.to_owned(), reason };
    let found = inspect(named).map_err(unusable)?;
    if found.major < OLDEST_MAJOR {
        return Err(unusable(format!("it is version {}", found.major)));
    }
    Ok(found)
}

fn search(candidates: impl Iterator<Item = PathBuf>) -> Result<Binaries, Error> {
    let mut older: Option<Binaries> = None;
    for found in candidates.filter_map(|directory| inspect(&directory).ok()) {
        if found.major >= OLDEST_MAJOR {
            return Ok(found);
        }
        if older.as_ref().is_none_or(|best| best.major < found.major) {
            older = Some(found);
        }
    }
    let older = older.map(|found| (found.directory, found.major));
    Err(Error::NoServer { older, install: install::command() })
}

/// What `directory` holds, or why it is no installation.
fn inspect(directory: &Path) -> Result<Binaries, String> {
    // Postgres looks for its other programs beside the real file, not beside a link to it.
    let postgres = fs::canonicalize(directory.join("postgres"))
        .map_err(|error| format!("`postgres`: {error}"))?;
    let directory = postgres.parent().ok_or("`postgres` has no directory")?.to_owned();
    if !directory.join("initdb").is_file() {
        return Err(format!("there is no `initdb` in {}", directory.display()));
    }
    let output = command(&postgres).arg("--version").output();
    let output = output.map_err(|error| format!("`postgres --version`: {error}"))?;
    let version = String::from_utf8_lossy(&output.stdout);
    let major =
        major_of(&version).ok_or_else(|| format!("it calls itself {:?}", version.trim()))?;
    Ok(Binaries { directory, major })
}

/// The major version in a line such as `postgres (Postgres) 17.5 (Debian 17.5-1)`.
fn major_of(version: &str) -> Option<u32> {
    let number =
        version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Directories that may hold a server, best first. Lazy, because the first is nearly always right.
fn candidates() -> impl Iterator<Item = PathBuf> {
    iter::once_with(pg_config).flatten().chain(path()).chain(
        USUAL
            .iter()
            .flat_map(|&(parent, prefix, tail)| installed_below(Path::new(parent), prefix, tail)),
    )
}

fn pg_config() -> Option<PathBuf> {
    let output = command(Path::new("pg_config")).arg("--bindir").output().ok()?;
    let directory = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| PathBuf::from(directory.trim_end()))
}

fn path() -> Vec<PathBuf> {
    env::var_os("PATH").map_or_else(Vec::new, |path| env::split_paths(&path).collect())
}

/// Where the platforms install servers side by side: a parent directory, what comes before the
/// version in the name of an entry, and what follows below it.
const USUAL: &[(&str, &str, &str)] = &[
    ("/usr/lib/postgresql", "", "bin"),          // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                   // packages of postgresql.org for Red Hat
    ("/usr/lib", "postgresql", "bin"),           // SUSE
    ("/usr/libexec", "postgresql", ""),          // Alpine
    ("/opt/homebrew/opt", "postgresql@", "bin"), // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql@", "bin"),    // Homebrew on Intel
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("/Library/PostgreSQL", "", "bin"),      // EDB's installer
    ("/opt/local/lib", "postgresql", "bin"), // MacPorts
    ("/usr/local", "pgsql", "bin"),          // built from source
];

/// The installations below one parent, newest first.
fn installed_below(parent: &Path, prefix: &str, tail: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?;
            let major = version.split('.').next()?;
            // Some platforms also have a name without a version; it goes last.
            let major = if version.is_empty() { 0 } else { major.parse().ok()? };
            Some((major, entry.path().join(tail)))
        })
        .collect();
    found.sort_by(|one, other| other.cmp(one));
    found.into_iter().map(|(_, directory)| directory).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A directory with programs that only know their version.
    fn pretend(directory: &Path, version: &str) {
        fs::create_dir_all(directory).unwrap();
        for program in ["postgres", "initdb"] {
            let script = format!("#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n");
            fs::write(directory.join(program), script).unwrap();
            let mode = fs::Permissions::from_mode(0o755);
            fs::set_permissions(directory.join(program), mode).unwrap();
        }
    }

    #[test]
    fn this_machine_has_a_server_that_is_recent_enough() {
        let found = find_binaries(None).unwrap();
        assert!(found.major() >= OLDEST_MAJOR);
        assert_eq!(find_binaries(Some(found.directory())).unwrap(), found);
    }

    #[test]
    fn the_version_is_read_from_every_vendors_line() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_of("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major_of("usage: postgres"), None);
    }

    #[test]
    fn installations_are_tried_newest_first_by_number_not_by_spelling() {
        let parent = tempfile::tempdir().unwrap();
        for name in
            ["postgresql9.6", "postgresql15", "postgresql18", "postgresql", "postgresql-common"]
        {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let found = installed_below(parent.path(), "postgresql", "bin");
        let names = ["postgresql18", "postgresql15", "postgresql9.6", "postgresql"];
        assert_eq!(found, names.map(|name| parent.path().join(name).join("bin")));
    }

    #[test]
    fn a_server_that_is_too_old_is_passed_over_and_named_when_there_is_no_other() {
        let parent = tempfile::tempdir().unwrap();
        let (old, new) = (parent.path().join("old"), parent.path().join("new"));
        pretend(&old, "13.4");
        let error = search([old.clone()].into_iter()).unwrap_err();
        assert!(matches!(&error, Error::NoServer { older: Some((_, 13)), .. }), "{error}");
        assert!(error.to_string().contains("install"), "{error}");
        pretend(&new, "16.1");
        assert_eq!(search([old.clone(), new].into_iter()).unwrap().major(), 16);
        assert!(matches!(find_binaries(Some(&old)), Err(Error::UnusableBinaries { .. })));
    }

    #[test]
    fn a_link_to_a_server_leads_to_the_directory_of_its_other_programs() {
        let parent = tempfile::tempdir().unwrap();
        let (real, links) = (parent.path().join("real"), parent.path().join("links"));
        pretend(&real, "17.0");
        fs::create_dir(&links).unwrap();
        std::os::unix::fs::symlink(real.join("postgres"), links.join("postgres")).unwrap();
        let found = find_binaries(Some(&links)).unwrap();
        assert_eq!(found.directory(), fs::canonicalize(&real).unwrap());
    }
}
