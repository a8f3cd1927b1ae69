//! What the code of an authorization buys: sent once, stored before anything else, in a task that neither a cancel
//! nor a drain ends. How it ended stands in the authorization, for the page that waits for it.

use super::{AccountJob, buying::Buying, db, failed, first_sync};
use crate::{attempt, job::App, queue::Held};
use paceline_shared::{
    AuthorizationId,
    db::{
        authorizations::{self, OpenCode, Opened, Outcome},
        connection_secrets::SecretError,
    },
    failure,
};
use serde_json::{Map, Value};
use std::time::Duration;

/// Between two tries while the provider cannot be reached: codes live for half a minute with some.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at what another process makes of the code.
pub(super) const LOOK: Duration = Duration::from_millis(250);
/// Whoever sent a code so long ago will not say any more what came of it.
const SILENT: Duration = Duration::from_mins(1);

/// Exchanges the code, or finds out how that ended before.
pub(super) async fn run(
    app: &App,
    job: &AccountJob,
    id: AuthorizationId,
    held: &Held,
) -> Result<(), attempt::Error> {
    let title = job.provider.title();
    loop {
        let pause = match authorizations::open_code(&app.db, &app.keys, id).await {
            Err(SecretError::Db(error)) => return Err(db(error)),
            Err(SecretError::Sealing(error)) => {
                let message = format!("the code cannot be opened: {error}");
                return end(app, id, Ended::failed(failure::Code::UnknownError, message)).await;
            }
            Ok(Opened::Ended(Outcome::Connected | Outcome::Limited)) => {
                return first_sync::enqueue_later(app, id).await;
            }
            Ok(Opened::Ended(outcome)) => return ended_before(outcome, title),
            Ok(Opened::Absent) => {
                let message = "there is no code to exchange; connect again".to_owned();
                return Err(failed(failure::Code::InvalidData, message, Map::new()));
            }
            Ok(Opened::Code(code)) => match code.sent_for {
                Some(since) if since < SILENT => LOOK,
                Some(_) => return end(app, id, Ended::lost(title)).await,
                None if code.left.is_zero() => return end(app, id, Ended::too_late(title)).await,
                None => match send(app, job, id, *code).await? {
                    Sent::Ended(ended) => return ended.result(),
                    Sent::After(pause) => pause,
                },
            },
        };
        tokio::select! {
            biased;
            _ = held.stopped() => return Err(attempt::Error::Stopped),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// How an exchange ends.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    /// What the job's end says, where it is no success.
    pub(super) code: Option<failure::Code>,
    pub(super) message: Option<String>,
    pub(super) context: Map<String, Value>,
    /// Whether the first sync is not queued yet, for another one has its place.
    pub(super) in_the_way: bool,
}

impl Ended {
    /// An end with which the job has done what it could.
    pub(super) fn well(outcome: Outcome) -> Self {
        Self { outcome, code: None, message: None, context: Map::new(), in_the_way: false }
    }

    pub(super) fn failed(code: failure::Code, message: String) -> Self {
        Self { code: Some(code), message: Some(message), ..Self::well(Outcome::Failed) }
    }

    /// The code ran out here.
    pub(super) fn too_late(title: &str) -> Self {
        let message =
            format!("The code from {title} ran out before it was exchanged; connect again.");
        Self { outcome: Outcome::CodeExpired, ..Self::failed(failure::Code::CodeExpired, message) }
    }

    /// The provider may have taken the code, and what it gave for it is lost. To send it again would make it void.
    pub(super) fn lost(title: &str) -> Self {
        let message = format!("The answer of {title} was lost on its way; connect again.");
        Self::failed(failure::Code::NetworkError, message)
    }

    fn result(self) -> Result<(), attempt::Error> {
        let Some(code) = self.code else {
            return if self.in_the_way { Err(first_sync::wait()) } else { Ok(()) };
        };
        // No retry can help: the code is used up, and the page tells its user to begin anew.
        let code = if code.class() == failure::Class::Terminal {
            code
        } else {
            failure::Code::CodeExpired
        };
        Err(failed(code, self.message.unwrap_or_default(), self.context))
    }
}

/// What the job is to make of an end that was written before it came to say its own.
fn ended_before(outcome: Outcome, title: &str) -> Result<(), attempt::Error> {
    match outcome {
        Outcome::CodeExpired => Ended::too_late(title).result(),
        Outcome::Failed => Ended::lost(title).result(),
        Outcome::Connected
        | Outcome::Limited
        | Outcome::Denied
        | Outcome::AccountTaken
        | Outcome::Replaced => Ok(()),
    }
}

/// Says how it ended, and ends the job likewise.
async fn end(app: &App, id: AuthorizationId, ended: Ended) -> Result<(), attempt::Error> {
    let said = authorizations::end(&app.db, id, ended.outcome, ended.message.as_deref(), None);
    // False: somebody was quicker, with a better end perhaps; the page has that one.
    said.await.map_err(db)?;
    ended.result()
}

/// What came of sending a code.
pub(super) enum Sent {
    Ended(Ended),
    /// It surely did not arrive: look again then.
    After(Duration),
}

/// Sends the code and stores what it bought, in a task of its own. Not to wait for it changes nothing.
async fn send(
    app: &App,
    job: &AccountJob,
    id: AuthorizationId,
    code: OpenCode,
) -> Result<Sent, attempt::Error> {
    let Some(accounts) = app.providers.accounts(job.provider).cloned() else {
        let title = job.provider.title();
        let message = format!("This worker has no application at {title}.");
        let ended = Ended::failed(failure::Code::UnknownError, message);
        return end(app, id, ended.clone()).await.map(|()| Sent::Ended(ended));
    };
    let buying =
        Buying { app: app.clone(), accounts, id, user: code.user, provider: code.provider };
    match app.vital.spawn(buying.run(code)).await {
        Ok(sent) => sent.map_err(db),
        // It panicked. Nobody knows how far it came.
        Err(error) => {
            tracing::error!(%error, "an exchange ended early");
            Ok(Sent::After(PAUSE))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_end_of_an_exchange_is_retried() {
        for code in
            [failure::Code::NetworkError, failure::Code::UnknownError, failure::Code::ProviderGone]
        {
            let Err(attempt::Error::Failed(failure)) =
                Ended::failed(code, "no".to_owned()).result()
            else {
                panic!("{code:?} is a failure")
            };
            assert_eq!(failure.code.class(), failure::Class::Terminal);
        }
        assert!(ended_before(Outcome::Limited, "Strava").is_ok());
        assert!(ended_before(Outcome::Replaced, "Strava").is_ok());
        assert!(ended_before(Outcome::Failed, "Strava").is_err());
    }
}
