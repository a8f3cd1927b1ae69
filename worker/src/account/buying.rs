//! One code on its way to the provider and what it bought on its way into the tables: a task that nothing aborts.

use super::{
    exchange::{Ended, LOOK, PAUSE, Sent},
    first_sync,
};
use crate::{
    connect::{self, Linked, link},
    job::App,
    providers::{self, Accounts, Code, ExchangeError, Exchanged},
};
use paceline_shared::{
    AuthorizationId, Provider, UserId,
    db::{
        self as database,
        authorizations::{self, OpenCode, Outcome},
        connection_secrets::SecretError,
    },
    failure, notify,
};
use std::{sync::Arc, time::Duration};

/// A call that takes longer is given up.
const CALL: Duration = Duration::from_secs(45);
/// Between two tries to store what was bought.
const STORE_AGAIN: Duration = Duration::from_millis(500);

/// A code and who sends it.
pub(super) struct Buying {
    pub(super) app: App,
    pub(super) accounts: Arc<dyn Accounts>,
    pub(super) id: AuthorizationId,
    pub(super) user: UserId,
    pub(super) provider: Provider,
}

impl Buying {
    /// Sends it, if nobody else has, and stores what comes of it.
    pub(super) async fn run(self, open: OpenCode) -> Result<Sent, database::Error> {
        let title = self.provider.title();
        if !authorizations::take_code(&self.app.control, self.id).await? {
            return Ok(Sent::After(LOOK));
        }
        let left = open.left;
        let code = Code {
            code: open.code,
            verifier: open.verifier,
            redirect_uri: open.redirect_uri,
            accepted: open.accepted,
        };
        let ended = match tokio::time::timeout(CALL, self.accounts.exchange(&code)).await {
            Ok(Ok(bought)) => self.store(bought).await,
            Ok(Err(ExchangeError::CodeInvalid(detail))) => {
                tracing::info!(
                    endpoint = detail.endpoint,
                    reason = detail.message,
                    "a code is not accepted"
                );
                let message = format!("{title} does not accept the code any more; connect again.");
                Ended {
                    outcome: Outcome::CodeExpired,
                    ..Ended::failed(failure::Code::CodeExpired, message)
                }
            }
            Ok(Err(ExchangeError::Failed(error))) => match unused(&error) {
                Some(pause) if pause < left => {
                    tracing::warn!(%error, ?pause, "a code did not arrive, will try again");
                    self.note(None).await?;
                    return Ok(Sent::After(pause));
                }
                Some(_) => Ended::too_late(title),
                None => Ended {
                    context: error.context(),
                    ..Ended::failed(error.code(), told(title, &error))
                },
            },
            Err(_elapsed) => Ended::lost(title),
        };
        if ended.code.is_some() {
            self.note(Some(&ended)).await?;
        }
        Ok(Sent::Ended(ended))
    }

    /// Stores what was bought: it is all there is of it.
    async fn store(&self, bought: Exchanged) -> Ended {
        loop {
            let error = match self.try_to_store(&bought).await {
                Ok(ended) => return ended,
                Err(connect::Error::Taken) => return self.taken().await,
                Err(error) => error,
            };
            match error {
                connect::Error::Store(SecretError::Db(
                    error @ (database::Error::Unreachable(_) | database::Error::Busy(_)),
                )) => {
                    tracing::warn!(
                        reason = error.reason(),
                        "a bought token pair is not stored yet, will try again"
                    );
                    tokio::time::sleep(STORE_AGAIN).await;
                }
                error => {
                    tracing::error!(%error, "a bought token pair cannot be stored");
                    let message = "The account could not be stored; connect again.".to_owned();
                    return Ended::failed(failure::Code::UnknownError, message);
                }
            }
        }
    }

    /// Link, first sync and the authorization's end, all or nothing.
    async fn try_to_store(&self, bought: &Exchanged) -> Result<Ended, connect::Error> {
        let Self { app, id, user, provider, .. } = self;
        let title = provider.title();
        let page = self.accounts.authorize_page();
        let mut tx = database::begin(&app.control).await?;
        let Linked { connection, missing, stopping } =
            link(&mut tx, &app.keys, &page, *user, bought).await?;
        let first = first_sync::enqueue(&mut tx, *user, *provider, connection).await?;
        let (outcome, message) = if missing.is_empty() {
            (Outcome::Connected, None)
        } else {
            let what = missing.join(", ");
            (
                Outcome::Limited,
                Some(format!("{title} is connected, but this was not allowed: {what}.")),
            )
        };
        let ended =
            authorizations::end(&mut *tx, *id, outcome, message.as_deref(), Some(connection));
        let in_the_way = first_sync::is_in_the_way(first);
        let done = Ended { in_the_way, ..Ended::well(outcome) };
        if !ended.await? {
            tx.rollback().await?;
            let ended = self.how_it_ended().await?.unwrap_or(done);
            return Ok(Ended { in_the_way, ..ended });
        }
        tx.commit().await?;
        tracing::info!(action = "connect", user.id = %user, connection.id = %connection, %provider, ?outcome,
            "an account is connected");
        first_sync::announce(app, *provider, first);
        for job in stopping {
            app.notifier.say(notify::CANCEL, &job);
        }
        Ok(done)
    }

