//! `idempotency_keys`: answers given under an `Idempotency-Key`, kept for a day.

use super::{Db, Error};
use crate::UserId;
use sqlx::PgConnection;

/// What is known about a key.
#[derive(Debug)]
pub enum Known {
    /// Nothing: act, then [`remember`] in the same transaction.
    New,
    /// The same request was answered so.
    Answered {
        /// The HTTP status.
        status: i16,
        /// The body.
        response: serde_json::Value,
    },
    /// The key was used with another body.
    Mismatch,
}

/// Looks a key up and locks it until the transaction ends, so that of two equal requests the second
/// waits for the first one's answer.
pub async fn look_up(
    tx: &mut PgConnection,
    user: UserId,
    route: &str,
    key: &str,
    body_hash: &[u8],
) -> Result<Known, Error> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended($1, 0)) as "locked: ()""#,
        format!("idempotency/{user}/{route}/{key}")
    )
    .fetch_one(&mut *tx)
    .await?;
    let row = sqlx::query!(
        "select status, response, body_hash from paceline.idempotency_keys
          where user_id = $1 and route = $2 and key = $3 and expires_at > clock_timestamp()",
        user.0,
        route,
        key
    )
    .fetch_optional(tx)
    .await?;
    Ok(match row {
        None => Known::New,
        Some(row) if row.body_hash == body_hash => {
            Known::Answered { status: row.status, response: row.response }
        }
        Some(_) => Known::Mismatch,
    })
}

/// Keeps the answer, in the transaction of the act.
pub async fn remember(
    tx: &mut PgConnection,
    user: UserId,
    route: &str,
    key: &str,
    body_hash: &[u8],
    status: i16,
    response: &serde_json::Value,
) -> Result<(), Error> {
    sqlx::query!(
        "insert into paceline.idempotency_keys (user_id, route, key, body_hash, status, response, expires_at)
         values ($1, $2, $3, $4, $5, $6, clock_timestamp() + interval '24 hours')
         on conflict (user_id, route, key) do update
           set body_hash = excluded.body_hash, status = excluded.status, response = excluded.response,
               expires_at = excluded.expires_at",
        user.0,
        route,
        key,
        body_hash,
        status,
        response
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets expired keys, a batch at a time; answers how many.
pub async fn forget_expired(db: &Db) -> Result<u64, Error> {
    let gone = sqlx::query!(
        "delete from paceline.idempotency_keys where ctid = any(array(
           select ctid from paceline.idempotency_keys where expires_at < clock_timestamp() limit 1000))"
    )
    .execute(db)
    .await?;
    Ok(gone.rows_affected())
}
