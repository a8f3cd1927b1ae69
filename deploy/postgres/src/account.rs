//! The account that the server runs as. Postgres refuses to run as root, so root drops to another.

use std::{fs, os::unix::process::CommandExt, path::Path, process::Command};

use rustix::process::{getegid, geteuid};

use crate::error::Error;

/// Accounts that root may run the server as, best first. `initdb` insists on an account with an
/// entry in passwd, so an arbitrary number would not do.
const UNPRIVILEGED: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// Whom the server's processes and files belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    name: Option<String>,
}

impl Account {
    /// The account that the server has to run as when this process starts it.
    pub(crate) fn for_server() -> Result<Self, Error> {
        let me = Self::current();
        if me.uid != 0 {
            return Ok(me);
        }
        let passwd = Path::new("/etc/passwd");
        let passwd = fs::read_to_string(passwd).map_err(Error::io("reading", passwd))?;
        UNPRIVILEGED
            .iter()
            .find_map(|name| Self::in_passwd(&passwd, name))
            .ok_or_else(|| Error::NoAccount { tried: UNPRIVILEGED.join(", ") })
    }

    /// The account of this process.
    pub(crate) fn current() -> Self {
        Self { uid: geteuid().as_raw(), gid: getegid().as_raw(), name: None }
    }

    /// Whether it is another account than that of this process, which is then root.
    pub(crate) fn is_foreign(&self) -> bool {
        self.uid != geteuid().as_raw()
    }

    /// How to name it to a person.
    pub(crate) fn label(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("with uid {}", self.uid))
    }

    /// Lets `command` run as this account.
    pub(crate) fn run<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if self.is_foreign() {
            // The standard library then gives up root's supplementary groups as well.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    fn in_passwd(passwd: &str, name: &str) -> Option<Self> {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()? == name;
            let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            (found && uid != 0).then(|| Self { uid, gid, name: Some(name.to_owned()) })
        })
    }
}

/// Lets `command` run as the account that a server started by this process belongs to: what is to reach
/// its socket has to, and what refuses to run as root does too.
pub fn as_server_account(command: &mut Command) -> Result<&mut Command, Error> {
    Ok(Account::for_server()?.run(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        # a comment\n\
        toor:x:0:0::/root:/bin/sh\n\
        postgres-exporter:x:102:105::/:/bin/false\n\
        postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let account = Account::in_passwd(PASSWD, "postgres").unwrap();
        assert_eq!((account.uid, account.gid), (101, 104));
        assert_eq!(account.label(), "postgres");
        assert_eq!(Account::in_passwd(PASSWD, "nobody"), None);
    }

    #[test]
    fn an_account_with_the_rights_of_root_is_no_account_to_drop_to() {
        assert_eq!(Account::in_passwd(PASSWD, "toor"), None);
    }

    #[test]
    fn the_server_never_runs_as_root() {
        assert_ne!(Account::for_server().unwrap().uid, 0);
    }
}
