//! A `paceline dev` in the background, and commands that are run against it.

use crate::home::Home;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    io::{self, BufRead as _, BufReader},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Machines that build and test much at a time are slow.
const LIMIT: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(100);
/// What dev's embedded Postgres keeps its data in.
const DATABASE: &str = "paceline";

/// A fleet with two users, and an operator's terminal. It ends with its test.
pub(crate) struct Dev {
    process: Child,
    home: Home,
    api: String,
    simulator: String,
}

impl Dev {
    /// Returns once everything is up.
    pub(crate) fn start() -> Self {
        let home = Home::new();
        let mut command = home.paceline(&["dev", "--listen", "127.0.0.1:0"]);
        command.args(["--users", "2", "--activities", "40", "--log", "warn"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let process = command.spawn().expect("the binary runs");
        let mut dev = Self { process, home, api: String::new(), simulator: String::new() };
        let mut lines = BufReader::new(dev.process.stderr.take().expect("a pipe"));
        let mut said = String::new();
        loop {
            let begin = said.len();
            assert_ne!(lines.read_line(&mut said).expect("a line"), 0, "dev ended: {said}");
            let mut words = said[begin..].split_whitespace();
            match (words.next(), words.next()) {
                (Some("API"), Some(url)) => url.clone_into(&mut dev.api),
                (Some("providers"), Some(url)) => url.clone_into(&mut dev.simulator),
                (Some("the"), Some("end")) => break,
                _ => {}
            }
        }
        assert!(dev.api.starts_with("http://") && dev.simulator.starts_with("http://"), "{said}");
        // Whatever else it has to say, somebody takes it.
        thread::spawn(move || io::copy(&mut lines, &mut io::sink()));
        // Connecting an account begins its first sync.
        dev.when("the first syncs have not ended", || {
            let live = ["queued", "waiting", "running"];
            let none = |state: &&str| dev.json(&["jobs", "list", "--state", state]) == json!([]);
            live.iter().all(none).then_some(())
        });
        dev
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.home.paceline(arguments);
        output(command.env("PACELINE_API_URL", &self.api))
    }

    /// What a command that does what it is asked to writes to standard output.
    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        succeeded(arguments, self.run(arguments))
    }

    /// Likewise, as one value.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let text = self.text(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
    }

    /// The one line of a command that is refused with this code; it prints no data.
    pub(crate) fn refused(&self, arguments: &[&str], code: i32) -> String {
        let Output { status, stdout, stderr } = self.run(arguments);
        let stderr = String::from_utf8(stderr).expect("UTF-8");
        assert_eq!(status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&stdout));
        assert!(stderr.starts_with("error: "), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
        stderr
    }

    /// What the doctor says about this fleet's database.
    pub(crate) fn doctor(&self, options: &[&str]) -> String {
        // A share, which keeps the server as it is.
        let cluster = self.home.cluster();
        let mut command = self.home.paceline(&[&["doctor"], options].concat());
        let said = output(command.env("DATABASE_URL", cluster.url(DATABASE)));
        cluster.release().expect("a release");
        succeeded(&["doctor"], said)
    }

    /// Starts a sync and returns its id.
    pub(crate) fn sync(&self, user: &str, options: &[&str]) -> String {
        let sync = self.json(&[&["sync", "start", "--user", user], options].concat());
        sync["sync_id"].as_str().expect("an id").to_owned()
    }

    /// The job, once it is in this state.
    pub(crate) fn job_when(&self, id: &str, state: &str) -> Value {
        self.when(&format!("{id} is not {state}"), || {
            let job = self.json(&["jobs", "show", id]);
            (job["state"] == state).then_some(job)
        })
    }

    /// What `look` finds as soon as it finds something; `otherwise` is said when it never does.
    pub(crate) fn when<T>(&self, otherwise: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            let jobs = || self.text(&["jobs", "list"]);
            assert!(began.elapsed() < LIMIT, "after {LIMIT:?} {otherwise}\n{}", jobs());
            thread::sleep(LOOK);
        }
    }

    /// Makes the simulated providers fail as the rule says.
    pub(crate) fn add_fault(&self, rule: &Value) {
        self.control(|http, faults| http.post(faults).json(rule));
    }

    /// Lets the simulated providers answer as they should.
    pub(crate) fn clear_faults(&self) {
        self.control(reqwest::Client::delete);
    }

    fn control(&self, ask: impl FnOnce(&reqwest::Client, String) -> reqwest::RequestBuilder) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build();
            let asked = ask(&http.expect("a client"), format!("{}/_sim/faults", self.simulator));
            let answer = asked.send().await.expect("an answer");
            assert!(answer.status().is_success(), "{}", answer.status());
        });
    }

    /// Asks it to end; whether it did in good time and order.
    fn end(&mut self) -> io::Result<bool> {
        kill_process(Pid::from_child(&self.process), Signal::INT)?;
        let began = Instant::now();
        while began.elapsed() < LIMIT {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status.success());
            }
            thread::sleep(LOOK);
        }
        Ok(false)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let ended = self.end();
        // It may have ended; then there is nothing to do.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
        assert!(
            thread::panicking() || ended.as_ref().is_ok_and(|well| *well),
            "dev did not end in good order: {ended:?}"
        );
    }
}

fn output(command: &mut Command) -> Output {
    // Nobody is there to answer a question.
    command.stdin(Stdio::null()).output().expect("the binary runs")
}

fn succeeded(arguments: &[&str], output: Output) -> String {
    let Output { status, stdout, stderr } = output;
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(0), "{arguments:?}: {stderr}");
    String::from_utf8(stdout).expect("UTF-8")
}
