//! A whole Paceline for one test: a database, the simulated world, the API and workers as processes of
//! their own, and users who are connected.

use crate::{client::Client, database::TestDb, process::Process, truth};
use chrono::{DateTime, Utc};
use paceline_api::auth::{Role, local};
use paceline_shared::{ConnectionId, UserId, db::users, sealing::Keyring};
use paceline_simulator::{
    Config, FULL_SCOPE, LogEntry, Population, Running, Simulator, StartRange,
};
use paceline_worker::{
    connect,
    providers::{
        Accounts, Code,
        http::{Http, HttpOptions},
        strava::{Strava, StravaConfig},
    },
};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// A sync of some hundred activities takes no longer than this, on a machine that has other things to
/// do as well.
pub const SOON: Duration = Duration::from_mins(1);
/// Our application's secret at the provider.
const CLIENT_SECRET: &str = "a-secret-of-the-application";
/// How long a user's token is good for.
const TOKEN_LIFE: Duration = Duration::from_hours(1);
/// The list of activities, as the request log has it.
pub const ACTIVITIES: &str = "/strava/api/v3/athlete/activities";

/// Everything that a story plays on.
#[derive(Debug)]
pub struct Stack {
    /// The API process.
    pub api: Process,
    /// The world outside.
    pub sim: Running,
    /// The database.
    pub db: TestDb,
    secret: local::Secret,
    keys: String,
    directory: TempDir,
    workers: u32,
    /// The options that say where Postgres is.
    way: Vec<String>,
    /// The options that say where accounts can be connected.
    accounts: Vec<String>,
    http: reqwest::Client,
    strava: Strava,
}

/// How a worker is started.
#[derive(Clone, Debug)]
pub struct WorkerSetup {
    /// Syncs at a time.
    pub slots: u16,
    /// Pause after a first failed attempt.
    pub retry_base: Duration,
    /// Tries of a single call.
    pub http_tries: u32,
    /// How long a call may bring no byte.
    pub http_idle_timeout: Duration,
    /// More options, as on the command line.
    pub options: Vec<String>,
}

impl Default for WorkerSetup {
    fn default() -> Self {
        Self {
            slots: 4,
            retry_base: Duration::from_millis(100),
            http_tries: 5,
            http_idle_timeout: Duration::from_secs(10),
            options: Vec::new(),
        }
    }
}

impl Stack {
    /// A world without quotas and latency, and an API; no worker yet.
    pub async fn new() -> Self {
        Self::in_world(Config::default()).await
    }

    /// The same in a world of this kind.
    pub async fn in_world(world: Config) -> Self {
        let db = TestDb::new().await;
        let way = vec!["--database-url".to_owned(), db.url().to_owned()];
        Self::over(db, world, way).await
    }

    /// The same over this database; `way`: the options that tell its processes where that is.
    pub async fn over(db: TestDb, world: Config, way: Vec<String>) -> Self {
        let sim = Simulator::start(world).await.expect("the simulated world");
        let directory = tempfile::Builder::new().prefix("paceline-story-").tempdir();
        let directory = directory.expect("a directory for logs");
        let secret = local::Secret::generate().expect("a secret");
        std::fs::write(directory.path().join("issuer.key"), secret.to_base64())
            .expect("a key file");
        let keys = Keyring::generate("test").expect("a key");
        let accounts = accounts(&keys, &sim.base_url());
        let all = [&accounts[..], &way].concat();
        let api = start_api(&directory, "api", &all, &["--allow-local-issuer"]).await;
        let (http, strava) = (Client::connections(), strava(&sim.base_url()));
        Self { api, sim, db, secret, keys, directory, workers: 0, way, accounts, http, strava }
    }

    /// Tells the processes that are started from now on that Postgres is there.
    pub fn reroute(&mut self, database_url: &str) {
        self.way = vec!["--database-url".to_owned(), database_url.to_owned()];
    }

    /// The handle on the world outside.
    #[must_use]
    pub fn world(&self) -> &Simulator {
        self.sim.simulator()
    }

    /// A worker process, ready to work.
    pub async fn worker(&mut self) -> Process {
        self.worker_with(WorkerSetup::default()).await
    }

    /// The same with other settings.
    pub async fn worker_with(&mut self, setup: WorkerSetup) -> Process {
        self.workers += 1;
        self.worker_over(&format!("worker-{}", self.workers), &self.way, setup).await
    }

