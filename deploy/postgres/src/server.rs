//! Runs the server: its settings, its process, and waiting until it takes connections.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::Pid;

use crate::{
    binaries::Binaries,
    command::command,
    error::Error,
    log::Log,
    options::{Durability, Options},
    postmaster::{POLL, Postmaster, stop_immediately},
    site::Site,
};

/// Longer than recovery after a crash takes, which the size of the write-ahead log bounds.
const START_PATIENCE: Duration = Duration::from_mins(2);

/// Starts the server and waits until it is ready. When it does not get there, none is left running.
pub(crate) fn start(site: &Site, binaries: &Binaries, options: &Options) -> Result<Pid, Error> {
    let log = Log::open(&site.log)?;
    let child = spawn(site, binaries, options, &log)?;
    let pid = Pid::from_child(&child);
    let ready = reap(child)
        .map_err(Error::io("watching over", &binaries.program("postgres")))
        .and_then(|ended| wait_until_ready(site, pid, ended, &log));
    if ready.is_err() {
        stop_immediately(pid, &site.processes());
    }
    ready.map(|()| pid)
}

/// Waits for a server that somebody else started to finish starting or stopping, and returns what
/// came of it.
pub(crate) fn settle(site: &Site) -> Result<Postmaster, Error> {
    let began = Instant::now();
    loop {
        match Postmaster::of(site)? {
            Postmaster::Changing(_) if began.elapsed() > START_PATIENCE => {
                let tail = Log::whole(&site.log).tail();
                return Err(Error::NotReady {
                    waited: START_PATIENCE,
                    log: site.log.clone(),
                    tail,
                });
            }
            Postmaster::Changing(_) => thread::sleep(POLL),
            settled => return Ok(settled),
        }
    }
}

fn spawn(site: &Site, binaries: &Binaries, options: &Options, log: &Log) -> Result<Child, Error> {
    let program = binaries.program("postgres");
    let (out, err) = log.outputs()?;
    let mut postgres = command(&program);
    postgres.arg("-D").arg(&site.data);
    for (name, value) in settings(site, options) {
        let mut setting = OsString::from(name + "=");
        setting.push(value);
        postgres.arg("-c").arg(setting);
    }
    // A process group of its own: Ctrl-C is for Paceline, which then closes its connections and
    // stops the server, in this order.
    postgres.current_dir(&site.directory).process_group(0);
    postgres.stdin(Stdio::null()).stdout(out).stderr(err);
    site.account.run(&mut postgres).spawn().map_err(Error::io("running", &program))
}

/// Waits for the process in the background. Otherwise it would stay as a zombie when it is killed
/// while this process lives, and Postgres takes a zombie for a server.
fn reap(mut child: Child) -> io::Result<JoinHandle<io::Result<ExitStatus>>> {
    thread::Builder::new().name("postgres-reaper".to_owned()).spawn(move || child.wait())
}

fn wait_until_ready(
    site: &Site,
    pid: Pid,
    ended: JoinHandle<io::Result<ExitStatus>>,
    log: &Log,
) -> Result<(), Error> {
    let began = Instant::now();
    while Postmaster::of(site)? != Postmaster::Ready(pid) {
        if ended.is_finished() {
            let status =
                ended.join().unwrap_or_else(|_| Err(io::Error::other("the reaper failed")));
            let status = status.map_err(Error::io("waiting for the server of", &site.data))?;
            return Err(Error::Ended { status, log: site.log.clone(), tail: log.tail() });
        }
        if began.elapsed() > START_PATIENCE {
            let tail = log.tail();
            return Err(Error::NotReady { waited: START_PATIENCE, log: site.log.clone(), tail });
        }
        thread::sleep(POLL);
    }
    Ok(())
}

/// The later of two settings of one name wins.
fn settings(site: &Site, options: &Options) -> Vec<(String, OsString)> {
    let max_connections = options.max_connections.to_string();
    let cluster_name = site.cluster_name();
    let mut settings: Vec<(&str, OsString)> = vec![
        ("listen_addresses", "".into()),
        ("unix_socket_directories", quoted(&site.socket_directory)),
        ("unix_socket_permissions", "0700".into()),
        ("port", "5432".into()),
        ("cluster_name", cluster_name.into()),
        ("max_connections", max_connections.into()),
        ("wal_level", "logical".into()),
        ("timezone", "UTC".into()),
        ("log_timezone", "UTC".into()),
        ("log_destination", "stderr".into()),
        ("logging_collector", "off".into()),
        ("log_line_prefix", "%m [%p] ".into()),
    ];
    let durability: &[(&str, &str)] = match options.durability {
        Durability::Full => &[("fsync", "on"), ("full_page_writes", "on")],
        Durability::TestOnly => &[
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
            ("autovacuum", "off"),
            ("wal_init_zero", "off"),
            ("wal_recycle", "off"),
        ],
    };
    settings.extend(durability.iter().map(|&(name, value)| (name, value.into())));
    let own = settings.into_iter().map(|(name, value)| (name.to_owned(), value));
    own.chain(options.settings.iter().map(|(name, value)| (name.clone(), value.into()))).collect()
}

/// A path as an element of a list in a setting. It is UTF-8, for it fits into a URL.
fn quoted(path: &Path) -> OsString {
    format!("\"{}\"", path.to_string_lossy().replace('"', "\"\"")).into()
}
