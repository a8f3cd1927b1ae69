//! A share in a private cluster: taking it, which starts the server or attaches to it, and giving it
//! up, which stops the server when it was the last.

use std::{fs, path::Path};

use rustix::process::Pid;

use crate::{
    account::Account,
    binaries::{Binaries, find_binaries},
    directories::ensure_enterable,
    error::Error,
    initdb, leftovers,
    locks::{Gate, Share},
    options::{Durability, Options},
    postmaster::{self, Postmaster},
    processes::number,
    server,
    site::Site,
    url::database_url,
};

/// What it took to have the server up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// There was no cluster: it was made and its server started.
    Initialised,
    /// The server was down.
    Started,
    /// The last server was killed: what it left was cleared away and a new one started.
    Recovered,
    /// The server was up.
    Attached,
}

/// A share in a running server.
///
/// Close every connection before the share is given up. Dropping a `Cluster` gives it up as well,
/// but can only log what goes wrong; prefer [`Cluster::release`].
#[derive(Debug)]
pub struct Cluster {
    site: Site,
    binaries: Binaries,
    options: Options,
    how: How,
    /// The server as this process last saw it alive.
    seen: Option<Pid>,
    share: Option<Share>,
}

impl Cluster {
    /// Takes a share in the cluster of `options.home`, having its server started if it is down.
    ///
    /// Blocks for as long as that takes: tens of milliseconds, about a second the first time, and
    /// while another process is just starting or stopping the same cluster. An error leaves nothing
    /// running that was not running before.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let binaries = find_binaries(options.binaries.as_deref())?;
        let account = Account::for_server()?;
        ensure_enterable(binaries.directory(), &account)?;
        let site = Site::open(&options.home, binaries.major(), account)?;
        let gate = Gate::enter(&site.start_lock)?;
        let (share, sole) = Share::take(&site.users_lock, &gate)?;
        let (how, seen) = bring_up(&site, &binaries, options, &gate, sole)?;
        tracing::info!(data = %site.data.display(), "PostgreSQL {}: {how:?}", binaries.major());
        let (options, seen) = (options.clone(), Some(seen));
        Ok(Self { site, binaries, options, how, seen, share: Some(share) })
    }

    /// Has the server up again if it has died: for a holder that outlives it, to be called now and
    /// then. [`How::Attached`]: it was up, or another holder was quicker. The address stays the same.
    ///
    /// Costs a look at a file while the server is up, and blocks as [`Cluster::start`] does when it is
    /// not. [`Error::Lost`] when the server that died is one that this process never saw and others
    /// hold a share: it may be alive where only they can see it.
    pub fn ensure_running(&mut self) -> Result<How, Error> {
        if let Some(pid) = Postmaster::of(&self.site)?.pid() {
            self.seen = Some(pid);
            return Ok(How::Attached);
        }
        let gate = Gate::enter(&self.site.start_lock)?;
        let died_here = self.seen.is_some() && postmaster::recorded(&self.site)? == self.seen;
        let may_clear = died_here
            || match &self.share {
                Some(share) => share.is_sole(&self.site.users_lock, &gate)?,
                None => false,
            };
        let (how, seen) = bring_up(&self.site, &self.binaries, &self.options, &gate, may_clear)?;
        self.seen = Some(seen);
        Ok(how)
    }

    /// The address of a database of this cluster, existing or not: with the role that owns the
    /// cluster, no password, over the Unix socket.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        database_url(database, &self.site.socket_directory)
    }

    /// What it took to have the server up when this share was taken.
    #[must_use]
    pub fn how(&self) -> How {
        self.how
    }

    /// The process id of the server; `None` once it has died.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        Postmaster::of(&self.site).ok().and_then(Postmaster::pid).map(number)
    }

    /// The Postgres programs in use.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The file that the server logs to.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.site.log
    }

    /// Gives up the share. `true` when it was the last, so that no server is left; `false` when
    /// others go on using it. On an error the share is given up all the same, and the next start
    /// puts right what this one could not.
    pub fn release(mut self) -> Result<bool, Error> {
        self.leave()
    }

    fn leave(&mut self) -> Result<bool, Error> {
        let Some(share) = self.share.take() else { return Ok(false) };
        let gate = Gate::enter(&self.site.start_lock)?;
        let last = share.give_up(&self.site.users_lock, &gate)?;
        if last {
            shut_down(&self.site)?;
        }
        Ok(last)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.leave() {
            tracing::warn!(%error, data = %self.site.data.display(), "could not stop PostgreSQL");
        }
    }
}

/// Has the server up, whatever state it was left in; `may_clear`: whether a server that seems to have
/// died has surely died.
fn bring_up(
    site: &Site,
    binaries: &Binaries,
    options: &Options,
    gate: &Gate,
    may_clear: bool,
) -> Result<(How, Pid), Error> {
    match server::settle(site)? {
        Postmaster::Ready(pid) => {
            ensure_durable(site, options.durability)?;
            return Ok((How::Attached, pid));
        }
        // Its processes may be alive in a container that we cannot see into, under one of those
        // other users; a second server would destroy the data.
        Postmaster::Lost if !may_clear => return Err(Error::Lost { data: site.data.clone() }),
        Postmaster::Lost | Postmaster::Absent | Postmaster::Changing(_) => {}
    }
    let recovered = may_clear && leftovers::clear(site)?;
    let initialised = initdb::ensure(site, binaries, options.durability, gate)?;
    site.claim_socket_directory()?;
    let pid = server::start(site, binaries, options)?;
    let how = match (initialised, recovered) {
        (true, _) => How::Initialised,
        (false, true) => How::Recovered,
        (false, false) => How::Started,
    };
    Ok((how, pid))
}

/// Postgres writes down the arguments of each start.
fn ensure_durable(site: &Site, wanted: Durability) -> Result<(), Error> {
    let path = site.data.join("postmaster.opts");
    let arguments = fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
    if wanted == Durability::Full && arguments.contains("fsync=off") {
        return Err(Error::NotDurable { data: site.data.clone() });
    }
    Ok(())
}

/// Leaves no process of the cluster, and nothing outside its directory.
fn shut_down(site: &Site) -> Result<(), Error> {
    let processes = site.processes();
    match Postmaster::of(site)?.pid() {
        Some(pid) => postmaster::stop(pid, &processes)?,
        // It was killed; its backends may not know yet.
        None => _ = leftovers::end_orphans(&processes)?,
    }
    if site.has_distant_socket() {
        // Best effort: it is empty after a clean stop, and a later start takes it over otherwise.
        let _ = fs::remove_dir(&site.socket_directory);
    }
    Ok(())
}