    /// The same under a name; `way`: the options that tell it where Postgres is.
    pub async fn worker_over(&self, name: &str, way: &[String], setup: WorkerSetup) -> Process {
        let base = self.sim.base_url();
        let arguments = [
            ("--listen", "127.0.0.1:0".to_owned()),
            ("--sealing-keys", self.keys.clone()),
            ("--slots", setup.slots.to_string()),
            ("--retry-base", format!("{}ms", setup.retry_base.as_millis())),
            ("--http-tries", setup.http_tries.to_string()),
            ("--http-first-pause", "20ms".to_owned()),
            ("--http-idle-timeout", format!("{}ms", setup.http_idle_timeout.as_millis())),
            ("--strava-client-id", "1234".to_owned()),
            ("--strava-client-secret", CLIENT_SECRET.to_owned()),
            ("--strava-api-url", format!("{base}/strava/api/v3")),
            ("--strava-oauth-url", format!("{base}/strava/oauth")),
            ("--weather-archive-url", format!("{base}/open-meteo/archive")),
            ("--weather-forecast-url", format!("{base}/open-meteo/forecast")),
            ("--weather-per-minute", "0".to_owned()),
        ];
        let named = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        let arguments: Vec<String> = std::iter::once("worker".to_owned())
            .chain(way.iter().cloned())
            .chain(named)
            .chain(setup.options)
            .collect();
        Process::start(self.directory.path(), name, &arguments).await
    }

    /// One more API process over the same database, with these options beside the usual ones.
    pub async fn another_api(&self, name: &str, options: &[&str]) -> Process {
        start_api(&self.directory, name, &[&self.accounts[..], &self.way].concat(), options).await
    }

    /// An API process over any database, with the same keys.
    pub async fn api_over(&self, name: &str, database_url: &str) -> Process {
        let way = ["--database-url".to_owned(), database_url.to_owned()];
        start_api(&self.directory, name, &way, &["--allow-local-issuer"]).await
    }

    /// The keys that seal tokens, as the processes get them.
    #[must_use]
    pub fn keys(&self) -> &str {
        &self.keys
    }

    /// What must never be in a log: keys, secrets, and the providers' tokens known by now.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        let key = self.keys.split_once(':').map_or(self.keys.as_str(), |(_id, key)| key);
        let ours = [key.to_owned(), self.secret.to_base64(), CLIENT_SECRET.to_owned()];
        ours.into_iter().chain(self.world().secrets()).collect()
    }

    /// A token's text.
    #[must_use]
    pub fn token(&self, subject: &str, role: Option<&str>) -> String {
        local::issue(&self.secret, subject, role, TOKEN_LIFE).expect("a token")
    }

    /// A client of a member of staff.
    #[must_use]
    pub fn staff(&self, subject: &str, role: Role) -> Client {
        let token = local::issue_for_staff(&self.secret, subject, None, Some(role), TOKEN_LIFE);
        self.client_with(Some(token.expect("a token")))
    }

    /// A client with a token for `subject`.
    #[must_use]
    pub fn client(&self, subject: &str) -> Client {
        self.client_with(Some(self.token(subject, None)))
    }

    /// A client with any token, or none.
    #[must_use]
    pub fn client_with(&self, token: Option<String>) -> Client {
        Client::over(self.http.clone(), format!("http://{}", self.api.address()), token)
    }

    /// A user who has just connected an athlete with so many activities.
    pub async fn user(&self, subject: &str, activities: u32) -> User {
        let population = Population { activities, years: 3, ..Population::default() };
        self.user_with(subject, &population, FULL_SCOPE).await
    }

    /// A user who has just connected an athlete, granting `scope`.
    pub async fn user_with(&self, subject: &str, population: &Population, scope: &str) -> User {
        let athlete = self.world().add_athlete(population).expect("an athlete");
        let user = users::of_subject(&*self.db, subject).await.expect("a user");
        let connection = self.connect(user, athlete, scope).await;
        User { client: self.client(subject), id: user, athlete, connection }
    }

    /// Connects an account as code exchange does.
    pub async fn connect(&self, user: UserId, athlete: u64, scope: &str) -> ConnectionId {
        let code = self.world().authorization_code(athlete, scope).expect("a code");
        let code = Code {
            code: code.into(),
            verifier: None,
            redirect_uri: String::new(),
            accepted: Some(scope.to_owned()),
        };
        self.link(user, &self.strava, &code).await
    }

    /// Connects an account of any provider, with a code.
    pub async fn link(&self, user: UserId, accounts: &dyn Accounts, code: &Code) -> ConnectionId {
        let keys: Keyring = self.keys.parse().expect("keys");
        connect::with_code(&self.db, &keys, accounts, user, code).await.expect("a connection")
    }

    /// Requests for pages of an athlete's list, in the order of their answers.
    #[must_use]
    pub fn page_requests(&self, athlete: u64) -> Vec<LogEntry> {
        let of_list = |entry: &LogEntry| entry.athlete == Some(athlete) && entry.path == ACTIVITIES;
        self.world().log(0, usize::MAX).into_iter().filter(of_list).collect()
    }

    /// How many page requests were made beyond the first of each page.
    #[must_use]
    pub fn repeated_pages(&self, athlete: u64) -> usize {
        let requests = self.page_requests(athlete);
        let pages: std::collections::BTreeSet<_> =
            requests.iter().map(|entry| entry.page).collect();
        requests.len() - pages.len()
    }

    /// Compares all that is stored of a user with what the world holds; panics at the first difference.
    pub async fn assert_true(&self, user: &User, expect: truth::Expect) -> truth::Tally {
        truth::compare(&self.db, self.world(), user, StartRange::default(), expect).await
    }

    /// Waits until a rule of the world's has struck so often.
    pub async fn struck(&self, fault: u64, times: u64) {
        crate::wait::until("the fault strikes", SOON, async || {
            self.world().faults().iter().any(|rule| rule.id == fault && rule.fired >= times)
        })
        .await;
    }
}

