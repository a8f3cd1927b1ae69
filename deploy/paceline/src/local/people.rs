//! Simulated people: somebody with an account at each simulated provider, who connects them to a user of ours by the
//! same pages as everybody.

use super::{APPLICATIONS, Account, Local, Simulator, browser::Browser};
use crate::{
    client::{Client, Credentials},
    sync::SyncView,
};
use anyhow::Context as _;
use paceline_shared::{ConnectionId, JobId, Provider};
use serde::Deserialize;

/// A user with accounts at the providers.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// The token's subject.
    pub(crate) subject: String,
    /// One at each provider.
    pub(crate) accounts: Vec<Account>,
    /// Calls the API on their behalf.
    pub(crate) client: Client,
    browser: Browser,
}

/// An account that is connected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Our link to it.
    pub(crate) connection: ConnectionId,
    /// The sync that came with it.
    pub(crate) first_sync: JobId,
}

#[derive(Deserialize)]
struct Listed<T> {
    items: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    id: ConnectionId,
    account_id: String,
}

impl Person {
    /// Connects an account, by its provider's consent page.
    pub(crate) async fn connect(&self, account: &Account) -> anyhow::Result<Link> {
        let Account { provider, id } = account;
        let connected = self.browser.connect(&self.client, *provider, id).await;
        connected
            .with_context(|| format!("connecting {} at {}", self.subject, provider.title()))?;
        let of_provider = [("provider", provider.to_string())];
        let Listed::<Connection> { items } =
            self.client.patiently("/api/v1/connections", &of_provider).await?;
        let connection = items.into_iter().find(|connection| connection.account_id == *id);
        let Listed::<SyncView> { items } =
            self.client.patiently("/api/v1/syncs", &of_provider).await?;
        Ok(Link {
            connection: connection.context("a connected account is not listed")?.id,
            first_sync: items.first().context("connecting started no sync")?.sync_id,
        })
    }

    /// How an account of theirs is called: `demo-1 strava`.
    pub(crate) fn label(&self, provider: Provider) -> String {
        format!("{} {provider}", self.subject)
    }
}

impl Local<'_> {
    /// Makes the users `<prefix>-1` and up, and accounts of theirs with at least `activities` activities at Strava and
    /// in proportion elsewhere. Nothing is connected yet.
    pub(crate) async fn people(
        &self,
        prefix: &str,
        users: u16,
        activities: u32,
    ) -> anyhow::Result<Vec<Person>> {
        let mut people = Vec::new();
        for number in 1..=users {
            let subject = format!("{prefix}-{number}");
            let accounts = accounts(&self.simulator, history(activities, number)).await;
            let accounts = accounts.with_context(|| format!("making accounts for {subject}"))?;
            let credentials = Credentials::Local {
                secret: self.issuer.clone(),
                user: subject.clone(),
                role: None,
            };
            let client = Client::new(self.http.clone(), self.api.clone(), credentials);
            let browser = Browser::new(self.http.clone());
            people.push(Person { subject, accounts, client, browser });
        }
        Ok(people)
    }
}

async fn accounts(simulator: &Simulator, activities: u32) -> anyhow::Result<Vec<Account>> {
    let mut accounts = Vec::new();
    for application in &APPLICATIONS {
        accounts.push(simulator.add_account(application.provider, activities).await?);
    }
    Ok(accounts)
}

/// `least` and up to a tenth more: no two neighbours the same.
fn history(least: u32, number: u16) -> u32 {
    let share = (u64::from(number) * 37) % 11;
    let more = u64::from(least) * share / 100;
    least.saturating_add(u32::try_from(more).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_history_has_at_least_as_much_as_was_asked_for() {
        let histories: Vec<u32> = (1..=22).map(|number| history(1_000, number)).collect();
        assert!(histories.iter().all(|&activities| (1_000..=1_100).contains(&activities)));
        assert!(histories.windows(2).all(|pair| pair[0] != pair[1]));
        assert!(history(u32::MAX, 1) == u32::MAX);
    }
}
