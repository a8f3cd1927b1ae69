//! A private Postgres cluster, supervised: what `paceline dev`, `paceline demo` and the tests run on.
//!
//! [`Cluster::start`] finds the Postgres programs of this machine, makes a cluster below a home
//! directory the first time, and starts its server or attaches to the one that is already up. Every
//! [`Cluster`] is a share in that server, and whoever gives up the last share stops it. Shares are
//! file locks, which the kernel takes back from a process however it ends; so after `kill -9` of a
//! user, of the server or of both, the next start attaches or recovers. Nobody has to tidy up. A holder
//! that outlives the server starts it again by [`Cluster::ensure_running`].
//!
//! The server listens on a Unix socket in a directory of mode 0700 and nowhere else. It never runs
//! as root: a start by root drops to an unprivileged account.
//!
//! The crate blocks, runs no queries and knows nothing of Paceline's schema. Whether to use a server
//! of its own at all (`DATABASE_URL`) is for the caller to decide.
//!
//! ```no_run
//! use paceline_postgres::{Cluster, Options, default_home};
//!
//! let cluster = Cluster::start(&Options::new(default_home()?))?;
//! let url = cluster.url("postgres");
//! // … connect to `url`, and close those connections before the end …
//! let stopped = cluster.release()?;
//! # Ok::<(), paceline_postgres::Error>(())
//! ```

mod account;
mod binaries;
mod cluster;
mod command;
mod directories;
mod error;
mod initdb;
mod install;
mod leftovers;
mod locks;
mod log;
mod options;
mod postmaster;
mod processes;
mod server;
mod site;
mod url;

pub use account::as_server_account;
pub use binaries::{Binaries, OLDEST_MAJOR, binaries_from_env, find_binaries};
pub use cluster::{Cluster, How};
pub use error::Error;
pub use options::{Durability, Options, default_home, test_home};