/// Where the app that the stories' users have may be gone back to.
pub const RETURN_URL: &str = "https://app.example.org/settings";
/// The same for an app on a phone.
pub const APP_RETURN_URL: &str = "my-app://connected";

/// How an API is told of our applications at the simulated providers.
fn accounts(keys: &str, base: &str) -> Vec<String> {
    let strava = format!("{base}/strava/oauth");
    let withings = format!("{base}/withings");
    let fitbit = format!("{base}/fitbit");
    let garmin = format!("{base}/garmin");
    [
        ("--sealing-keys", keys),
        ("--return-url", RETURN_URL),
        ("--return-url", APP_RETURN_URL),
        ("--strava-client-id", "1234"),
        ("--strava-oauth-url", &strava),
        ("--withings-client-id", "1234"),
        ("--withings-account-url", &withings),
        ("--fitbit-client-id", "1234"),
        ("--fitbit-web-url", &fitbit),
        ("--garmin-client-id", "1234"),
        ("--garmin-connect-url", &garmin),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value.to_owned()])
    .collect()
}

async fn start_api(directory: &TempDir, name: &str, way: &[String], options: &[&str]) -> Process {
    let home = directory.path().to_str().expect("a path of ours");
    let fixed = ["api", "--listen", "127.0.0.1:0", "--pool-size", "10", "--home", home];
    // A test asks as often as it can.
    let unlimited: &[&str] =
        if options.contains(&"--rate-limit") { &[] } else { &["--rate-limit", "0"] };
    let arguments: Vec<String> = fixed
        .iter()
        .chain(unlimited)
        .chain(options)
        .map(|&part| part.to_owned())
        .chain(way.iter().cloned())
        .collect();
    Process::start(directory.path(), name, &arguments).await
}

/// Strava as code exchange meets it in the simulated world.
fn strava(base: &str) -> Strava {
    let config = StravaConfig {
        api_base: format!("{base}/strava/api/v3"),
        oauth_base: format!("{base}/strava/oauth"),
        ..StravaConfig::new("1234", CLIENT_SECRET.into())
    };
    let http = Http::new("strava", HttpOptions::default()).expect("an HTTP client");
    Strava::new(config, http)
}

/// A user of the app, with the Strava account behind.
#[derive(Clone, Debug)]
pub struct User {
    /// Calls the API as this user.
    pub client: Client,
    /// Our id.
    pub id: UserId,
    /// Strava's number.
    pub athlete: u64,
    /// The link.
    pub connection: ConnectionId,
}

impl User {
    /// Starts a sync of the whole history and waits until it has completed.
    pub async fn sync_all(&self, options: &serde_json::Value) -> crate::client::Sync {
        let id = self.client.start_sync(options).await;
        self.client.wait_done(id, SOON).await
    }
}

/// The next border of Strava's quarter hours.
#[must_use]
pub fn next_quarter_hour(now: DateTime<Utc>) -> DateTime<Utc> {
    let next = (now.timestamp().div_euclid(900) + 1) * 900;
    DateTime::from_timestamp(next, 0).expect("a time")
}

/// An id that nobody has.
#[must_use]
pub fn nobodys_id() -> Uuid {
    Uuid::now_v7()
}
