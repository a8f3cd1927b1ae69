//! Access tokens for the pipeline: refreshed five minutes early or when refused, by one process at a
//! time, and stored before they are used.
//!
//! The refresh runs in a task of its own, which neither cancel nor drain nor a lost lease ends: a
//! rotated pair that nobody stored would be lost for good.

use crate::{
    job::App,
    providers::{self, Accounts, Detail, RefreshError},
};
use paceline_shared::{
    ConnectionId, Provider,
    db::{
        self,
        connection_secrets::{self, SecretError, Stored, Tokens},
        connections::{self, State},
    },
    sealing,
};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How often a worker looks whether another one's refresh is done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// A call that takes longer is given up, before others may take the lease.
const CALL: Duration = Duration::from_secs(45);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account is not connected, or not any more.
    #[error("the account must be connected again")]
    NeedsReauth,
    /// This process has no application at the provider.
    #[error("this worker has no application at {}", .0.title())]
    NoApplication(Provider),
    /// The provider gave no answer about it.
    #[error("{error}")]
    Provider {
        /// What it said instead.
        #[source]
        error: providers::Error,
        /// The version of the pair that was to be refreshed.
        version: i64,
    },
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
    /// The keys do not open what is stored.
    #[error(transparent)]
    Sealing(#[from] sealing::Error),
}

impl From<SecretError> for Error {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Db(error) => Self::Db(error),
            SecretError::Sealing(error) => Self::Sealing(error),
        }
    }
}

/// A token that is good for some minutes. `refused`: the version of a pair that the provider did not
/// accept; it is refreshed however long it should still live.
pub async fn access(
    app: &App,
    provider: Provider,
    connection: ConnectionId,
    refused: Option<i64>,
) -> Result<Stored, Error> {
    let mut found = None;
    loop {
        let stored = connection_secrets::open(&app.db, &app.keys, connection)
            .await?
            .ok_or(Error::NeedsReauth)?;
        // A pair that is new since we look is as good as there is, however short it lives.
        let is_new = *found.get_or_insert(stored.version) != stored.version;
        if refused != Some(stored.version) && (is_new || !stored.expires_soon) {
            return Ok(stored);
        }
        let accounts =
            app.providers.accounts(provider).cloned().ok_or(Error::NoApplication(provider))?;
        if connection_secrets::lease_refresh(&app.db, connection, stored.version, app.worker)
            .await?
        {
            metrics::counter!("paceline_token_refreshes_total", "provider" => provider.as_str())
                .increment(1);
            let refresh = Refresh { app: app.clone(), accounts, connection, old: stored };
            match app.vital.spawn(refresh.run()).await {
                Ok(refreshed) => refreshed?,
                // It panicked: its lease runs out, and somebody refreshes again.
                Err(error) => tracing::error!(%error, "a refresh ended early"),
            }
        } else {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// A refresh under its lease.
struct Refresh {
    app: App,
    accounts: Arc<dyn Accounts>,
    connection: ConnectionId,
    old: Stored,
}

impl Refresh {
    async fn run(self) -> Result<(), Error> {
        let Self { app, accounts, connection, old } = &self;
        let error = match timeout(CALL, accounts.refresh(&old.tokens.refresh)).await {
            Ok(Ok(tokens)) => return self.store(&tokens).await,
            Ok(Err(RefreshError::Invalid(_))) => {
                let (db, state) = (&app.control, State::NeedsReauth);
                if !connections::set_state(db, *connection, state, old.version).await? {
                    // Somebody has stored another pair meanwhile, or there is none any more.
                    return Ok(());
                }
                Error::NeedsReauth
            }
            Ok(Err(RefreshError::Failed(error))) => Error::Provider { error, version: old.version },
            Err(_elapsed) => {
                let message = "the refresh took too long".to_owned();
                let error = providers::Error::Network(Detail { message, ..Detail::default() });
                Error::Provider { error, version: old.version }
            }
        };
        connection_secrets::release_refresh(&app.control, *connection, app.worker).await?;
        Err(error)
    }

    /// The old refresh token may be dead by now: this pair is all there is.
    async fn store(&self, tokens: &Tokens) -> Result<(), Error> {
        let Self { app, connection, old, .. } = self;
        loop {
            let (db, keys) = (&app.control, &app.keys);
            let stored =
                connection_secrets::store_refreshed(db, keys, *connection, old.version, tokens);
            match stored.await {
                Ok(_) => return Ok(()),
                Err(SecretError::Db(error @ (db::Error::Unreachable(_) | db::Error::Busy(_)))) => {
                    let reason = error.reason();
                    tracing::warn!(reason, "a new token pair is not stored yet, will try again");
                    tokio::time::sleep(LOOK_AGAIN * 5).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}
