//! `connections`: a user's permanent links to providers. Tokens are in `connection_secrets`. How users see them is in
//! `view`.

mod view;

pub use view::{Row, Source, find, list, sources};

use super::{Error, connection_secrets};
use crate::{ConnectionId, Provider, UserId, sealing::Keyring};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};

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
    /// What was asked for.
    pub asked: &'a [String],
    /// Of what a sync needs, what is not there: with any, the connection is limited.
    pub missing: &'a [String],
    /// Zone and units, where the provider told them.
    pub profile: Option<&'a Value>,
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
    let state = if grant.missing.is_empty() { State::Active } else { State::Limited };
    let id = sqlx::query_scalar!(
        r#"insert into paceline.connections
             (id, user_id, provider, provider_account_id, scopes, state, asked, missing, profile, profile_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, case when $9::jsonb is not null then clock_timestamp() end)
           on conflict (user_id, provider, provider_account_id)
           do update set scopes = excluded.scopes, state = excluded.state, asked = excluded.asked,
                         missing = excluded.missing, profile = coalesce(excluded.profile, connections.profile),
                         profile_at = coalesce(excluded.profile_at, connections.profile_at), revoked_at = null,
                         updated_at = clock_timestamp()
           returning id as "id: ConnectionId""#,
        ConnectionId::fresh().0,
        grant.user.0,
        grant.provider.as_str(),
        grant.provider_account_id,
        grant.scopes,
        state as _,
        grant.asked,
        grant.missing,
        grant.profile
    )
    .fetch_one(&mut *tx)
    .await
    .map_err(Error::from)?;
    connection_secrets::put(tx, keys, id, &grant.tokens).await?;
    Ok(id)
}

/// Notes that the connection is in another state now, by what the provider said to the pair of version `seen`. False:
/// another pair is there by now, or none, and nothing was noted.
///
/// One that is revoked stays that, and so does one whose provider is gone.
pub async fn set_state(
    db: impl PgExecutor<'_>,
    id: ConnectionId,
    state: State,
    seen: i64,
) -> Result<bool, Error> {
    Ok(sqlx::query_scalar!(
        r#"with seen as (
             select connection_id as id from paceline.connection_secrets where connection_id = $1 and token_version = $2),
           noted as (
             update paceline.connections set state = $3, updated_at = clock_timestamp()
              where id = any(array(select id from seen)) and state <> $3 and state not in ('revoked', 'provider_gone'))
           select exists (select from seen) as "seen!""#,
        id.0,
        seen,
        state as _
    )
    .fetch_one(db)
    .await?)
}

/// What a revocation found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Revoked {
    pub(super) provider: Provider,
    /// Whether it was revoked before.
    pub(super) before: bool,
    /// Whether there are tokens still: nobody has told the provider.
    pub(super) has_tokens: bool,
}

/// Revokes a user's link and keeps it locked, in the caller's transaction; another's is `None`.
pub(super) async fn revoke_and_lock(
    tx: &mut PgConnection,
    user: UserId,
    id: ConnectionId,
) -> Result<Option<Revoked>, Error> {
    Ok(sqlx::query_as!(
        Revoked,
        r#"update paceline.connections c
              set state = 'revoked', revoked_at = coalesce(c.revoked_at, clock_timestamp()), updated_at = clock_timestamp()
             from (select id, state from paceline.connections where id = $1 and user_id = $2 for update) old
            where c.id = old.id
           returning c.provider as "provider: Provider", old.state = 'revoked' as "before!",
                     exists (select from paceline.connection_secrets s where s.connection_id = c.id) as "has_tokens!""#,
        id.0,
        user.0
    )
    .fetch_optional(tx)
    .await?)
}

/// Locks a link and answers whether it is revoked; `None`: there is none.
pub async fn lock_revoked(tx: &mut PgConnection, id: ConnectionId) -> Result<Option<bool>, Error> {
    Ok(sqlx::query_scalar!(
        r#"select state = 'revoked' as "revoked!" from paceline.connections where id = $1 for update"#,
        id.0
    )
    .fetch_optional(tx)
    .await?)
}

/// Whether another user of ours holds this account, in the caller's transaction. Until its end nobody else gets
/// an answer for the same account.
pub async fn is_taken(
    tx: &mut PgConnection,
    user: UserId,
    provider: Provider,
    provider_account_id: &str,
) -> Result<bool, Error> {
    lock_account(tx, provider, provider_account_id).await?;
    Ok(sqlx::query_scalar!(
        r#"select exists (
             select from paceline.connections
              where provider = $2 and provider_account_id = $3 and user_id <> $1 and state <> 'revoked') as "taken!""#,
        user.0,
        provider.as_str(),
        provider_account_id
    )
    .fetch_one(tx)
    .await?)
}

/// Whether there is another link to the account of this one that is not revoked, whoever's it is: whatever ends at
/// the provider ends for that one too.
///
/// In the caller's transaction; it and [`is_taken`] wait for each other.
pub async fn is_shared(tx: &mut PgConnection, id: ConnectionId) -> Result<bool, Error> {
    let account = sqlx::query!(
        r#"select provider as "provider: Provider", provider_account_id from paceline.connections where id = $1"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(account) = account else { return Ok(false) };
    lock_account(tx, account.provider, &account.provider_account_id).await?;
    Ok(sqlx::query_scalar!(
        r#"select exists (
             select from paceline.connections
              where provider = $2 and provider_account_id = $3 and id <> $1 and state <> 'revoked') as "shared!""#,
        id.0,
        account.provider.as_str(),
        account.provider_account_id
    )
    .fetch_one(tx)
    .await?)
}

async fn lock_account(
    tx: &mut PgConnection,
    provider: Provider,
    provider_account_id: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($1, 0))",
        format!("paceline.connections/{provider}/{provider_account_id}")
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What a sync must know of its link.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The provider's name for the account.
    pub account: String,
    /// What the provider granted.
    pub scopes: Vec<String>,
    /// Zone and units.
    pub profile: Option<Value>,
    /// The database's clock.
    pub now: DateTime<Utc>,
}

/// What a sync must know of its link; `None`: there is no such link.
pub async fn facts(db: impl PgExecutor<'_>, id: ConnectionId) -> Result<Option<Facts>, Error> {
    Ok(sqlx::query_as!(
        Facts,
        r#"select provider_account_id as account, scopes, profile, clock_timestamp() as "now!"
             from paceline.connections where id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await?)
}

/// Keeps what the provider says of the account now.
pub async fn keep_profile(
    db: impl PgExecutor<'_>,
    id: ConnectionId,
    profile: &Value,
) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.connections set profile = $2, profile_at = clock_timestamp() where id = $1",
        id.0,
        profile
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that everything new was read, with all that was granted: what the provider refused for a while is over.
pub async fn synced(db: impl PgExecutor<'_>, id: ConnectionId) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.connections
            set last_synced_at = clock_timestamp(),
                state = case when state = 'limited' and missing = '{}' then 'active' else state end
          where id = $1",
        id.0
    )
    .execute(db)
    .await?;
    Ok(())
}
