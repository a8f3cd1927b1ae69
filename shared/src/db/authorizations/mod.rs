//! `authorizations`: a user's way to a provider's consent page and back, for both sides of it. The api sends him
//! off and takes the code when he returns; a worker opens the code and says how it ended.
//!
//! Code and verifier lie sealed, are opened in [`open_code`] alone, and are gone when the row has ended.

mod code;

pub use code::{OpenCode, Opened, give_code_back, open_code, reseal, take_code};

use code::{CODE, VERIFIER, seal};

use super::{Error, connection_secrets::SecretError};
use crate::{AuthorizationId, ConnectionId, JobId, Provider, UserId, sealing::Keyring};
use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgExecutor};
use std::time::Duration;

/// How it ended.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Outcome {
    /// The account is connected.
    Connected,
    /// It is connected, but the user withheld something that a sync needs.
    Limited,
    /// The user, or the provider for him, said no.
    Denied,
    /// The code was not exchanged in time, or the provider did not take it: start again.
    CodeExpired,
    /// Another user of ours has this account.
    AccountTaken,
    /// The same user came back with a newer code.
    Replaced,
    /// Anything else; the message says what.
    Failed,
}

/// A user about to be sent away.
#[derive(Clone, Debug)]
pub struct NewAuthorization<'a> {
    /// Who.
    pub user: UserId,
    /// Where to.
    pub provider: Provider,
    /// The `state` that goes along. Its hash is kept, never itself.
    pub state: &'a SecretString,
    /// The PKCE verifier whose challenge goes along, where the provider takes one.
    pub verifier: Option<&'a SecretString>,
    /// Where the provider sends the user back to.
    pub redirect_uri: &'a str,
    /// Where the user goes in the end; checked against the allow-list by the caller.
    pub return_to: Option<&'a str>,
    /// What is asked for.
    pub scopes: &'a [String],
    /// How long a code is good for once the user is back.
    pub code_lives: Duration,
    /// How long the user may take.
    pub lives: Duration,
}

/// An authorization without its secrets.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// Its id.
    pub id: AuthorizationId,
    /// Whose.
    pub user: UserId,
    /// Where.
    pub provider: Provider,
    /// Where the user goes in the end.
    pub return_to: Option<String>,
    /// What was asked for.
    pub scopes: Vec<String>,
    /// The exchange job, once the user came back with a code.
    pub job: Option<JobId>,
    /// What it connected.
    pub connection: Option<ConnectionId>,
    /// How it ended; `None`: under way.
    pub outcome: Option<Outcome>,
    /// For the user, where the outcome does not say all.
    pub message: Option<String>,
    /// When the user was sent away.
    pub created_at: DateTime<Utc>,
    /// When the user is too late.
    pub expires_at: DateTime<Utc>,
    /// When he came back with a code.
    pub returned_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
    /// Whether `expires_at` is past, by the database's clock. Says nothing once the user has returned.
    pub expired: bool,
    /// Whether the code has run out, by the database's clock: while nothing else is said, there was no worker in time.
    pub code_expired: bool,
    /// Whether a worker has the exchange job now.
    pub claimed: bool,
}

/// Notes that a user is sent away. Its id is no secret: it may stand in the address of a status page.
pub async fn begin(
    db: impl PgExecutor<'_>,
    keys: &Keyring,
    new: &NewAuthorization<'_>,
) -> Result<AuthorizationId, SecretError> {
    let id = AuthorizationId::fresh();
    let sealed_verifier = new.verifier.map(|verifier| seal(keys, id, VERIFIER, verifier));
    sqlx::query!(
        "insert into paceline.authorizations
           (id, user_id, provider, state_hash, sealed_verifier, redirect_uri, return_to, scopes, code_lives_s, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + make_interval(secs => $10))",
        id.0,
        new.user.0,
        new.provider.as_str(),
        hash(new.state),
        sealed_verifier.transpose()?,
        new.redirect_uri,
        new.return_to,
        new.scopes,
        i32::try_from(new.code_lives.as_secs()).unwrap_or(i32::MAX),
        new.lives.as_secs_f64()
    )
    .execute(db)
    .await
    .map_err(Error::from)?;
    Ok(id)
}

/// The one that a `state` belongs to, whether or not it is too late or has ended.
///
/// Where the exchange job was given up (cancelled by an admin, or lost with its workers) and nobody said how the
/// authorization ended, it is [`Outcome::Failed`].
pub async fn by_state(
    db: impl PgExecutor<'_>,
    state: &SecretString,
) -> Result<Option<Authorization>, Error> {
    look(db, None, Some(hash(state))).await
}

/// The one with this id.
pub async fn find(
    db: impl PgExecutor<'_>,
    id: AuthorizationId,
) -> Result<Option<Authorization>, Error> {
    look(db, Some(id), None).await
}

async fn look(
    db: impl PgExecutor<'_>,
    id: Option<AuthorizationId>,
    state_hash: Option<Vec<u8>>,
) -> Result<Option<Authorization>, Error> {
    Ok(sqlx::query_as!(
        Authorization,
        r#"select a.id as "id: AuthorizationId", a.user_id as "user: UserId", a.provider as "provider: Provider", return_to,
                  scopes, job_id as "job: JobId", a.connection_id as "connection: ConnectionId",
                  case when outcome is null and job_id is not null and j.id is null then 'failed' else outcome end
                    as "outcome: Outcome",
                  message, a.created_at, expires_at, returned_at, ended_at,
                  expires_at <= clock_timestamp() as "expired!",
                  coalesce(code_expires_at <= clock_timestamp(), false) as "code_expired!",
                  j.worker is not null as "claimed!"
             from paceline.authorizations a left join paceline.sync_jobs j on j.id = a.job_id
            where a.id = $1 or state_hash = $2"#,
        id.map(|id| id.0),
        state_hash
    )
    .fetch_optional(db)
    .await?)
}

