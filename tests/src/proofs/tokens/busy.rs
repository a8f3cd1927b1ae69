//! A busy while: all that happens to accounts and their tokens, at all providers, and every answer that the API gives
//! meanwhile.

use super::super::{
    everywhere::{Account, CLIENT_SECRET, PLACES},
    report::{Bound, Report},
};
use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use paceline_simulator::{Fault, FaultRule};
use paceline_tests::{
    browser::{Browser, Shown},
    client::{Answer, Client},
    stack::Stack,
};
use reqwest::{Method, Url};
use serde_json::json;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// What an account's syncs are given to end.
const LIMIT: Duration = Duration::from_mins(2);
/// Of so many requests one goes wrong.
const FAULTS: f64 = 0.05;
const LOOK: Duration = Duration::from_millis(100);

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    connected: usize,
    expired: usize,
    refused: usize,
    revoked: usize,
    bad_codes: usize,
    denied: usize,
    disconnected: usize,
    syncs: usize,
}

impl Done {
    pub(super) fn tell(self, report: &mut Report) {
        for (name, count) in [
            ("accounts connected", self.connected),
            ("expiries of tokens, refreshed", self.expired),
            ("calls that were refused as 401", self.refused),
            ("accounts revoked at the provider", self.revoked),
            ("codes that were no codes", self.bad_codes),
            ("consents denied", self.denied),
            ("accounts disconnected", self.disconnected),
            ("syncs", self.syncs),
        ] {
            report.count(name, count, Bound::AtLeast(1.0));
        }
    }
}

/// All that happens.
pub(super) struct Busy<'a> {
    stack: &'a Stack,
    users: Vec<Client>,
    /// Nothing of these may be anywhere.
    pub(super) secrets: BTreeSet<String>,
    /// Whatever the API has said, with its headers.
    pub(super) answers: Vec<String>,
    pub(super) done: Done,
}

impl<'a> Busy<'a> {
    pub(super) fn new(stack: &'a Stack, users: Vec<Client>) -> Self {
        let mut secrets = BTreeSet::from([CLIENT_SECRET.to_owned()]);
        secrets.extend(users.iter().filter_map(|user| user.token().map(str::to_owned)));
        Self { stack, users, secrets, answers: Vec::new(), done: Done::default() }
    }

    /// Connects everybody, and then whatever comes, for so long.
    pub(super) async fn be(&mut self, length: Duration, seed: u64) -> Result<()> {
        let mut accounts = Vec::new();
        for user in self.users.clone() {
            for place in PLACES {
                let account = Account::new(self.stack, place, &user).await?;
                self.connect(&account).await?;
                accounts.push(account);
            }
        }
        self.stack.world().make_flaky(FAULTS)?;
        let (mut chance, began, mut turn) = (Rng::with_seed(seed), Instant::now(), 0);
        // Everything once at each provider, and then until the time is over.
        while turn < accounts.len() * 2 || began.elapsed() < length {
            let account = &accounts[turn % accounts.len()];
            match (turn / PLACES.len()) % 6 {
                0 => self.expire(account).await?,
                1 => self.refuse(account).await?,
                2 => self.revoke(account).await?,
                3 => self.come_back_with_a_bad_code(account).await?,
                4 => self.deny(account).await?,
                _ => self.disconnect(account).await?,
            }
            self.look_around(account, &mut chance).await;
            self.learn();
            turn += 1;
        }
        self.stack.world().clear_faults();
        for account in &accounts {
            self.ended(account).await?;
        }
        self.learn();
        Ok(())
    }

    /// Tokens are forgotten by those who gave them, and must be known before.
    fn learn(&mut self) {
        self.secrets.extend(self.stack.secrets());
    }

    /// The callback's own address holds a code, which its user's browser has sent.
    fn hear(&mut self, page: &Shown) {
        self.answers.push(format!("{:?}\n{}", page.headers, page.html));
    }

    async fn ask(&mut self, client: &Client, method: Method, path: &str) -> Answer {
        let mut request = client.request(method.clone(), path);
        if method == Method::POST && path.ends_with("/authorize") {
            request = request.json(&json!({}));
        }
        let answer = client.send(request).await;
        self.answers.push(format!("{method} {path} {:?}\n{}", answer.headers, answer.text));
        answer
    }

    async fn link(&mut self, account: &Account) -> Result<String> {
        let path = format!("/api/v1/connections/{}/authorize", account.place.name);
        let sent = self.ask(&account.owner, Method::POST, &path).await;
        let link = sent.body["url"].as_str().with_context(|| format!("{path}: {}", sent.text))?;
        Ok(link.to_owned())
    }

