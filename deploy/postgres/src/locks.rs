//! The two file locks by which processes share a cluster. The kernel takes them back from a process
//! that is killed, and sees them across containers that mount the same directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use crate::error::Error;

/// Longer than a first start on a slow disk takes.
const PATIENCE: Duration = Duration::from_mins(3);

/// The start lock: while one process decides whether to start or stop the server, no other does.
#[derive(Debug)]
pub(crate) struct Gate(File);

impl Gate {
    /// Waits until nobody else is at it; [`Error::Busy`] when that takes too long.
    pub(crate) fn enter(path: &Path) -> Result<Self, Error> {
        Self::enter_within(path, PATIENCE)
    }

    fn enter_within(path: &Path, patience: Duration) -> Result<Self, Error> {
        let file = open(path)?;
        let began = Instant::now();
        // Not `lock`, which has no time limit: the holder may be suspended.
        while !try_exclusive(&file, path)? {
            if began.elapsed() > patience {
                return Err(Error::Busy { lock: path.to_owned(), waited: patience });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(Self(file))
    }

    /// The lock as the standard input of a child that must be over before anybody else may enter,
    /// even if this process is killed meanwhile. To the child it is an empty file.
    pub(crate) fn held_by_child(&self) -> std::io::Result<Stdio> {
        Ok(Stdio::from(self.0.try_clone()?))
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // Closing alone would not do while another thread is between fork and exec, as its child
        // holds the same open file.
        let _ = self.0.unlock();
    }
}

/// A share in the server. All of it happens inside the [`Gate`], which makes it atomic.
#[derive(Debug)]
pub(crate) struct Share(File);

impl Share {
    /// Takes a share, and tells whether it is the only one.
    pub(crate) fn take(path: &Path, _inside: &Gate) -> Result<(Self, bool), Error> {
        let share = Self(open(path)?);
        let sole = try_exclusive(&share.0, path)?;
        share.0.lock_shared().map_err(Error::io("locking", path))?;
        Ok((share, sole))
    }

    /// Whether nobody else holds a share now.
    pub(crate) fn is_sole(&self, path: &Path, _inside: &Gate) -> Result<bool, Error> {
        // It is not for the kernel to say what a second lock on a locked file means.
        self.0.unlock().map_err(Error::io("unlocking", path))?;
        let sole = try_exclusive(&self.0, path)?;
        if sole {
            self.0.unlock().map_err(Error::io("unlocking", path))?;
        }
        self.0.lock_shared().map_err(Error::io("locking", path))?;
        Ok(sole)
    }

    /// Gives the share up, and tells whether it was the last.
    pub(crate) fn give_up(self, path: &Path, _inside: &Gate) -> Result<bool, Error> {
        self.0.unlock().map_err(Error::io("unlocking", path))?;
        try_exclusive(&self.0, path)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // As for the gate.
        let _ = self.0.unlock();
    }
}

fn try_exclusive(file: &File, path: &Path) -> Result<bool, Error> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(Error::io("locking", path)(error)),
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600);
    options.open(path).map_err(Error::io("opening", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_share_is_the_sole_one_and_the_last_one_given_up_is_the_last() {
        let directory = tempfile::tempdir().unwrap();
        let users = directory.path().join("users.lock");
        let gate = Gate::enter(&directory.path().join("start.lock")).unwrap();
        let (first, first_sole) = Share::take(&users, &gate).unwrap();
        let (second, second_sole) = Share::take(&users, &gate).unwrap();
        assert!(first_sole && !second_sole);
        assert!(!second.is_sole(&users, &gate).unwrap());
        assert!(!first.give_up(&users, &gate).unwrap());
        assert!(second.is_sole(&users, &gate).unwrap());
        // Asking did not give it up.
        let (third, sole) = Share::take(&users, &gate).unwrap();
        assert!(!sole && !third.give_up(&users, &gate).unwrap());
        assert!(second.give_up(&users, &gate).unwrap());
        let (_again, sole) = Share::take(&users, &gate).unwrap();
        assert!(sole);
    }

    #[test]
    fn a_gate_that_stays_shut_is_an_error_and_not_a_hang() {
        let directory = tempfile::tempdir().unwrap();
        let lock = directory.path().join("start.lock");
        let gate = Gate::enter(&lock).unwrap();
        let refused = Gate::enter_within(&lock, Duration::from_millis(20));
        assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
        drop(gate);
        Gate::enter_within(&lock, Duration::ZERO).unwrap();
    }
}