/// What became of a code that a user brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// It is kept, once: enqueue the exchange in the same transaction.
    Kept,
    /// He had brought one before, or it had ended: nothing was changed, look how it stands.
    Before,
    /// He was too late: nothing was changed. End it as [`Outcome::CodeExpired`].
    Late,
}

/// Keeps the code that a user came back with, sealed, in the caller's transaction. `accepted`: the `scope`
/// beside it.
///
/// [`super::sync_jobs::enqueue_exchange`] belongs in the same transaction.
pub async fn returned(
    tx: &mut PgConnection,
    keys: &Keyring,
    id: AuthorizationId,
    code: &SecretString,
    accepted: Option<&str>,
) -> Result<Returned, SecretError> {
    let row = sqlx::query!(
        r#"with open as (
             select id, returned_at is null and outcome is null as first, expires_at
               from paceline.authorizations where id = $1 for update),
           kept as (
             update paceline.authorizations a
                set sealed_code = $2, accepted = $3, returned_at = t.now,
                    code_expires_at = t.now + make_interval(secs => a.code_lives_s)
               from open, (select clock_timestamp() as now) t
              where a.id = open.id and open.first and open.expires_at > t.now
             returning a.id)
           select first as "first!", (select id from kept) is not null as "kept!" from open"#,
        id.0,
        seal(keys, id, CODE, code)?,
        accepted
    )
    .fetch_optional(tx)
    .await
    .map_err(Error::from)?;
    Ok(match row {
        Some(row) if row.kept => Returned::Kept,
        Some(row) if row.first => Returned::Late,
        _ => Returned::Before,
    })
}

/// Ends the user's others at this provider that came back with a code, as [`Outcome::Replaced`]. Ways that
/// are still open, in another tab for instance, stay open.
pub(super) async fn replace_older(
    tx: &mut PgConnection,
    user: UserId,
    provider: Provider,
    by: AuthorizationId,
) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.authorizations
            set outcome = 'replaced', ended_at = clock_timestamp(), sealed_code = null, sealed_verifier = null
          where user_id = $1 and provider = $2 and id <> $3 and outcome is null and returned_at is not null",
        user.0,
        provider.as_str(),
        by.0
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes which job exchanges the code.
pub(super) async fn set_job(
    tx: &mut PgConnection,
    id: AuthorizationId,
    job: JobId,
) -> Result<(), Error> {
    sqlx::query!("update paceline.authorizations set job_id = $2 where id = $1", id.0, job.0)
        .execute(tx)
        .await?;
    Ok(())
}

/// Says how it ended, and wipes code and verifier. False: it had ended before, and nothing was changed.
pub async fn end(
    db: impl PgExecutor<'_>,
    id: AuthorizationId,
    outcome: Outcome,
    message: Option<&str>,
    connection: Option<ConnectionId>,
) -> Result<bool, Error> {
    let ended = sqlx::query!(
        "update paceline.authorizations
            set outcome = $2, message = $3, connection_id = $4, ended_at = clock_timestamp(),
                sealed_code = null, sealed_verifier = null
          where id = $1 and outcome is null",
        id.0,
        outcome as _,
        message,
        connection.map(|connection| connection.0)
    )
    .execute(db)
    .await?;
    Ok(ended.rows_affected() == 1)
}

/// Ends up to `limit` that nobody will end any more: the user did not come back in time, or his code ran out and
/// no job is left for it. Answers how many.
pub async fn expire(db: impl PgExecutor<'_>, limit: i64) -> Result<u64, Error> {
    let ended = sqlx::query!(
        "update paceline.authorizations
            set outcome = 'code_expired', ended_at = clock_timestamp(), sealed_code = null, sealed_verifier = null
          where id = any(array(
            select id from paceline.authorizations a
             where outcome is null and expires_at < clock_timestamp()
               and (returned_at is null
                    or (code_expires_at < clock_timestamp()
                        and not exists (select from paceline.sync_jobs j where j.id = a.job_id)))
             order by expires_at limit $1 for update skip locked))",
        limit
    )
    .execute(db)
    .await?;
    Ok(ended.rows_affected())
}

/// Forgets up to `limit` ways of which nothing can come any more and whose end is `keep` ago; answers how many.
pub async fn forget_old(db: impl PgExecutor<'_>, keep: Duration, limit: i64) -> Result<u64, Error> {
    let gone = sqlx::query!(
        "delete from paceline.authorizations where id = any(array(
           select id from paceline.authorizations a
            where expires_at < clock_timestamp() - make_interval(secs => $1)
              and coalesce(ended_at, code_expires_at, expires_at) < clock_timestamp() - make_interval(secs => $1)
              and not exists (select from paceline.sync_jobs j where j.id = a.job_id)
            order by expires_at limit $2 for update skip locked))",
        keep.as_secs_f64(),
        limit
    )
    .execute(db)
    .await?;
    Ok(gone.rows_affected())
}

fn hash(state: &SecretString) -> Vec<u8> {
    Sha256::digest(state.expose_secret().as_bytes()).to_vec()
}
