//! Which living processes belong to a cluster. A number in a file proves nothing: process ids are
//! used again, and killed processes stay as zombies where nobody reaps them.

use std::{
    fs::{self, Metadata},
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Pid;

/// The processes of the server on one data directory.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    data: PathBuf,
    cluster_name: String,
    uid: u32,
}

impl Processes {
    /// Those of the account `uid` that work in `data` or wear `cluster_name` in their title.
    pub(crate) fn of(data: PathBuf, cluster_name: String, uid: u32) -> Self {
        Self { data, cluster_name, uid }
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Whether `pid` is alive (a zombie is not) and one of them.
    pub(crate) fn contain(&self, pid: Pid) -> bool {
        if cfg!(target_os = "linux") { self.works_here(pid) } else { self.all().contains(&pid) }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Pid> {
        if !cfg!(target_os = "linux") {
            return self.listed_by_ps();
        }
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| pid_from(entry.file_name().to_str()?))
            .filter(|&pid| self.works_here(pid))
            .collect()
    }

    /// Every process of a server works in its data directory; and so may an operator's shell, hence
    /// the look at the name.
    fn works_here(&self, pid: Pid) -> bool {
        let process = Path::new("/proc").join(pid.to_string());
        if !fs::metadata(&process).is_ok_and(|found| found.uid() == self.uid) {
            return false;
        }
        match fs::metadata(process.join("cwd")) {
            Ok(directory) => {
                fs::metadata(&self.data).is_ok_and(|data| same_file(&data, &directory))
                    && fs::read_to_string(process.join("comm"))
                        .is_ok_and(|name| name.contains("postgres"))
            }
            // Root in a container may not look into another account's processes (that takes
            // CAP_SYS_PTRACE); command lines are open to all.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                fs::read(process.join("cmdline"))
                    .is_ok_and(|line| self.is_command_line(&String::from_utf8_lossy(&line)))
            }
            Err(_) => false,
        }
    }

    /// Where there is no `/proc`.
    fn listed_by_ps(&self) -> Vec<Pid> {
        let listing = Command::new("ps").args(["-axww", "-o", "pid=,uid=,command="]).output();
        let Ok(listing) = listing else { return Vec::new() };
        self.in_listing(&String::from_utf8_lossy(&listing.stdout))
    }

    fn in_listing(&self, listing: &str) -> Vec<Pid> {
        listing
            .lines()
            .filter_map(|line| {
                let (pid, rest) = line.trim_start().split_once(' ')?;
                let (uid, command) = rest.trim_start().split_once(' ')?;
                let ours =
                    uid.parse() == Ok(self.uid) && self.is_command_line(command.trim_start());
                ours.then(|| pid_from(pid)).flatten()
            })
            .collect()
    }

    /// The postmaster keeps the arguments that we gave it; its children replace theirs by a title.
    fn is_command_line(&self, line: &str) -> bool {
        let line = line.replace('\0', " ") + " ";
        let program = line.split(" -D ").next().unwrap_or_default();
        line.starts_with(&format!("postgres: {}: ", self.cluster_name))
            || (program.ends_with("postgres")
                && line.contains(&format!(" -D {} ", self.data.display())))
    }
}

/// Compared as files, not as paths: the data directory may be mounted in two places.
fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// A process id from its digits.
pub(crate) fn pid_from(digits: &str) -> Option<Pid> {
    digits.parse().ok().filter(|&pid: &i32| pid > 0).and_then(Pid::from_raw)
}

/// A process id as the standard library has it.
pub(crate) fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes() -> Processes {
        Processes::of(PathBuf::from("/srv/my home/pg15/data"), "paceline-0a".to_owned(), 101)
    }

    #[test]
    fn postmaster_and_children_are_known_by_their_command_lines() {
        let ours = [
            "/usr/lib/postgresql/15/bin/postgres\0-D\0/srv/my home/pg15/data\0-c\0port=5432\0",
            "/opt/bin/postgres -D /srv/my home/pg15/data",
            "postgres: paceline-0a: checkpointer ",
            "postgres: paceline-0a: paceline app [local] SELECT",
        ];
        for line in ours {
            assert!(processes().is_command_line(line), "{line}");
        }
    }

    #[test]
    fn other_clusters_and_other_programs_are_not_ours() {
        let others = [
            "/opt/bin/postgres -D /srv/my home/pg15/data2 -c port=5432",
            "postgres: paceline-0b: checkpointer",
            "postgres: 15/main: checkpointer",
            "tail -f /srv/my home/pg15/data/server.log",
            "pg_ctl -D /srv/my home/pg15/data status",
            "",
        ];
        for line in others {
            assert!(!processes().is_command_line(line), "{line}");
        }
    }

    #[test]
    fn a_listing_is_searched_for_processes_of_the_servers_account() {
        let listing = "    1     0 /sbin/launchd\n\
            4711   101 /opt/bin/postgres -D /srv/my home/pg15/data -c port=5432\n\
            4712   101 postgres: paceline-0a: walwriter  \n\
            4713   502 postgres: paceline-0a: walwriter  \n";
        let found: Vec<u32> = processes().in_listing(listing).into_iter().map(number).collect();
        assert_eq!(found, [4711, 4712]);
    }

    #[test]
    fn a_program_that_merely_works_in_the_directory_is_not_part_of_the_server() {
        let here = std::env::current_dir().unwrap();
        let me = rustix::process::getpid();
        let uid = rustix::process::geteuid().as_raw();
        assert!(!Processes::of(here, "paceline-0a".to_owned(), uid).contain(me));
    }
}
