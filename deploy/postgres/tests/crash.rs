//! Processes of a cluster are killed with `kill -9`; the next start must find or restore everything
//! that was committed. The victims are real `hold-cluster` processes.

mod holder;
mod support;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::{fs::MetadataExt, net::UnixListener, process::CommandExt},
    process::Command,
};

use holder::{Bystander, Holder, Launch, hold_cluster, kill, starter_with_a_stuck_initdb};
use paceline_postgres::{Cluster, How, Options};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use support::{Home, binaries, expect_end, is_alive, pid, sql};

#[test]
fn the_server_outlives_a_killed_user_and_the_next_one_attaches() {
    let home = Home::new();
    let first = home.hold();
    assert_eq!(first.how, "Initialised");
    first.commit_row();
    let server = first.server;
    first.kill();

    let second = home.hold();
    assert_eq!((second.how.as_str(), second.server), ("Attached", server));
    assert!(second.row_is_there());
    assert!(second.release());
    expect_end(server);
    assert!(!home.pid_file().exists());
}

#[test]
fn a_start_recovers_when_user_and_server_were_killed() {
    let home = Home::new();
    let first = home.hold();
    first.commit_row();
    let server = first.server;
    // In this order nobody who started the server is left to reap it: where process 1 does not
    // either, it stays as a zombie.
    first.kill();
    kill(server);
    assert!(home.pid_file().exists());

    let second = home.hold();
    assert_eq!(second.how, "Recovered");
    assert_ne!(second.server, server);
    assert!(second.row_is_there());
    assert!(second.release());
}

#[test]
fn a_server_that_is_killed_under_a_living_user_can_be_started_again_after_its_release() {
    let home = Home::new();
    let user = home.hold();
    user.commit_row();
    kill(user.server);
    let refusal = home.launch().expect_refusal();
    assert!(refusal.contains("while other processes still hold a share"), "{refusal}");
    assert!(user.release());

    let next = home.hold();
    assert_eq!(next.how, "Recovered");
    assert!(next.row_is_there());
    assert!(next.release());
}

#[test]
fn a_holder_that_outlives_its_server_starts_it_again() {
    let home = Home::new();
    let mut holder = share_of(&home);
    let other = home.hold();
    other.commit_row();
    let (url, server) = (holder.url("postgres"), other.server);
    assert_eq!(holder.ensure_running().unwrap(), How::Attached);
    let (_client, backend) = other.keep_a_backend_busy();
    kill(server);
    assert_eq!(holder.pid(), None);

    // Though it is not the only one: it saw the server, and sees that it is gone.
    assert_eq!(holder.ensure_running().unwrap(), How::Recovered);
    expect_end(backend);
    assert!(holder.pid().is_some_and(|new| pid(&new.to_string()) != server));
    assert_eq!(holder.url("postgres"), url);
    assert!(other.row_is_there());
    assert!(!other.release());
    assert_eq!(holder.ensure_running().unwrap(), How::Attached);
    assert!(holder.release().unwrap());
}

#[test]
fn a_holder_starts_a_server_again_that_somebody_stopped() {
    let home = Home::new();
    let mut holder = share_of(&home);
    let server = pid(&holder.pid().unwrap().to_string());
    kill_process(server, Signal::INT).unwrap();
    expect_end(server);
    assert_eq!(holder.ensure_running().unwrap(), How::Started);
    assert_eq!(sql(&holder.url("postgres"), "SELECT 1"), "1");
    assert!(holder.release().unwrap());
}

#[test]
fn a_busy_backend_that_outlives_its_server_is_ended_before_the_next_start() {
    let home = Home::new();
    let (first, _client, backend) = busy_user_of(&home);
    kill(first.server);
    assert!(is_alive(backend), "it was to be an orphan");
    first.kill();

    let second = home.hold();
    assert_eq!(second.how, "Recovered");
    expect_end(backend);
    assert!(second.row_is_there());
    assert!(second.release());
}

#[test]
fn an_orphaned_backend_that_ignores_signals_is_killed() {
    let home = Home::new();
    let (first, _client, backend) = busy_user_of(&home);
    // A suspended process does not act on SIGQUIT.
    kill_process(backend, Signal::STOP).unwrap();
    kill(first.server);
    first.kill();

    let second = home.hold();
    assert_eq!(second.how, "Recovered");
    expect_end(backend);
    assert!(second.row_is_there());
    assert!(second.release());
}

#[test]
fn the_last_user_of_a_killed_server_ends_its_orphans_upon_release() {
    let home = Home::new();
    let (user, _client, backend) = busy_user_of(&home);
    kill(user.server);
    assert!(is_alive(backend), "it was to be an orphan");
    assert!(user.release());
    expect_end(backend);
}

