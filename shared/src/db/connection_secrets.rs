//! `connection_secrets`: sealed token pairs, and the lease under which one process refreshes them.
//!
//! No plain token leaves this file except inside [`Tokens`], whose parts do not show in `Debug`.

use super::Error;
use crate::{ConnectionId, WorkerId, sealing::Keyring};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor};

/// A token pair.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Goes into the Authorization header.
    pub access: SecretString,
    /// Buys the next pair, often once only.
    pub refresh: SecretString,
    /// When the access token ends.
    pub expires_at: DateTime<Utc>,
}

/// A stored pair with the version that a later store must name.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The pair.
    pub tokens: Tokens,
    /// Its version.
    pub version: i64,
    /// Whether fewer than five minutes are left, by the database's clock.
    pub expires_soon: bool,
}

/// Why tokens could not be stored or opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The database.
    #[error(transparent)]
    Db(#[from] Error),
    /// The keys.
    #[error(transparent)]
    Sealing(#[from] crate::sealing::Error),
}

#[derive(Serialize, Deserialize)]
struct Plain {
    access: String,
    refresh: String,
}

fn owner(id: ConnectionId) -> String {
    format!("connection_secrets/{id}")
}

fn seal(
    keys: &Keyring,
    id: ConnectionId,
    tokens: &Tokens,
) -> Result<Vec<u8>, crate::sealing::Error> {
    let plain = serde_json::json!(Plain {
        access: tokens.access.expose_secret().to_owned(),
        refresh: tokens.refresh.expose_secret().to_owned(),
    });
    keys.seal(&owner(id), plain.to_string().as_bytes())
}

/// Stores a pair, whatever was there; a refresh lease on the old pair ends.
pub async fn put(
    db: impl PgExecutor<'_>,
    keys: &Keyring,
    id: ConnectionId,
    tokens: &Tokens,
) -> Result<(), SecretError> {
    sqlx::query!(
        "insert into paceline.connection_secrets as s (connection_id, sealed, expires_at) values ($1, $2, $3)
         on conflict (connection_id) do update
           set sealed = excluded.sealed, expires_at = excluded.expires_at, token_version = s.token_version + 1,
               refresh_by = null, refresh_until = null, updated_at = clock_timestamp()",
        id.0,
        seal(keys, id, tokens)?,
        tokens.expires_at
    )
    .execute(db)
    .await
    .map_err(Error::from)?;
    Ok(())
}

/// The pair of a connection; `None` when it has none.
pub async fn open(
    db: impl PgExecutor<'_>,
    keys: &Keyring,
    id: ConnectionId,
) -> Result<Option<Stored>, SecretError> {
    let row = sqlx::query!(
        r#"select sealed, expires_at, token_version,
                  expires_at < clock_timestamp() + interval '5 minutes' as "expires_soon!"
             from paceline.connection_secrets where connection_id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await
    .map_err(Error::from)?;
    let Some(row) = row else { return Ok(None) };
    let plain: Plain = serde_json::from_slice(&keys.open(&owner(id), &row.sealed)?)
        .map_err(|_e| crate::sealing::Error::Broken)?;
    Ok(Some(Stored {
        tokens: Tokens {
            access: plain.access.into(),
            refresh: plain.refresh.into(),
            expires_at: row.expires_at,
        },
        version: row.token_version,
        expires_soon: row.expires_soon,
    }))
}

/// Takes the refresh lease for a minute. False: another worker has it, or the pair is newer than `seen`.
pub async fn lease_refresh(
    db: impl PgExecutor<'_>,
    id: ConnectionId,
    seen: i64,
    by: WorkerId,
) -> Result<bool, Error> {
    let taken = sqlx::query!(
        "update paceline.connection_secrets
            set refresh_by = $3, refresh_until = clock_timestamp() + interval '60 seconds'
          where connection_id = $1 and token_version = $2
            and (refresh_until is null or refresh_until < clock_timestamp())",
        id.0,
        seen,
        by.0
    )
    .execute(db)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Stores the pair that a refresh bought. False: the pair it replaces is not there any more.
///
/// Whoever tried the old pair meanwhile may have taken the account for lost: it is not.
pub async fn store_refreshed(
    db: impl PgExecutor<'_>,
    keys: &Keyring,
    id: ConnectionId,
    seen: i64,
    tokens: &Tokens,
) -> Result<bool, SecretError> {
    let stored = sqlx::query!(
        r#"with stored as (
             update paceline.connection_secrets
                set sealed = $3, expires_at = $4, token_version = token_version + 1,
                    refresh_by = null, refresh_until = null, updated_at = clock_timestamp()
              where connection_id = $1 and token_version = $2
             returning connection_id),
           back as (
             update paceline.connections
                set state = case when missing = '{}' then 'active' else 'limited' end, updated_at = clock_timestamp()
              where state = 'needs_reauth' and id = any(array(select connection_id from stored)))
           select count(*) as "stored!" from stored"#,
        id.0,
        seen,
        seal(keys, id, tokens)?,
        tokens.expires_at
    )
    .fetch_one(db)
    .await
    .map_err(Error::from)?;
    Ok(stored.stored == 1)
}

/// Gives the refresh lease back after a refresh that failed.
pub async fn release_refresh(
    db: impl PgExecutor<'_>,
    id: ConnectionId,
    by: WorkerId,
) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.connection_secrets set refresh_by = null, refresh_until = null
          where connection_id = $1 and refresh_by = $2",
        id.0,
        by.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes the pair of a connection; a refresh under way will find nothing to store over.
pub async fn forget(db: impl PgExecutor<'_>, id: ConnectionId) -> Result<(), Error> {
    sqlx::query!("delete from paceline.connection_secrets where connection_id = $1", id.0)
        .execute(db)
        .await?;
    Ok(())
}

/// Seals up to `limit` pairs behind `after` anew with the newest key, in the caller's transaction; answers how many
/// and which was the last. Pair, version and lease stay what they were.
pub async fn reseal(
    tx: &mut PgConnection,
    keys: &Keyring,
    after: ConnectionId,
    limit: i64,
) -> Result<(u64, Option<ConnectionId>), SecretError> {
    let rows = sqlx::query!(
        r#"select connection_id as "id: ConnectionId", sealed from paceline.connection_secrets
            where connection_id > $1 and not starts_with(encode(sealed, 'hex'), $2)
            order by connection_id limit $3 for update"#,
        after.0,
        &keys.mark_in_hex(),
        limit
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(Error::from)?;
    for row in &rows {
        sqlx::query!(
            "update paceline.connection_secrets set sealed = $2 where connection_id = $1",
            row.id.0,
            keys.reseal(&owner(row.id), &row.sealed)?
        )
        .execute(&mut *tx)
        .await
        .map_err(Error::from)?;
    }
    Ok((rows.len() as u64, rows.last().map(|row| row.id)))
}
