//! Access tokens for the pipeline: refreshed five minutes early or when refused, by one process at a
//! time, and stored before they are used.
//!
//! The refresh runs in a task of its own, which neither cancel nor drain nor a lost lease ends: a
//! rotated pair that nobody stored would be lost for good.

use crate::{job::App, providers, providers::strava::RefreshError};
use paceline_shared::{
    ConnectionId,
    db::{
        self,
        connection_secrets::{self, SecretError, Stored},
        connections,
    },
    sealing,
};
use std::time::Duration;

/// How often a worker looks whether another one's refresh is done.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The account is not connected, or not any more.
    #[error("the account must be connected again")]
    NeedsReauth,
    /// The provider gave no answer about it.
    #[error(transparent)]
    Provider(providers::Error),
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
    connection: ConnectionId,
    refused: Option<i64>,
) -> Result<Stored, Error> {
    loop {
        let stored = connection_secrets::open(&app.db, &app.keys, connection)
            .await?
            .ok_or(Error::NeedsReauth)?;
        if !stored.expires_soon && refused != Some(stored.version) {
            return Ok(stored);
        }
        if connection_secrets::lease_refresh(&app.db, connection, stored.version, app.worker)
            .await?
        {
            let refresh = tokio::spawn(refresh(app.clone(), connection, stored));
            match refresh.await {
                Ok(refreshed) => refreshed?,
                // It panicked: its lease runs out, and somebody refreshes again.
                Err(error) => tracing::error!(%error, "a refresh ended early"),
            }
        } else {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

async fn refresh(app: App, connection: ConnectionId, old: Stored) -> Result<(), Error> {
    metrics::counter!("paceline_token_refreshes_total").increment(1);
    match app.strava.refresh(&old.tokens.refresh).await {
        Ok(tokens) => {
            // The old refresh token may be dead by now: this pair is all there is.
            loop {
                match connection_secrets::store_refreshed(
                    &app.control,
                    &app.keys,
                    connection,
                    old.version,
                    &tokens,
                )
                .await
                {
                    Ok(_) => return Ok(()),
                    Err(SecretError::Db(
                        error @ (db::Error::Unreachable(_) | db::Error::Busy(_)),
                    )) => {
                        tracing::warn!(
                            reason = error.reason(),
                            "a new token pair is not stored yet, will try again"
                        );
                        tokio::time::sleep(LOOK_AGAIN * 5).await;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Err(error) => {
            let error = match error {
                RefreshError::Invalid(_) => {
                    if !connections::needs_reauth(&app.control, connection, old.version).await? {
                        // Somebody has stored another pair meanwhile.
                        return Ok(());
                    }
                    Error::NeedsReauth
                }
                RefreshError::Failed(error) => Error::Provider(error),
            };
            connection_secrets::release_refresh(&app.control, connection, app.worker).await?;
            Err(error)
        }
    }
}