    /// It had ended when we came to say so: by ourselves, if the answer to a commit was lost; or it was replaced, or
    /// given up.
    async fn how_it_ended(&self) -> Result<Option<Ended>, database::Error> {
        let row = authorizations::find(&self.app.control, self.id).await?;
        let outcome = row.and_then(|row| row.outcome);
        Ok(outcome.map(|outcome| {
            let gone = matches!(outcome, Outcome::Failed | Outcome::CodeExpired);
            let code = gone.then_some(failure::Code::CodeExpired);
            Ended { code, ..Ended::well(outcome) }
        }))
    }

    async fn taken(&self) -> Ended {
        let title = self.provider.title();
        let message = format!(
            "Another user has connected this {title} account; disconnect it there first, or choose another account."
        );
        let ended = Ended { message: Some(message), ..Ended::well(Outcome::AccountTaken) };
        match self.note(Some(&ended)).await {
            Ok(()) => ended,
            Err(error) => Ended::failed(failure::Code::UnknownError, error.reason()),
        }
    }

    /// Writes down how it ended, or that the code is as good as before; repeats it while Postgres is away or busy.
    async fn note(&self, ended: Option<&Ended>) -> Result<(), database::Error> {
        let db = &self.app.control;
        loop {
            let noted = match ended {
                None => authorizations::give_code_back(db, self.id).await,
                Some(Ended { outcome, message, .. }) => {
                    // False: it had ended before; the page has that end.
                    let end = authorizations::end(db, self.id, *outcome, message.as_deref(), None);
                    end.await.map(|_first| ())
                }
            };
            match noted {
                Err(error @ (database::Error::Unreachable(_) | database::Error::Busy(_))) => {
                    let reason = error.reason();
                    tracing::warn!(
                        reason,
                        "how an exchange went is not stored yet, will try again"
                    );
                    tokio::time::sleep(STORE_AGAIN).await;
                }
                other => return other,
            }
        }
    }
}

/// Whether the code is surely as good as before, and when to send it again; `None`: the provider may have taken it,
/// or will never take it.
fn unused(error: &providers::Error) -> Option<Duration> {
    use providers::Error as E;
    match error {
        E::Wait { after, .. } => Some((*after).max(PAUSE)),
        E::Unmetered(_) => Some(PAUSE),
        E::Network(detail) if detail.unsent => Some(PAUSE),
        // It answered that it could not look at the code now.
        E::Temporary(detail) if detail.status.is_some_and(|status| status >= 400) => Some(PAUSE),
        E::Network(_)
        | E::Temporary(_)
        | E::Unauthorized(_)
        | E::Denied(_)
        | E::Gone(_)
        | E::Refused(_)
        | E::TooLarge { .. } => None,
    }
}

/// What the user reads.
fn told(title: &str, error: &providers::Error) -> String {
    use providers::Error as E;
    match error {
        E::Gone(_) => format!("{title} has ended its service; connect another provider."),
        E::Network(_) | E::Temporary(_) | E::TooLarge { .. } => {
            format!("The answer of {title} was lost on its way; connect again.")
        }
        _ => format!("{title} refused the connection; tell whoever runs this app."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::{Detail, Error as E};

    fn detail(status: Option<u16>, unsent: bool) -> Detail {
        Detail { status, unsent, ..Detail::default() }
    }

    #[test]
    fn a_code_is_sent_again_only_if_the_provider_surely_has_not_taken_it() {
        let minute = Duration::from_mins(1);
        for (error, again) in [
            (E::Network(detail(None, true)), Some(PAUSE)),
            (E::Temporary(detail(Some(503), false)), Some(PAUSE)),
            (E::Wait { reason: "rate_limit", after: minute }, Some(minute)),
            (E::Wait { reason: "rate_limit", after: Duration::ZERO }, Some(PAUSE)),
            (E::Network(detail(None, false)), None),
            (E::Network(detail(Some(200), false)), None),
            (E::Temporary(detail(Some(200), false)), None),
            (E::Temporary(detail(None, false)), None),
            (E::Refused(detail(Some(400), false)), None),
            (E::Denied(detail(Some(403), false)), None),
            (E::Gone(detail(Some(410), false)), None),
        ] {
            assert_eq!(unused(&error), again, "{error:?}");
        }
    }
}
