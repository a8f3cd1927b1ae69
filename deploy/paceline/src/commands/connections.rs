//! `paceline connections`: what an operator does to accounts' secrets, in the database itself.

use crate::{
    exit::{Ending, Exit},
    options::{DatabaseOptions, misconfigured},
    output,
};
use anyhow::Context as _;
use clap::{Args, Subcommand};
use paceline_shared::{
    AuthorizationId, ConnectionId,
    db::{
        self, Db, authorizations,
        connection_secrets::{self, SecretError},
    },
    sealing::{self, Keyring},
};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;
use uuid::Uuid;

/// Change the key that seals the accounts' tokens
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    RotateKey(RotateKey),
}

/// Seal all tokens and open codes anew with the first key
///
/// To change the key, without a pause: give every worker and api process the new key behind the old one; then, when
/// all of them have it, in front of it; run this with the same keys; then take the old one away everywhere. To run it
/// again harms nothing.
#[derive(Args, Debug)]
pub(crate) struct RotateKey {
    #[command(flatten)]
    database: DatabaseOptions,
    /// The new key and all that were used before it: id:base64 of 32 bytes, separated by commas; the first one seals
    #[arg(long, value_name = "KEYS", env = "PACELINE_SEALING_KEYS", hide_env_values = true)]
    sealing_keys: SecretString,
}

/// Rows of a transaction.
const BATCH: i64 = 200;
/// Between two of them: a refresh goes first.
const BREATH: Duration = Duration::from_millis(20);

pub(crate) async fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::RotateKey(options) => rotate_key(&options).await,
    }
}

async fn rotate_key(options: &RotateKey) -> anyhow::Result<Exit> {
    let keys = options.sealing_keys.expose_secret().parse::<Keyring>();
    let keys = keys.context("--sealing-keys (PACELINE_SEALING_KEYS)").context(Ending::Usage)?;
    let db = options
        .database
        .address()?
        .connect_listener("paceline-rotate-key")
        .map_err(misconfigured)?;
    let done = reseal_all(&db, &keys).await;
    db.close().await;
    let (tokens, codes) = done?;
    let key = keys.newest();
    output::line(&format!(
        "sealed {tokens} token pairs and {codes} open codes anew with the key {key:?}"
    ))?;
    Ok(Exit::Done)
}

async fn reseal_all(db: &Db, keys: &Keyring) -> anyhow::Result<(u64, u64)> {
    let (mut tokens, mut from) = (0, Some(ConnectionId(Uuid::nil())));
    while let Some(after) = from {
        let mut tx = db::begin(db).await.map_err(unreachable)?;
        let (rows, last) =
            connection_secrets::reseal(&mut tx, keys, after, BATCH).await.map_err(explain)?;
        tx.commit().await.context("storing what was sealed anew")?;
        (tokens, from) = (tokens + rows, last);
        tokio::time::sleep(BREATH).await;
    }
    let (mut codes, mut from) = (0, Some(AuthorizationId(Uuid::nil())));
    while let Some(after) = from {
        let mut tx = db::begin(db).await.map_err(unreachable)?;
        let (rows, last) =
            authorizations::reseal(&mut tx, keys, after, BATCH).await.map_err(explain)?;
        tx.commit().await.context("storing what was sealed anew")?;
        (codes, from) = (codes + rows, last);
        tokio::time::sleep(BREATH).await;
    }
    Ok((tokens, codes))
}

fn unreachable(error: db::Error) -> anyhow::Error {
    let reason = error.reason();
    anyhow::Error::new(error).context(format!("the database did not answer: {reason}"))
}

fn explain(error: SecretError) -> anyhow::Error {
    match error {
        SecretError::Db(error) => unreachable(error),
        SecretError::Sealing(error @ sealing::Error::UnknownKey(_)) => anyhow::Error::new(error)
            .context("an old key is missing: give it behind the new one in --sealing-keys, and run this again; nothing is lost"),
        SecretError::Sealing(error) => anyhow::Error::new(error).context("a sealed value cannot be opened"),
    }
}
