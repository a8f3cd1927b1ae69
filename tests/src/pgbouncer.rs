//! `PgBouncer` in transaction mode, in front of one test's database. It knows nothing of Paceline.

use crate::wait::until;
use reqwest::Url;
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// Where Debian puts it, which is not on everybody's path.
const PROGRAMS: [&str; 3] = ["pgbouncer", "/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer"];
const START: Duration = Duration::from_secs(10);
/// Fewer than the clients have, so that they share.
const SERVER_CONNECTIONS: u32 = 4;

/// A running pooler; it ends with this value.
#[derive(Debug)]
pub struct PgBouncer {
    child: Child,
    url: String,
    _directory: TempDir,
}

impl PgBouncer {
    /// Starts one in front of the database at `url`; `None` where this machine has none.
    pub async fn start(url: &str) -> Option<Self> {
        let program = PROGRAMS.into_iter().find(|program| {
            let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        })?;
        let database: Url = url.parse().expect("a database URL");
        let directory = tempfile::Builder::new().prefix("paceline-pgbouncer-").tempdir();
        let directory = directory.expect("a directory");
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(directory.path(), readable).expect("letting another account read it");
        let port = free_port();
        let file = directory.path().join("pgbouncer.ini");
        fs::write(&file, settings(&database, port)).expect("a configuration");
        let log = directory.path().join("log");
        let log = fs::File::create(log).expect("a log");
        let mut command = Command::new(program);
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // It refuses to run as root, and the socket of the server belongs to the server's account.
        let command = paceline_postgres::as_server_account(&mut command).expect("an account");
        let child = command.spawn().expect("starting pgbouncer");
        let name = database.path().trim_start_matches('/');
        let url = format!("postgres://{}@127.0.0.1:{port}/{name}", database.username());
        let pooler = Self { child, url, _directory: directory };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        until("pgbouncer listens", START, async || TcpStream::connect(address).is_ok()).await;
        Some(pooler)
    }

    /// The database's address through the pooler.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // Errors: it has ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}

fn settings(database: &Url, port: u16) -> String {
    let socket = database.query_pairs().find(|(name, _)| name == "host");
    let host: PathBuf = socket.map_or_else(
        || database.host_str().unwrap_or("127.0.0.1").into(),
        |(_, directory)| directory.as_ref().into(),
    );
    let port_of_server = database.port().map_or_else(String::new, |port| format!(" port={port}"));
    let password = database.password().map_or_else(String::new, |word| format!(" password={word}"));
    let server =
        format!("host={}{port_of_server} user={}{password}", host.display(), database.username());
    format!(
        "[databases]\n* = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
         auth_type = any\npool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 200\n\
         server_round_robin = 1\n"
    )
}
