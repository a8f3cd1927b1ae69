//! How a process that listens on a free port tells its parent which one it got: a file that appears
//! whole, with the address in it.

use anyhow::Context as _;
use std::{
    fs,
    io::{ErrorKind, Write as _},
    net::SocketAddr,
    path::Path,
};
use tempfile::NamedTempFile;

/// Writes the address.
pub(crate) fn write(file: &Path, address: SocketAddr) -> anyhow::Result<()> {
    let write = || {
        let directory = file.parent().filter(|path| !path.as_os_str().is_empty());
        let mut whole = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        writeln!(whole, "{address}")?;
        whole.persist(file).map_err(|error| error.error)?;
        Ok::<_, std::io::Error>(())
    };
    write().with_context(|| format!("writing {}", file.display()))
}

/// The address; `None` while there is none.
pub(crate) fn read(file: &Path) -> anyhow::Result<Option<SocketAddr>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("reading {}", file.display()))?,
    };
    text.trim().parse().map(Some).with_context(|| format!("{} holds no address", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("api.port");
        assert_eq!(read(&file).unwrap(), None);
        for port in [1, 65_535] {
            let address = SocketAddr::from(([127, 0, 0, 1], port));
            write(&file, address).unwrap();
            assert_eq!(read(&file).unwrap(), Some(address));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
