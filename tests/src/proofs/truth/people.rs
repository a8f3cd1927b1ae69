//! Users with an account at every provider, connected as everybody connects one; and their syncs, by the single-sync
//! face and the dashboard.

use super::line::Line;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use paceline_tests::{browser::Browser, client::Client, stack::Stack};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// A whole history, or a quiet read, is done by then.
pub(super) const LIMIT: Duration = Duration::from_mins(5);
const AGAIN: Duration = Duration::from_millis(100);

/// An account of a user.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) line: &'static dyn Line,
    pub(super) client: Client,
    /// At the provider.
    pub(super) id: String,
    pub(super) connection: Uuid,
}

/// So many users, each with an account at every provider.
pub(super) async fn connect(
    stack: &Stack,
    lines: &[&'static dyn Line],
    users: u64,
    seed: u64,
) -> Result<Vec<Account>> {
    let mut accounts = Vec::new();
    for user in 0..users {
        let client = stack.client(&format!("user-{user}"));
        let connected = lines.iter().map(|line| connect_one(stack, *line, &client, seed + user));
        accounts.extend(try_join_all(connected).await?);
    }
    Ok(accounts)
}

/// By the provider's consent page, the way back and the status page.
async fn connect_one(
    stack: &Stack,
    line: &'static dyn Line,
    client: &Client,
    seed: u64,
) -> Result<Account> {
    let id = line.add_user(stack.world(), seed)?;
    let path = format!("/api/v1/connections/{}/authorize", line.name());
    let offer = client.post(&path, &json!({})).await;
    let address = offer.body["url"].as_str().with_context(|| format!("{path}: {}", offer.text))?;
    let mut browser = Browser::default();
    let callback = browser.consent(address, &[("auto", &id)]).await;
    let page = browser.come_back(&callback).await;
    let end = browser.watch(&page, LIMIT).await;
    let list = client.get("/api/v1/connections").await;
    let items = list.body["items"].as_array().cloned().unwrap_or_default();
    let one = items.iter().find(|one| one["provider"] == line.name() && one["state"] == "active");
    let connection = one.and_then(|one| one["id"].as_str()?.parse().ok());
    let connection =
        connection.with_context(|| format!("{} is not connected: {}", line.name(), end.html))?;
    Ok(Account { line, client: client.clone(), id, connection })
}

impl Account {
    /// Asks for what is new; whether a sync was started and none was under way.
    pub(super) async fn ask(&self) -> Result<bool> {
        let path = format!("/{}/sync/{}", self.line.name(), self.line.job_type());
        let asked = self.client.post_nothing(&path).await;
        let is_taken = asked.status == 409 && asked.problem().kind == "/problems/already-running";
        ensure!(asked.status == 202 || is_taken, "{path}: {}", asked.text);
        Ok(asked.status == 202)
    }

    /// How the last sync ended, once it has.
    pub(super) async fn ended(&self) -> Result<Value> {
        let path = format!("/{}/sync/status", self.line.name());
        let began = Instant::now();
        loop {
            let status = self.client.get(&path).await.body;
            if status["status"] != "in_progress" {
                return Ok(status);
            }
            ensure!(began.elapsed() < LIMIT, "{path} is still {status}");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Reads what is new from now on, to the end.
    pub(super) async fn sync_new(&self) -> Result<()> {
        while !self.ask().await? {
            self.ended().await?;
        }
        self.completed().await
    }

    /// Reads everything, to the end.
    pub(super) async fn sync_all(&self) -> Result<()> {
        let ask = json!({ "provider": self.line.name(), "jobType": self.line.job_type() });
        let asked = self.client.post("/api/v1/syncs", &ask).await;
        ensure!(asked.status == 202, "{ask}: {}", asked.text);
        self.completed().await
    }

    async fn completed(&self) -> Result<()> {
        let end = self.ended().await?;
        ensure!(end["status"] == "completed", "{}: {end}", self.line.name());
        Ok(())
    }
}
