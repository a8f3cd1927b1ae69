//! `connections`: a user's permanent links to providers. Tokens are in `connection_secrets`.

use super::{Error, connection_secrets};
use crate::{ConnectionId, JobId, Provider, UserId, sealing::Keyring};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, postgres::types::PgRange};

/// Whether a connection can be used.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum State {
    /// All asked scopes are there.
    Active,
    /// The user withheld a scope.
    Limited,
    /// The provider does not know our token any more.
    NeedsReauth,
    /// The provider has ended.
    ProviderGone,
    /// The user took it back.
    Revoked,
}

impl State {
    /// Whether a sync can go through it.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Active | Self::Limited)
    }
}

/// A link that a sync could use.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// Whose it is.
    pub user: UserId,
    /// To which provider.
    pub provider: Provider,
    /// The provider's name for the account.
    pub provider_account_id: String,
    /// Whether it can be used.
    pub state: State,
}

/// A user's connection to a provider: the newest that is not revoked.
pub async fn of(
    db: impl PgExecutor<'_>,
    user: UserId,
    provider: Provider,
) -> Result<Option<Connection>, Error> {
    Ok(sqlx::query_as!(
        Connection,
        r#"select id as "id: ConnectionId", user_id as "user: UserId", provider as "provider: Provider",
                  provider_account_id, state as "state: State"
             from paceline.connections
            where user_id = $1 and provider = $2 and state <> 'revoked'
            order by created_at desc limit 1"#,
        user.0,
        provider.as_str()
    )
    .fetch_optional(db)
    .await?)
}

/// What a code exchange learnt.
#[derive(Debug)]
pub struct Grant<'a> {
    /// Whose account it is with us.
    pub user: UserId,
    /// Where.
    pub provider: Provider,
    /// The provider's name for the account.
    pub provider_account_id: &'a str,
    /// What the provider granted.
    pub scopes: &'a [String],
    /// Whether all asked scopes are there.
    pub state: State,
    /// The first token pair.
    pub tokens: connection_secrets::Tokens,
}

/// Connects an account, or connects it again: the link and its history stay the same, the tokens
/// are replaced. Part of the caller's transaction.
pub async fn connect(
    tx: &mut PgConnection,
    keys: &Keyring,
    grant: Grant<'_>,
) -> Result<ConnectionId, connection_secrets::SecretError> {
    let id = sqlx::query_scalar!(
        r#"insert into paceline.connections (id, user_id, provider, provider_account_id, scopes, state)
           values ($1, $2, $3, $4, $5, $6)
           on conflict (user_id, provider, provider_account_id)
           do update set scopes = excluded.scopes, state = excluded.state, updated_at = clock_timestamp()
           returning id as "id: ConnectionId""#,
        ConnectionId::fresh().0,
        grant.user.0,
        grant.provider.as_str(),
        grant.provider_account_id,
        grant.scopes,
        grant.state as _
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(Error::from)?;
    connection_secrets::put(tx, keys, id, &grant.tokens).await?;
    Ok(id)
}

/// Notes that the connection is in another state now, and says so to whoever asks.
pub async fn set_state(
    db: impl PgExecutor<'_>,
    id: ConnectionId,
    state: State,
) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.connections set state = $2, updated_at = clock_timestamp() where id = $1 and state <> $2 and state <> 'revoked'",
        id.0,
        state as _
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that the provider refuses the pair of version `seen`. False: another pair is there by now, and
/// nothing was noted.
pub async fn needs_reauth(
    db: impl PgExecutor<'_>,
    id: ConnectionId,
    seen: i64,
) -> Result<bool, Error> {
    let noted = sqlx::query!(
        "update paceline.connections set state = 'needs_reauth', updated_at = clock_timestamp()
          where id = $1 and state not in ('revoked', 'provider_gone') and exists (
            select from paceline.connection_secrets where connection_id = $1 and token_version = $2)",
        id.0,
        seen
    )
    .execute(db)
    .await?;
    Ok(noted.rows_affected() == 1)
}

/// Notes that `job` has read a range of start times completely, up to the moment it began.
pub async fn cover(
    db: impl PgExecutor<'_>,
    id: ConnectionId,
    job: JobId,
    range: PgRange<DateTime<Utc>>,
) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.connections
            set covered = covered + tstzmultirange(
                  $2::tstzrange * tstzrange(null, r.started_at)), updated_at = clock_timestamp()
           from paceline.sync_runs r
          where id = $1 and r.job_id = $3",
        id.0,
        range,
        job.0
    )
    .execute(db)
    .await?;
    Ok(())
}
