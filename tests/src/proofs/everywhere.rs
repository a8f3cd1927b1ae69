//! Users with an account at every provider, for proofs that need many providers at work and not their records: what a
//! worker is told, how an account is made and connected, and the controls of its tokens.

use anyhow::{Context as _, Result, ensure};
use paceline_tests::{browser::Browser, client::Client, stack::Stack};
use reqwest::Url;
use serde_json::{Value, json};
use std::time::Duration;

/// Our application's secret at all providers but Strava.
pub(super) const CLIENT_SECRET: &str = "another-secret-of-the-application";
/// Connecting takes no longer than this.
const LIMIT: Duration = Duration::from_mins(1);

/// A provider, as far as these proofs know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The name on every wire.
    pub(super) name: &'static str,
    /// What is synced.
    pub(super) job_type: &'static str,
    /// How the controls call its people.
    people: &'static str,
    /// A history of some size, as the controls take it.
    population: &'static str,
    /// What a worker is told beside id and secret: options, and paths in the simulated world.
    paths: &'static [(&'static str, &'static str)],
    /// What else it is told.
    rules: &'static [(&'static str, &'static str)],
}

/// All of them.
pub(super) const PLACES: [Place; 4] = [
    Place {
        name: "strava",
        job_type: "activities",
        people: "athletes",
        population: r#"{"activities": 3000}"#,
        // Every story has an application at Strava.
        paths: &[],
        rules: &[],
    },
    Place {
        name: "withings",
        job_type: "all",
        people: "users",
        population: r#"{"measures": 800, "days": 300, "workouts": 200, "nights": 300, "years": 2}"#,
        paths: &[("--withings-account-url", "/withings"), ("--withings-api-url", "/withings")],
        rules: &[("--withings-limits", "all:1000000/20s"), ("--withings-repeat-after", "10ms")],
    },
    Place {
        name: "fitbit",
        job_type: "all",
        people: "users",
        population: r#"{"weights": 300, "activities": 300, "sleeps": 300, "years": 2}"#,
        paths: &[("--fitbit-web-url", "/fitbit"), ("--fitbit-api-url", "/fitbit")],
        rules: &[("--fitbit-limits", "user:1000000/1h")],
    },
    Place {
        name: "garmin",
        job_type: "all",
        people: "users",
        population: r#"{"activities": 200, "years": 1}"#,
        paths: &[
            ("--garmin-connect-url", "/garmin"),
            ("--garmin-auth-url", "/garmin"),
            ("--garmin-api-url", "/garmin/wellness-api/rest"),
        ],
        rules: &[("--garmin-limits", "all:1000000/1m"), ("--garmin-history-pause", "3s")],
    },
];

/// What a worker is told of all places.
pub(super) fn options(base: &str) -> Vec<String> {
    let mut options = Vec::new();
    for place in PLACES.iter().filter(|place| !place.paths.is_empty()) {
        let name = place.name;
        options.extend([format!("--{name}-client-id"), "1234".to_owned()]);
        options.extend([format!("--{name}-client-secret"), CLIENT_SECRET.to_owned()]);
        for (option, path) in place.paths {
            options.extend([(*option).to_owned(), format!("{base}{path}")]);
        }
        for (option, rule) in place.rules {
            options.extend([(*option).to_owned(), (*rule).to_owned()]);
        }
    }
    options
}

/// An account at a place.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) place: Place,
    pub(super) id: String,
    /// Acts for whom it belongs to.
    pub(super) owner: Client,
}

impl Account {
    /// A new person's; nothing is connected yet.
    pub(super) async fn new(stack: &Stack, place: Place, owner: &Client) -> Result<Self> {
        let path = format!("/_sim/{}/{}", place.name, place.people);
        let made = controls(stack).post(&path, &serde_json::from_str(place.population)?).await;
        let id = match &made.body["id"] {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => anyhow::bail!("{path}: {}", made.text),
        };
        Ok(Self { place, id, owner: owner.clone() })
    }

    /// Something that only the controls can do: `expire`, `revoke`.
    pub(super) async fn control(&self, stack: &Stack, what: &str) -> Result<()> {
        let Self { place, id, .. } = self;
        let path = format!("/_sim/{}/{}/{id}/{what}", place.name, place.people);
        let done = controls(stack).post(&path, &json!({})).await;
        ensure!(done.status.is_success(), "{path}: {}", done.text);
        Ok(())
    }

    /// Where its owner is sent to, to connect it.
    pub(super) async fn link(&self) -> Result<String> {
        let path = format!("/api/v1/connections/{}/authorize", self.place.name);
        let sent = self.owner.post(&path, &json!({})).await;
        let link = sent.body["url"].as_str().with_context(|| format!("{path}: {}", sent.text))?;
        Ok(link.to_owned())
    }

    /// Connects it by the pages that everybody connects by. Answers the last page and the address that led back.
    pub(super) async fn connect(&self) -> Result<(String, Url)> {
        let link = self.link().await?;
        let mut browser = Browser::default();
        let callback = browser.consent(&link, &[("auto", &self.id)]).await;
        let page = browser.come_back(&callback).await;
        Ok((browser.watch(&page, LIMIT).await.html, callback))
    }

    /// The single-sync face's view of it.
    pub(super) fn status_path(&self) -> String {
        format!("/{}/sync/status", self.place.name)
    }

    /// Where the single-sync face starts one.
    pub(super) fn start_path(&self) -> String {
        format!("/{}/sync/{}", self.place.name, self.place.job_type)
    }

    /// Reads everything again, which takes a while; answers the HTTP status.
    pub(super) async fn read_all(&self) -> u16 {
        let ask = json!({ "provider": self.place.name, "jobType": self.place.job_type });
        self.owner.post("/api/v1/syncs", &ask).await.status.as_u16()
    }
}

fn controls(stack: &Stack) -> Client {
    Client::new(stack.sim.base_url(), None)
}
