//! Connecting an account: what a code buys, stored. The code-exchange job and the demo both call this.

use crate::providers::strava::{ExchangeError, Strava};
use paceline_shared::{
    ConnectionId, Provider, UserId,
    db::{
        self,
        connection_secrets::SecretError,
        connections::{self, Grant},
    },
    sealing::Keyring,
};
use secrecy::SecretString;

/// Why an account is not connected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The provider.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// The database or the keys.
    #[error(transparent)]
    Store(#[from] SecretError),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(SecretError::Db(db::Error::from(error)))
    }
}

/// Buys tokens with a code and connects the account. `granted`: the scopes that came back with the code,
/// separated by commas; where one that a sync needs is missing, the connection is limited.
pub async fn with_code(
    db: &db::Db,
    keys: &Keyring,
    strava: &Strava,
    user: UserId,
    code: &SecretString,
    granted: &str,
) -> Result<ConnectionId, Error> {
    let bought = strava.exchange(code, granted).await?;
    let mut tx = db::begin(db).await.map_err(SecretError::from)?;
    let grant = Grant {
        user,
        provider: Provider::Strava,
        provider_account_id: &bought.account_id,
        scopes: &bought.scopes,
        state: bought.state,
        tokens: bought.tokens,
    };
    let connection = connections::connect(&mut tx, keys, grant).await?;
    tx.commit().await?;
    tracing::info!(action = "connect", user.id = %user, connection.id = %connection, provider = %Provider::Strava,
        "an account is connected");
    Ok(connection)
}