    /// Goes to the provider and comes back with whatever it is sent back with, until the page shows an end.
    async fn go(&mut self, account: &Account, choice: &str, forge: bool) -> Result<String> {
        let link = self.link(account).await?;
        let mut browser = Browser::default();
        let mut callback = browser.consent(&link, &[("auto", choice)]).await;
        let code = callback.query_pairs().find(|(name, _)| name == "code");
        self.secrets.extend(code.map(|(_, code)| code.into_owned()));
        if forge {
            callback = forged(&callback);
        }
        let back = browser.open(callback.as_str()).await;
        self.hear(&back);
        let page = browser.open(back.next().as_str()).await;
        self.hear(&page);
        let end = browser.watch(&page, LIMIT).await;
        self.hear(&end);
        self.learn();
        Ok(end.html)
    }

    async fn connect(&mut self, account: &Account) -> Result<()> {
        let began = Instant::now();
        loop {
            self.go(account, &account.id, false).await?;
            let path = format!("/api/v1/connections?provider={}", account.place.name);
            let list = self.ask(&account.owner, Method::GET, &path).await;
            let is_active = |one: &serde_json::Value| {
                one["accountId"] == account.id.as_str() && one["state"] == "active"
            };
            if list.body["items"].as_array().into_iter().flatten().any(is_active) {
                self.done.connected += 1;
                return self.ended(account).await;
            }
            ensure!(
                began.elapsed() < LIMIT,
                "{} does not connect: {}",
                account.place.name,
                list.text
            );
        }
    }

    /// Starts a sync of what is new, and waits for the end of it, whatever that is.
    async fn sync(&mut self, account: &Account) -> Result<()> {
        self.ask(&account.owner, Method::POST, &account.start_path()).await;
        self.done.syncs += 1;
        self.ended(account).await
    }

    async fn ended(&mut self, account: &Account) -> Result<()> {
        let began = Instant::now();
        loop {
            let status = self.ask(&account.owner, Method::GET, &account.status_path()).await;
            if status.body["status"] != "in_progress" {
                return Ok(());
            }
            ensure!(began.elapsed() < LIMIT, "{}: {}", account.place.name, status.text);
            sleep(LOOK).await;
        }
    }

    async fn expire(&mut self, account: &Account) -> Result<()> {
        account.control(self.stack, "expire").await?;
        self.sync(account).await?;
        self.done.expired += 1;
        Ok(())
    }

    /// The provider refuses a good token, for a while.
    async fn refuse(&mut self, account: &Account) -> Result<()> {
        let rule = FaultRule {
            user: Some(account.id.clone()),
            count: Some(3),
            ..FaultRule::new(Fault::Status { code: 401, html: false, day: false })
        };
        let id = self.stack.world().add_fault(rule)?;
        self.sync(account).await?;
        let struck = self.stack.world().faults().iter().any(|rule| rule.id == id && rule.fired > 0);
        self.done.refused += usize::from(struck);
        ensure!(self.stack.world().remove_fault(id), "a fault is gone");
        // What the provider refused for good, its user mends.
        self.connect(account).await
    }

    async fn revoke(&mut self, account: &Account) -> Result<()> {
        account.control(self.stack, "revoke").await?;
        self.sync(account).await?;
        self.done.revoked += 1;
        self.connect(account).await
    }

    async fn come_back_with_a_bad_code(&mut self, account: &Account) -> Result<()> {
        self.go(account, &account.id, true).await?;
        self.done.bad_codes += 1;
        Ok(())
    }

    async fn deny(&mut self, account: &Account) -> Result<()> {
        self.go(account, "deny", false).await?;
        self.done.denied += 1;
        Ok(())
    }

    async fn disconnect(&mut self, account: &Account) -> Result<()> {
        let path = format!("/api/v1/connections?provider={}", account.place.name);
        let list = self.ask(&account.owner, Method::GET, &path).await;
        for one in list.body["items"].as_array().cloned().unwrap_or_default() {
            let id = one["id"].as_str().context("a connection has an id")?;
            self.ask(&account.owner, Method::DELETE, &format!("/api/v1/connections/{id}")).await;
            self.done.disconnected += 1;
        }
        self.connect(account).await
    }

    /// Reads one of the lists that an app reads.
    async fn look_around(&mut self, account: &Account, chance: &mut Rng) {
        const PATHS: [&str; 6] = [
            "/api/v1/connections?disconnected=true",
            "/api/v1/syncs?limit=20",
            "/api/v1/data?wait=0",
            "/api/v1/measurements?limit=5",
            "/api/v1/activities?limit=5",
            "/api/v1/daily-summaries?limit=5",
        ];
        let path = PATHS[chance.usize(..PATHS.len())];
        self.ask(&account.owner, Method::GET, path).await;
    }
}

/// The same address with another code: nobody gave it.
fn forged(callback: &Url) -> Url {
    let mut forged = callback.clone();
    forged.query_pairs_mut().clear().extend_pairs(callback.query_pairs().map(|(name, value)| {
        let value = if name == "code" { format!("no{value}").into() } else { value };
        (name, value)
    }));
    forged
}
