//! The environment that every Postgres program is run in.

use std::{env, path::Path, process::Command};

/// A command that nothing in the caller's environment can bend: no `PG*` variable (a stray `PGPORT`
/// or `PGDATA` would redirect the programs), English messages, UTC.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        // NOTIFY_SOCKET: under systemd, Postgres would report its own readiness as ours.
        if name.as_encoded_bytes().starts_with(b"PG") || name == "NOTIFY_SOCKET" {
            command.env_remove(name);
        }
    }
    command.env("LC_ALL", "C").env("TZ", "UTC");
    command
}
