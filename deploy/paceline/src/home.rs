//! The directory where a person's development state lives: the embedded cluster and two key files.
//!
//! The keys protect simulated accounts on one machine. In production keys come from the environment.

use anyhow::{Context as _, anyhow, bail};
use paceline_api::auth::local;
use paceline_shared::sealing::Keyring;
use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{ErrorKind, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{self, Path, PathBuf},
};
use tempfile::NamedTempFile;

const ISSUER_SECRET: &str = "issuer.key";
const SEALING_KEYS: &str = "sealing.keys";
const DEV_LOCK: &str = "dev.lock";

/// The state directory of this user.
#[derive(Clone, Debug)]
pub(crate) struct Home(PathBuf);

/// The right to keep a world in the home, as long as it is held. The kernel takes it back from a process
/// however that ends.
#[derive(Debug)]
pub(crate) struct DevLock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Home {
    /// `given`, or the usual place. Makes nothing yet.
    pub(crate) fn new(given: Option<&Path>) -> anyhow::Result<Self> {
        let home = match given {
            Some(given) => {
                path::absolute(given).context("the home directory has no absolute path")?
            }
            None => paceline_postgres::default_home()?,
        };
        Ok(Self(home))
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What signs the tokens of the local issuer; made at first sight.
    pub(crate) fn issuer_secret(&self) -> anyhow::Result<local::Secret> {
        let text =
            self.read_or_make(ISSUER_SECRET, || Ok(local::Secret::generate()?.to_base64()))?;
        text.parse().with_context(|| self.broken(ISSUER_SECRET))
    }

    /// What seals the tokens of simulated accounts, as `PACELINE_SEALING_KEYS` has it; made at first sight.
    pub(crate) fn sealing_keys(&self) -> anyhow::Result<String> {
        let text = self.read_or_make(SEALING_KEYS, || Ok(Keyring::generate("local")?))?;
        text.parse::<Keyring>().with_context(|| self.broken(SEALING_KEYS))?;
        Ok(text)
    }

    /// Keeps other `paceline dev`s away; fails while there is one.
    pub(crate) fn lock_for_dev(&self) -> anyhow::Result<DevLock> {
        let path = self.0.join(DEV_LOCK);
        let locking = || format!("locking {}", path.display());
        self.ensure_exists().with_context(locking)?;
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let file = options.open(&path).with_context(locking)?;
        match file.try_lock() {
            Ok(()) => Ok(DevLock(file)),
            Err(TryLockError::WouldBlock) => bail!(
                "another `paceline dev` keeps its world in {}; end it, or choose another place with --home",
                self.0.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(locking),
        }
    }

    fn broken(&self, name: &str) -> String {
        format!(
            "{} holds no key any more; remove it to have a new one made",
            self.0.join(name).display()
        )
    }

    /// The file's text without white space around it. Of several processes that find it missing, one
    /// makes it and all read the same.
    fn read_or_make(
        &self,
        name: &str,
        make: impl FnOnce() -> anyhow::Result<String>,
    ) -> anyhow::Result<String> {
        let file = self.0.join(name);
        let read = || fs::read_to_string(&file);
        let text = match read() {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make(&file, &make()?).with_context(|| format!("making {}", file.display()))?;
                read()
            }
            other => other,
        };
        Ok(text.with_context(|| format!("reading {}", file.display()))?.trim().to_owned())
    }

    fn ensure_exists(&self) -> std::io::Result<()> {
        if !self.0.exists() {
            fs::create_dir_all(&self.0)?;
            // The cluster's account, which is another one for root, has to pass through.
            fs::set_permissions(&self.0, Permissions::from_mode(0o711))?;
        }
        Ok(())
    }

    fn make(&self, file: &Path, text: &str) -> anyhow::Result<()> {
        self.ensure_exists()?;
        // Mode 0600 from its first moment, and complete when it gets its name.
        let mut made = NamedTempFile::new_in(&self.0)?;
        writeln!(made, "{text}")?;
        match made.persist_noclobber(file) {
            Err(error) if error.error.kind() != ErrorKind::AlreadyExists => {
                Err(anyhow!(error.error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once_and_only_their_owner_may_read_them() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(Some(&directory.path().join("not/there/yet"))).unwrap();
        let keys = home.sealing_keys().unwrap();
        assert_eq!(home.sealing_keys().unwrap(), keys);
        assert_eq!(
            home.issuer_secret().unwrap().to_base64(),
            home.issuer_secret().unwrap().to_base64()
        );
        for name in [SEALING_KEYS, ISSUER_SECRET] {
            let mode = fs::metadata(home.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_home_keeps_one_world_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(Some(&directory.path().join("not/there/yet"))).unwrap();
        let held = home.lock_for_dev().unwrap();
        let refusal = home.lock_for_dev().unwrap_err().to_string();
        assert!(refusal.contains(home.path().to_str().unwrap()), "{refusal}");
        drop(held);
        home.lock_for_dev().unwrap();
    }

    #[test]
    fn a_broken_key_is_named_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::new(Some(directory.path())).unwrap();
        fs::write(directory.path().join(ISSUER_SECRET), "rubbish").unwrap();
        let error = format!("{:#}", home.issuer_secret().unwrap_err());
        assert!(error.contains("issuer.key holds no key any more"), "{error}");
        assert_eq!(fs::read_to_string(directory.path().join(ISSUER_SECRET)).unwrap(), "rubbish");
    }
}
