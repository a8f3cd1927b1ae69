//! The directories of a cluster: making them, and checking who owns and who can enter them. Knows
//! accounts, and nothing of Postgres.

use std::{
    fs::{self, DirBuilder, Metadata, Permissions},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use crate::{account::Account, error::Error};

/// Makes `home` with its parents if it is absent, checks that the server can get there, and resolves
/// links. A home that exists keeps its owner and mode.
pub(crate) fn open_home(home: &Path, account: &Account) -> Result<PathBuf, Error> {
    // Before anything is made, so that a refusal leaves nothing behind.
    let existing = home.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    ensure_enterable(existing, account)?;
    if !home.exists() {
        fs::create_dir_all(home).map_err(Error::io("creating", home))?;
        set_mode(home, outer_mode(account))?;
    }
    // Afterwards too: a strict umask may just have closed the parents that were made.
    ensure_enterable(home, account)
}

/// The mode of the directories around the server's own: nobody else's business, unless the server
/// runs as another account and has to pass through them.
pub(crate) fn outer_mode(account: &Account) -> u32 {
    if account.is_foreign() { 0o755 } else { 0o700 }
}

/// Makes `path`, or takes over a directory that an earlier start made, so that it belongs to `owner`
/// and has `mode`. Its parent must exist.
///
/// [`Error::NotOurs`] when it is a link, a file or somebody else's directory, as it may well be in
/// `/tmp`.
pub(crate) fn claim(path: &Path, mode: u32, owner: &Account) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Error::io("creating", path)(error));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(path).map_err(Error::io("looking at", path))?;
    // Ours before it is the owner's: a start by root that was killed right here leaves it so.
    if !found.is_dir() || ![owner.uid, Account::current().uid].contains(&found.uid()) {
        return Err(Error::NotOurs { directory: path.to_owned(), account: owner.label() });
    }
    if found.mode() & 0o7777 != mode {
        set_mode(path, mode)?;
    }
    if found.uid() != owner.uid {
        chown(path, Some(owner.uid), Some(owner.gid)).map_err(Error::io("giving away", path))?;
    }
    Ok(())
}

/// `path` with links resolved, once every directory on the way is known to let `account` pass.
///
/// Checked only for an account that we drop to (`/root` is the classic trap); for our own, the
/// operating system's answer to each call is as clear.
pub(crate) fn ensure_enterable(path: &Path, account: &Account) -> Result<PathBuf, Error> {
    let path = path.canonicalize().map_err(Error::io("looking for", path))?;
    if account.is_foreign() {
        for directory in path.ancestors() {
            let found = fs::metadata(directory).map_err(Error::io("looking at", directory))?;
            if !may_enter(&found, account) {
                return Err(Error::Closed {
                    directory: directory.to_owned(),
                    account: account.label(),
                });
            }
        }
    }
    Ok(path)
}

/// The kernel's rule: the owner's bit counts for the owner alone, then the group's, then the others'.
fn may_enter(directory: &Metadata, account: &Account) -> bool {
    let bit = if directory.uid() == account.uid {
        0o100
    } else if directory.gid() == account.gid {
        0o010
    } else {
        0o001
    };
    directory.mode() & bit != 0
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::io("opening up", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_claimed_directory_is_tightened_to_its_mode() {
        let parent = tempfile::tempdir().unwrap();
        let run = parent.path().join("run");
        fs::create_dir(&run).unwrap();
        set_mode(&run, 0o777).unwrap();
        claim(&run, 0o700, &Account::current()).unwrap();
        assert_eq!(mode_of(&run), 0o700);
        claim(&run, 0o700, &Account::current()).unwrap();
    }

    #[test]
    fn a_link_is_not_taken_for_a_directory_of_ours() {
        let parent = tempfile::tempdir().unwrap();
        let (target, link) = (parent.path().join("target"), parent.path().join("link"));
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let refused = claim(&link, 0o700, &Account::current());
        assert!(matches!(refused, Err(Error::NotOurs { .. })), "{refused:?}");
    }

    #[test]
    fn only_the_bit_of_the_accounts_own_class_opens_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let me = Account::current();
        let enter = |mode| {
            set_mode(directory.path(), mode).unwrap();
            may_enter(&fs::metadata(directory.path()).unwrap(), &me)
        };
        assert!(enter(0o700));
        assert!(!enter(0o077));
        set_mode(directory.path(), 0o700).unwrap();
    }
}