#[test]
fn the_id_of_a_dead_server_may_by_now_be_that_of_another_program() {
    let home = Home::new();
    let first = home.hold();
    first.commit_row();
    let server = first.server;
    first.kill();
    kill(server);

    // Of the server's account: PostgreSQL would take such a process for a server and give up.
    let account = fs::metadata(home.cluster().join("data")).unwrap().uid();
    let mut sleep = Command::new("sleep");
    if geteuid().as_raw() != account {
        sleep.uid(account);
    }
    let mut bystander = Bystander(sleep.arg("600").spawn().unwrap());
    for file in [home.pid_file(), home.cluster().join("run/.s.PGSQL.5432.lock")] {
        let text = fs::read_to_string(&file).unwrap();
        let rest = text.split_once('\n').unwrap().1;
        fs::write(&file, format!("{}\n{rest}", bystander.0.id())).unwrap();
    }

    let second = home.hold();
    assert_eq!(second.how, "Recovered");
    assert!(second.row_is_there());
    assert!(second.release());
    assert_eq!(bystander.0.try_wait().unwrap(), None, "the bystander was ended");
}

#[test]
fn a_server_that_answers_and_cannot_be_seen_is_left_alone() {
    let home = Home::new();
    let first = home.hold();
    let server = first.server;
    first.kill();
    kill(server);
    // As if it ran in another container that mounts the same directory.
    let socket = home.cluster().join("run/.s.PGSQL.5432");
    fs::remove_file(&socket).unwrap();
    let unseen = UnixListener::bind(&socket).unwrap();
    let refusal = home.launch().expect_refusal();
    assert!(refusal.contains("cannot be seen from here"), "{refusal}");
    assert!(home.pid_file().exists());

    drop(unseen);
    let next = home.hold();
    assert_eq!(next.how, "Recovered");
    assert!(next.release());
}

#[test]
fn of_three_starters_at_once_one_starts_and_the_last_to_leave_stops() {
    let home = Home::new();
    let starters = [home.launch(), home.launch(), home.launch()];
    let mut users = starters.map(Launch::expect_up);
    users.sort_by_key(|user| user.how.clone());
    assert_eq!(
        users.each_ref().map(|user| user.how.as_str()),
        ["Attached", "Attached", "Initialised"]
    );
    let server = users[0].server;
    assert!(users.iter().all(|user| user.server == server));

    let [stays, leaves, started] = users;
    // Whoever started the server has no duty to stay for it.
    assert!(!started.release());
    assert!(!leaves.release());
    assert_eq!(stays.sql("SELECT 1"), "1");
    assert!(stays.release());
    expect_end(server);
}

#[test]
fn an_initdb_that_was_killed_with_its_starter_leaves_no_half_cluster() {
    let home = Home::new();
    let (starter, _) = starter_with_a_stuck_initdb(&home);
    starter.kill(true);
    assert!(!home.cluster().join("data").exists());

    let next = home.hold();
    assert_eq!(next.how, "Initialised");
    assert_eq!(next.sql("SELECT 1"), "1");
    assert!(!home.cluster().join("data.new").exists());
    assert!(next.release());
}

#[test]
fn an_initdb_that_outlives_its_starter_is_waited_for() {
    let home = Home::new();
    let (starter, may_end) = starter_with_a_stuck_initdb(&home);
    starter.kill(false);
    // The next start waits for as long as this lock is taken.
    let lock = File::open(home.cluster().join("start.lock")).unwrap();
    assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));

    let next = home.launch();
    fs::write(may_end, "").unwrap();
    let next = next.expect_up();
    assert_eq!(next.how, "Initialised");
    assert!(next.release());
}

#[test]
fn root_that_may_not_look_into_processes_still_knows_its_server() {
    if !geteuid().is_root() || Command::new("setpriv").arg("--version").output().is_err() {
        // Not by a macro, whose output the test harness would swallow.
        writeln!(io::stderr(), "SKIPPED: it takes root and setpriv to give up CAP_SYS_PTRACE")
            .unwrap();
        return;
    }
    let home = Home::new();
    // As in a container that was given no further capabilities.
    let contained = || {
        let command = hold_cluster(home.path(), binaries().directory());
        let mut contained = Command::new("setpriv");
        contained.arg("--bounding-set=-sys_ptrace").arg(command.get_program());
        Launch::new(contained.args(command.get_args())).expect_up()
    };
    let first = contained();
    first.commit_row();
    let server = first.server;
    first.kill();
    let second = contained();
    assert_eq!((second.how.as_str(), second.server), ("Attached", server));

    let (_client, backend) = second.keep_a_backend_busy();
    kill(server);
    second.kill();
    let third = contained();
    assert_eq!(third.how, "Recovered");
    expect_end(backend);
    assert!(third.row_is_there());
    assert!(third.release());
}

/// A user with a row committed, its client, and the backend that serves that client.
fn busy_user_of(home: &Home) -> (Holder, Bystander, Pid) {
    let user = home.hold();
    user.commit_row();
    let (client, backend) = user.keep_a_backend_busy();
    (user, client, backend)
}

/// A share that this very process holds.
fn share_of(home: &Home) -> Cluster {
    let programs = Some(binaries().directory().to_owned());
    let options = Options { binaries: programs, ..Options::new(home.path().to_owned()) };
    Cluster::start(&options).expect("a share")
}
