//! What lies sealed in an authorization: who may open it, who may send it, and with which key it is sealed.

use super::Outcome;
use crate::{
    AuthorizationId, Provider, UserId,
    db::{Error, connection_secrets::SecretError},
    sealing::{self, Keyring},
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{PgConnection, PgExecutor};
use std::time::Duration;

/// What a worker takes to the provider.
#[derive(Clone, Debug)]
pub struct OpenCode {
    /// Whose.
    pub user: UserId,
    /// Where.
    pub provider: Provider,
    /// The code.
    pub code: SecretString,
    /// The PKCE verifier, where one was made.
    pub verifier: Option<SecretString>,
    /// Where the user was sent back to.
    pub redirect_uri: String,
    /// The `scope` that came beside the code.
    pub accepted: Option<String>,
    /// What was asked for.
    pub scopes: Vec<String>,
    /// How long it is good for, by the database's clock; zero: it has run out.
    pub left: Duration,
    /// Since when somebody is at it: it was sent, and no answer is known. The provider may have taken it.
    pub sent_for: Option<Duration>,
}

/// What there is to exchange.
#[derive(Debug)]
pub enum Opened {
    /// A code.
    Code(Box<OpenCode>),
    /// Nothing any more: it has ended.
    Ended(Outcome),
    /// Nothing: there is no such row, or nobody came back to it.
    Absent,
}

/// Opens the code of an authorization that has not ended.
pub async fn open_code(
    db: impl PgExecutor<'_>,
    keys: &Keyring,
    id: AuthorizationId,
) -> Result<Opened, SecretError> {
    let row = sqlx::query!(
        r#"select user_id as "user: UserId", provider as "provider: Provider", sealed_code, sealed_verifier,
                  redirect_uri, accepted, scopes, outcome as "outcome: Outcome",
                  extract(epoch from clock_timestamp() - sent_at)::float8 as sent_for_s,
                  extract(epoch from code_expires_at - clock_timestamp())::float8 as left_s
             from paceline.authorizations where id = $1"#,
        id.0
    )
    .fetch_optional(db)
    .await
    .map_err(Error::from)?;
    let Some(row) = row else { return Ok(Opened::Absent) };
    if let Some(outcome) = row.outcome {
        return Ok(Opened::Ended(outcome));
    }
    let Some(sealed_code) = row.sealed_code else { return Ok(Opened::Absent) };
    let verifier = row.sealed_verifier.map(|sealed| open(keys, id, VERIFIER, &sealed));
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or_default();
    Ok(Opened::Code(Box::new(OpenCode {
        user: row.user,
        provider: row.provider,
        code: open(keys, id, CODE, &sealed_code)?,
        verifier: verifier.transpose()?,
        redirect_uri: row.redirect_uri,
        accepted: row.accepted,
        scopes: row.scopes,
        left: seconds(row.left_s.unwrap_or_default()),
        sent_for: row.sent_for_s.map(seconds),
    })))
}

/// Takes the right to send the code, before it is sent. False: somebody else has it, or had it and never said
/// what came of it; or the code has run out; or it has ended. A code is sent once.
pub async fn take_code(db: impl PgExecutor<'_>, id: AuthorizationId) -> Result<bool, Error> {
    let taken = sqlx::query!(
        "update paceline.authorizations set sent_at = clock_timestamp()
          where id = $1 and outcome is null and sent_at is null and code_expires_at > clock_timestamp()",
        id.0
    )
    .execute(db)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// Gives that right back: the code surely did not arrive, or the provider said that it was not looked at.
pub async fn give_code_back(db: impl PgExecutor<'_>, id: AuthorizationId) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.authorizations set sent_at = null where id = $1 and outcome is null",
        id.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Seals codes and verifiers of up to `limit` open ones behind `after` anew with the newest key, in the caller's
/// transaction; answers how many it looked at and which was the last.
pub async fn reseal(
    tx: &mut PgConnection,
    keys: &Keyring,
    after: AuthorizationId,
    limit: i64,
) -> Result<(u64, Option<AuthorizationId>), SecretError> {
    let rows = sqlx::query!(
        r#"select id as "id: AuthorizationId", sealed_code, sealed_verifier from paceline.authorizations
            where id > $1 and (not starts_with(encode(sealed_code, 'hex'), $2)
                               or not starts_with(encode(sealed_verifier, 'hex'), $2))
            order by id limit $3 for update"#,
        after.0,
        &keys.mark_in_hex(),
        limit
    )
    .fetch_all(&mut *tx)
    .await
    .map_err(Error::from)?;
    for row in &rows {
        let again = |what, sealed: &Option<Vec<u8>>| {
            sealed.as_ref().map(|sealed| keys.reseal(&owner(row.id, what), sealed)).transpose()
        };
        sqlx::query!(
            "update paceline.authorizations set sealed_code = $2, sealed_verifier = $3 where id = $1",
            row.id.0,
            again(CODE, &row.sealed_code)?,
            again(VERIFIER, &row.sealed_verifier)?
        )
        .execute(&mut *tx)
        .await
        .map_err(Error::from)?;
    }
    Ok((rows.len() as u64, rows.last().map(|row| row.id)))
}

pub(super) const CODE: &str = "code";
pub(super) const VERIFIER: &str = "verifier";

/// What a sealed value is bound to.
fn owner(id: AuthorizationId, what: &str) -> String {
    format!("authorizations/{id}/{what}")
}

pub(super) fn seal(
    keys: &Keyring,
    id: AuthorizationId,
    what: &str,
    secret: &SecretString,
) -> Result<Vec<u8>, sealing::Error> {
    keys.seal(&owner(id, what), secret.expose_secret().as_bytes())
}

fn open(
    keys: &Keyring,
    id: AuthorizationId,
    what: &str,
    sealed: &[u8],
) -> Result<SecretString, sealing::Error> {
    let plain = keys.open(&owner(id, what), sealed)?;
    String::from_utf8(plain).map(SecretString::from).map_err(|_e| sealing::Error::Broken)
}
