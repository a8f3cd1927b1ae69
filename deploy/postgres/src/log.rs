//! The server's log: opening it for a start, and its end for an error message.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use crate::error::Error;

/// A log larger than this is set aside by the next start, in place of the one set aside before.
const ROTATE_BYTES: u64 = 16 << 20;

/// What an error message quotes at most.
const TAIL_BYTES: u64 = 8 << 10;
const TAIL_LINES: usize = 12;

/// The log from one start on.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    from: u64,
}

impl Log {
    /// The log for a start that is about to happen.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let size = fs::metadata(path).map_or(0, |found| found.len());
        if size <= ROTATE_BYTES {
            return Ok(Self { path: path.to_owned(), from: size });
        }
        fs::rename(path, path.with_extension("log.old"))
            .map_err(Error::io("setting aside", path))?;
        Ok(Self { path: path.to_owned(), from: 0 })
    }

    /// The log of a server that runs already.
    pub(crate) fn whole(path: &Path) -> Self {
        Self { path: path.to_owned(), from: 0 }
    }

    /// Standard output and standard error of a server that writes here.
    pub(crate) fn outputs(&self) -> Result<(Stdio, Stdio), Error> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o640).open(&self.path);
        file.and_then(|out| Ok((out.try_clone()?.into(), out.into())))
            .map_err(Error::io("opening", &self.path))
    }

    /// The last lines, as far as they can be read.
    pub(crate) fn tail(&self) -> String {
        let text =
            self.read().unwrap_or_else(|error| format!("(unreadable: {error})").into_bytes());
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let end = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(self.from.max(end.saturating_sub(TAIL_BYTES))))?;
        let mut text = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_holds_the_last_lines_of_this_start_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        fs::write(&path, "of an earlier start\n").unwrap();
        let log = Log::open(&path).unwrap();
        assert_eq!(log.tail(), "");
        let lines: Vec<String> = (1..=20).map(|line| format!("line {line}")).collect();
        fs::write(&path, format!("of an earlier start\n{}\n", lines.join("\n"))).unwrap();
        assert_eq!(log.tail(), lines[8..].join("\n"));
    }

    #[test]
    fn a_log_that_has_grown_large_is_set_aside() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.log");
        File::create(&path).unwrap().set_len(ROTATE_BYTES + 1).unwrap();
        let log = Log::open(&path).unwrap();
        assert!(!path.exists() && directory.path().join("server.log.old").exists());
        log.outputs().unwrap();
        assert!(path.exists());
    }
}
