//! Makes a cluster, whole or not at all.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::Path,
};

use crate::{
    binaries::Binaries, command::command, directories::claim, error::Error, leftovers::end_orphans,
    locks::Gate, options::Durability, processes::Processes, site::Site, url::SUPERUSER,
};

/// Makes the cluster unless there is one; tells whether it did.
///
/// initdb works under another name and the result is renamed, so the data directory is complete
/// from the moment that it exists.
pub(crate) fn ensure(
    site: &Site,
    binaries: &Binaries,
    durability: Durability,
    gate: &Gate,
) -> Result<bool, Error> {
    if site.data.join("PG_VERSION").exists() {
        return Ok(false);
    }
    tracing::info!(data = %site.data.display(), "making a PostgreSQL {} cluster", binaries.major());
    warn_of_other_versions(site);
    let unfinished = site.unfinished_data();
    discard(&unfinished, site)?;
    claim(&unfinished, 0o700, &site.account)?;
    run(site, &unfinished, binaries, durability, gate)?;
    fs::rename(&unfinished, &site.data).map_err(Error::io("putting in place", &site.data))?;
    if durability == Durability::Full {
        let parent = &site.directory;
        File::open(parent)
            .and_then(|parent| parent.sync_all())
            .map_err(Error::io("syncing", parent))?;
    }
    Ok(true)
}

/// After an upgrade of Postgres, a person may wonder where the data went.
fn warn_of_other_versions(site: &Site) {
    let home = site.directory.parent().and_then(|home| fs::read_dir(home).ok());
    for cluster in home.into_iter().flatten().flatten().map(|entry| entry.path().join("data")) {
        if cluster.join("PG_VERSION").exists() {
            let other = cluster.display();
            tracing::warn!(%other, "the data of another version of PostgreSQL stays where it is");
        }
    }
}

/// Removes what an initdb that was killed has left. It is over, for it held the start lock; servers
/// that it had started may not be.
fn discard(unfinished: &Path, site: &Site) -> Result<(), Error> {
    let processes = Processes::of(unfinished.to_owned(), site.cluster_name(), site.account.uid);
    end_orphans(&processes)?;
    match fs::remove_dir_all(unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("removing", unfinished)(error))
        }
        _ => Ok(()),
    }
}

fn run(
    site: &Site,
    data: &Path,
    binaries: &Binaries,
    durability: Durability,
    gate: &Gate,
) -> Result<(), Error> {
    let program = binaries.program("initdb");
    let mut initdb = command(&program);
    initdb
        .args(["--encoding=UTF8", "--locale=C", "--auth=trust", "--no-instructions"])
        .arg(format!("--username={SUPERUSER}"))
        .arg("--pgdata")
        .arg(data)
        .current_dir(&site.directory)
        .stdin(gate.held_by_child().map_err(Error::io("sharing", &site.start_lock))?);
    if durability == Durability::TestOnly {
        initdb.arg("--no-sync");
    }
    let output = site.account.run(&mut initdb).output().map_err(Error::io("running", &program))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    discard(data, site)?;
    Err(Error::Initdb { data: site.data.clone(), output: text })
}
