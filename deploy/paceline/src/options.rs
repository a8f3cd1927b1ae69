//! Options that several commands share.

use crate::{exit::Ending, home::Home, port_file, shutdown::Shutdown};
use anyhow::{Context as _, ensure};
use clap::{Args, builder::FalseyValueParser};
use paceline_shared::db::Address;
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// Where Postgres is.
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_field_names, reason = "the options are called so")]
pub(crate) struct DatabaseOptions {
    /// Postgres, as `postgres://user:password@host:5432/database`
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    database_url: SecretString,
    /// `DATABASE_URL` leads through a pooler in transaction mode, as `PgBouncer`
    #[arg(long, env = "PACELINE_DATABASE_POOLER", value_parser = FalseyValueParser::new())]
    database_pooler: bool,
    /// Postgres past the pooler, for migrations and notifications; without it other processes are
    /// noticed by polling
    #[arg(
        long,
        value_name = "URL",
        env = "PACELINE_DATABASE_DIRECT_URL",
        hide_env_values = true,
        requires = "database_pooler"
    )]
    database_direct_url: Option<SecretString>,
}

impl DatabaseOptions {
    /// Where Postgres is.
    pub(crate) fn address(&self) -> anyhow::Result<Address> {
        ensure!(
            !self.database_url.expose_secret().is_empty(),
            anyhow::anyhow!("--database-url (DATABASE_URL) is empty").context(Ending::Usage)
        );
        let url = self.database_url.clone();
        Ok(if self.database_pooler {
            Address::pooled(url, self.database_direct_url.clone())
        } else {
            Address::direct(url)
        })
    }
}

/// Where the development state lives.
#[derive(Args, Clone, Debug)]
pub(crate) struct HomeOptions {
    /// Directory of the embedded Postgres and of the keys for development [default:
    /// /var/lib/paceline for root, else paceline in the XDG data directory]
    #[arg(long, value_name = "DIRECTORY", env = "PACELINE_HOME")]
    home: Option<PathBuf>,
}

impl HomeOptions {
    /// Whether a directory was named.
    pub(crate) const fn is_given(&self) -> bool {
        self.home.is_some()
    }

    /// The directory that was named, or the usual one.
    pub(crate) fn home(&self) -> anyhow::Result<Home> {
        Home::new(self.home.as_deref())
    }
}

/// What a process needs to be another's child.
#[derive(Args, Clone, Debug)]
pub(crate) struct ChildOptions {
    /// Write the address that is listened on to this file
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// End when standard input ends
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

impl ChildOptions {
    /// Begins to look out for the parent's end, where that is wanted.
    pub(crate) fn watch_parent(&self, shutdown: &Shutdown) {
        if self.exit_with_parent {
            shutdown.with_parent();
        }
    }

    /// Says where this process listens, to whoever wants to know.
    pub(crate) fn announce(&self, address: SocketAddr) -> anyhow::Result<()> {
        self.port_file.as_deref().map_or(Ok(()), |file: &Path| port_file::write(file, address))
    }
}

/// An error of the configuration: the process ends with the code for wrong usage.
pub(crate) fn misconfigured(error: impl Into<anyhow::Error>) -> anyhow::Error {
    error.into().context(Ending::Usage)
}

/// As [`misconfigured`], naming the option at fault. Never its value, which may be secret.
pub(crate) fn check<T, E>(option: &'static str, value: Result<T, E>) -> anyhow::Result<T>
where
    E: Into<anyhow::Error>,
{
    value
        .map_err(|error| misconfigured(error.into().context(option)))
        .context("checking the options")
}
