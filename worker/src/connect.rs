//! Connecting an account: what a code bought, stored. The exchange job calls this, and whoever has a code in his
//! hands already: the demo and tests.

use crate::providers::{Accounts, Code, ExchangeError, Exchanged};
use paceline_shared::{
    ConnectionId, JobId, UserId,
    db::{
        self,
        connection_secrets::SecretError,
        connections::{self, Grant},
        sync_jobs,
    },
    oauth::AuthorizePage,
    sealing::Keyring,
};
use sqlx::PgConnection;

/// Why an account is not connected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The provider.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// Another user of ours has the account.
    #[error("another user has connected this account; disconnect it there first")]
    Taken,
    /// The database or the keys.
    #[error(transparent)]
    Store(#[from] SecretError),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        db::Error::from(error).into()
    }
}

/// A link that was made, or made again.
#[derive(Clone, Debug)]
pub struct Linked {
    /// The link.
    pub connection: ConnectionId,
    /// What of the scopes that a sync needs the user withheld.
    pub missing: Vec<String>,
    /// Good-byes to the same account that run: tell their workers after the commit.
    pub stopping: Vec<JobId>,
}

/// Stores what a code bought, in the caller's transaction. A link that was there, revoked or not, is the same one
/// afterwards, with its history.
pub async fn link(
    tx: &mut PgConnection,
    keys: &Keyring,
    page: &AuthorizePage,
    user: UserId,
    bought: &Exchanged,
) -> Result<Linked, Error> {
    let provider = page.provider;
    if connections::is_taken(tx, user, provider, &bought.account_id).await? {
        return Err(Error::Taken);
    }
    let missing = page.missing(&bought.scopes);
    let grant = Grant {
        user,
        provider,
        provider_account_id: &bought.account_id,
        scopes: &bought.scopes,
        asked: &page.scopes,
        missing: &missing,
        profile: bought.profile.as_ref(),
        tokens: bought.tokens.clone(),
    };
    let connection = connections::connect(tx, keys, grant).await?;
    let stopping = sync_jobs::withdraw_deauthorize(tx, user, provider, connection).await?;
    Ok(Linked { connection, missing, stopping })
}

/// Buys tokens with a code and connects the account, here and now.
pub async fn with_code(
    db: &db::Db,
    keys: &Keyring,
    accounts: &dyn Accounts,
    user: UserId,
    code: &Code,
) -> Result<ConnectionId, Error> {
    let page = accounts.authorize_page();
    let bought = accounts.exchange(code).await?;
    let mut tx = db::begin(db).await?;
    let Linked { connection, .. } = link(&mut tx, keys, &page, user, &bought).await?;
    tx.commit().await?;
    tracing::info!(action = "connect", user.id = %user, connection.id = %connection, provider = %page.provider,
        "an account is connected");
    Ok(connection)
}
