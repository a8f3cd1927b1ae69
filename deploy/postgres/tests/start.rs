//! Starting, attaching and releasing without any crash, in this very process.

mod support;

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use paceline_postgres::{Cluster, Error, How, Options};
use rustix::process::{Pid, geteuid};
use support::{Home, binaries, expect_end, is_alive, pid, sql};

fn options(home: &Path) -> Options {
    Options {
        binaries: Some(binaries().directory().to_owned()),
        ..Options::for_tests(home.to_owned())
    }
}

fn server(cluster: &Cluster) -> Pid {
    pid(&cluster.pid().expect("a running server").to_string())
}

#[test]
fn a_server_is_shared_within_a_process_and_dropping_the_last_share_stops_it() {
    let home = Home::new();
    let first = Cluster::start(&options(home.path())).unwrap();
    assert_eq!(first.how(), How::Initialised);
    let second = Cluster::start(&options(home.path())).unwrap();
    assert_eq!((second.how(), second.pid()), (How::Attached, first.pid()));
    let server = server(&first);
    assert!(!first.release().unwrap());
    assert!(is_alive(server));
    drop(second);
    expect_end(server);

    let third = Cluster::start(&options(home.path())).unwrap();
    assert_eq!(third.how(), How::Started);
    assert!(third.release().unwrap());
}

#[test]
fn the_server_runs_with_the_settings_that_were_asked_for() {
    let home = Home::new();
    let mut options = options(home.path());
    options.settings.push(("work_mem".to_owned(), "7MB".to_owned()));
    let cluster = Cluster::start(&options).unwrap();
    let setting = |name: &str| sql(&cluster.url("postgres"), &format!("SHOW {name}"));
    for (name, value) in [
        ("wal_level", "logical"),
        ("max_connections", "300"),
        ("fsync", "off"),
        ("listen_addresses", ""),
        ("timezone", "UTC"),
        ("server_encoding", "UTF8"),
        ("work_mem", "7MB"),
    ] {
        assert_eq!(setting(name), value, "{name}");
    }
    assert!(cluster.release().unwrap());

    let cluster =
        Cluster::start(&Options { max_connections: 40, ..Options::new(options.home) }).unwrap();
    let setting = |name: &str| sql(&cluster.url("postgres"), &format!("SHOW {name}"));
    assert_eq!((setting("fsync"), setting("max_connections")), ("on".to_owned(), "40".to_owned()));
    assert!(cluster.release().unwrap());
}

#[test]
fn nothing_but_its_own_account_can_reach_the_server() {
    let home = Home::new();
    let cluster = Cluster::start(&options(home.path())).unwrap();
    for private in ["data", "run"] {
        let found = fs::metadata(home.cluster().join(private)).unwrap();
        assert_eq!(found.mode() & 0o777, 0o700, "{private}");
        assert_ne!(found.uid(), 0, "{private}");
    }
    assert!(cluster.release().unwrap());
}

#[test]
fn a_user_who_keeps_data_is_refused_a_server_without_fsync() {
    let home = Home::new();
    let tests = Cluster::start(&options(home.path())).unwrap();
    let refused = Cluster::start(&Options::new(home.path().to_owned()));
    assert!(matches!(refused, Err(Error::NotDurable { .. })), "{refused:?}");
    assert!(tests.release().unwrap());
}

#[test]
fn a_home_with_a_long_path_gets_its_socket_in_a_short_one() {
    let home = Home::new();
    let long = home.path().join("home of a person, with a long + odd name ".repeat(4).trim());
    let cluster = Cluster::start(&options(&long)).unwrap();
    let url = cluster.url("postgres");
    let (_, socket_directory) = url.split_once("?host=").unwrap();
    assert!(socket_directory.starts_with("/tmp/paceline-"), "{url}");
    assert_eq!(sql(&url, "SELECT 1"), "1");
    assert!(cluster.release().unwrap());
    assert!(!Path::new(socket_directory).exists());
}

#[test]
fn a_home_with_an_odd_name_has_a_url_that_clients_understand() {
    let home = Home::new();
    for name in ["a \"b\" + é%20\\", "a, b"] {
        let cluster = Cluster::start(&options(&home.path().join(name))).unwrap();
        assert_eq!(sql(&cluster.url("postgres"), "SELECT 1"), "1", "{name}");
        assert!(cluster.release().unwrap());
    }
}

#[test]
fn a_home_that_the_servers_account_cannot_reach_is_refused_with_the_directory_that_is_closed() {
    let home = Home::new();
    let closed = home.path().join("closed");
    fs::create_dir(&closed).unwrap();
    // Root may go anywhere but its server may not; a plain user shuts himself out.
    let mode = if geteuid().is_root() { 0o700 } else { 0o000 };
    fs::set_permissions(&closed, fs::Permissions::from_mode(mode)).unwrap();
    let wanted = closed.join("home");
    let refused = Cluster::start(&options(&wanted));
    match refused.unwrap_err() {
        Error::Closed { directory, account } => {
            assert!(geteuid().is_root() && directory == closed && account != "root");
        }
        Error::Io { path, source, .. } => {
            assert!(!geteuid().is_root() && path == wanted);
            assert_eq!(source.kind(), ErrorKind::PermissionDenied);
        }
        other => panic!("{other}"),
    }
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!wanted.exists());
}

#[test]
fn a_server_that_cannot_start_is_an_error_that_quotes_its_log() {
    let home = Home::new();
    Cluster::start(&options(home.path())).unwrap().release().unwrap();
    let mut options = options(home.path());
    options.settings.push(("shared_buffers".to_owned(), "a lot".to_owned()));
    let refused = Cluster::start(&options);
    assert!(matches!(refused, Err(Error::Ended { .. })), "{refused:?}");
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("shared_buffers"), "{text}");
    assert!(!home.pid_file().exists());
}
