//! Simulated people: athletes at the simulated Strava, connected to users of ours by the same code
//! exchange as everybody.

use super::{Athlete, Local, STRAVA_CLIENT};
use crate::client::{Client, Credentials};
use anyhow::Context as _;
use paceline_shared::{ConnectionId, db::users};
use paceline_worker::{
    connect,
    providers::{
        Code,
        http::{Http, HttpOptions},
        strava::{SCOPES, Strava, StravaConfig},
    },
};
use secrecy::SecretString;

/// A user with an account to sync.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// The token's subject.
    pub(crate) subject: String,
    /// Who they are at Strava.
    pub(crate) athlete: Athlete,
    /// Their link.
    pub(crate) connection: ConnectionId,
}

impl Local<'_> {
    /// Makes athletes with at least `activities` activities each, and connects them to the users
    /// `<prefix>-1` and up.
    pub(crate) async fn connect_people(
        &self,
        prefix: &str,
        users: u16,
        activities: u32,
    ) -> anyhow::Result<Vec<Person>> {
        let strava = StravaConfig {
            api_base: self.simulator.strava_api(),
            oauth_base: self.simulator.strava_oauth(),
            ..StravaConfig::new(STRAVA_CLIENT.0, SecretString::from(STRAVA_CLIENT.1))
        };
        let strava = Strava::new(
            strava,
            Http::new("strava", HttpOptions { proxies: false, ..HttpOptions::default() })?,
        );
        let mut people = Vec::new();
        for number in 1..=users {
            let subject = format!("{prefix}-{number}");
            let person = self.connect_person(&strava, &subject, history(activities, number)).await;
            people.push(person.with_context(|| format!("connecting {subject}"))?);
        }
        Ok(people)
    }

    async fn connect_person(
        &self,
        strava: &Strava,
        subject: &str,
        activities: u32,
    ) -> anyhow::Result<Person> {
        let athlete = self.simulator.add_athlete(activities).await?;
        let consent = self.simulator.consent(athlete.id, STRAVA_CLIENT.0, &SCOPES).await?;
        let user = users::of_subject(self.db, subject).await?;
        let code = Code {
            code: consent.code,
            verifier: None,
            redirect_uri: String::new(),
            accepted: Some(consent.scope),
        };
        let connection =
            connect::with_code(self.db, &self.keys, strava, user, &code).await?;
        tracing::info!("{subject} is {} with {} activities", athlete.name, athlete.activities);
        Ok(Person { subject: subject.to_owned(), athlete, connection })
    }

    /// A client of the API on behalf of a person.
    pub(crate) fn client_of(&self, person: &Person) -> Client {
        let credentials = Credentials::Local {
            secret: self.issuer.clone(),
            user: person.subject.clone(),
            role: None,
        };
        Client::new(self.http.clone(), self.api.clone(), credentials)
    }
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
