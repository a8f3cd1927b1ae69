//! Good-byes: the provider is told, then the tokens go whatever it said, then, if the user wants it, what was read.
//!
//! An account that was connected again meanwhile is left alone, at whatever point that shows. If another user has it by
//! now, the provider is not told: it would end his link as well.

use super::{AccountJob, db, failed};
use crate::{attempt, job::App, providers, queue::Held, tokens};
use paceline_shared::{
    ConnectionId,
    db::{
        self as database, answered, connection_records, connection_secrets, connections, sync_jobs,
    },
    failure::Code,
};
use serde_json::Map;
use std::time::Duration;

/// Between two looks whether the last sync of the account has stopped.
const LOOK: Duration = Duration::from_millis(200);
/// Rows of each kind that are deleted in one statement.
const BATCH: i64 = 500;
/// Between two of those: the work goes first.
const BREATH: Duration = Duration::from_millis(20);

/// Says good-bye for a link.
pub(super) async fn run(
    app: &App,
    job: &AccountJob,
    connection: ConnectionId,
    delete_records: bool,
    held: &Held,
) -> Result<(), attempt::Error> {
    if !is_revoked(app, connection).await? {
        tracing::info!(connection.id = %connection, "the account is connected again: no good-bye");
        return Ok(());
    }
    let told = match tell(app, job, connection).await {
        // Nothing of ours can make it listen, or it had its chances.
        Err(attempt::Error::Failed(failure)) if gives_up(failure.code, held) => {
            Err(attempt::Error::Failed(failure))
        }
        Err(error) => return Err(error),
        Ok(()) => Ok(()),
    };
    if !forget_tokens(app, connection).await? {
        return Ok(());
    }
    tracing::info!(action = "disconnect", user.id = %job.user, connection.id = %connection, provider = %job.provider,
        "an account is disconnected");
    if delete_records {
        delete(app, connection, held).await?;
    }
    told
}

fn gives_up(code: Code, held: &Held) -> bool {
    code.class() == paceline_shared::failure::Class::Terminal || held.attempt() > held.max_retries()
}

/// Tells the provider. A pair that it does not know any more, or none, is good-bye enough.
async fn tell(app: &App, job: &AccountJob, connection: ConnectionId) -> Result<(), attempt::Error> {
    let Some(facts) = connections::facts(&app.db, connection).await.map_err(db)? else {
        return Ok(());
    };
    let Some(accounts) = app.providers.accounts(job.provider) else {
        let message = format!("this worker has no application at {}", job.provider.title());
        return Err(failed(Code::UnknownError, message, Map::new()));
    };
    let mut refused = None;
    loop {
        let stored = match tokens::access(app, job.provider, connection, refused).await {
            Ok(stored) => stored,
            Err(tokens::Error::NeedsReauth) => return Ok(()),
            Err(tokens::Error::Provider { error, .. }) => return Err(provider(error)),
            Err(tokens::Error::Db(error)) => return Err(db(error)),
            Err(error @ tokens::Error::NoApplication(_)) => {
                return Err(failed(Code::UnknownError, error.to_string(), Map::new()));
            }
            // A pair that nobody can open tells nobody anything.
            Err(error @ tokens::Error::Sealing(_)) => {
                tracing::error!(%error, connection.id = %connection, "tokens cannot be opened: the provider is not told");
                return Ok(());
            }
        };
        // Looked at last: no transaction can be held over the call.
        if is_shared(app, connection).await? {
            tracing::info!(connection.id = %connection,
                "another user has connected the account: the provider is not told, only our tokens go");
            return Ok(());
        }
        return match accounts.deauthorize(&stored.tokens, &facts.account).await {
            Err(providers::Error::Unauthorized(_)) if refused.is_none() => {
                refused = Some(stored.version);
                continue;
            }
            Ok(()) | Err(providers::Error::Unauthorized(_) | providers::Error::Gone(_)) => Ok(()),
            Err(error) => Err(provider(error)),
        };
    }
}

fn provider(error: providers::Error) -> attempt::Error {
    match error {
        providers::Error::Wait { reason, after, .. } => {
            let message = "Waits until the provider may be told.".to_owned();
            attempt::Error::Wait { reason, after, message }
        }
        providers::Error::Unmetered(error) => db(error),
        error => failed(
            error.code(),
            format!("the provider could not be told: {error}"),
            error.context(),
        ),
    }
}

async fn is_shared(app: &App, connection: ConnectionId) -> Result<bool, attempt::Error> {
    let mut tx = database::begin(&app.db).await.map_err(db)?;
    let shared = connections::is_shared(&mut tx, connection).await.map_err(db)?;
    tx.rollback().await.map_err(|error| db(error.into()))?;
    Ok(shared)
}

async fn is_revoked(app: &App, connection: ConnectionId) -> Result<bool, attempt::Error> {
    let mut tx = database::begin(&app.db).await.map_err(db)?;
    let revoked = connections::lock_revoked(&mut tx, connection).await.map_err(db)?;
    tx.rollback().await.map_err(|error| db(error.into()))?;
    Ok(revoked == Some(true))
}

/// False: the account is connected again, and the tokens are new ones.
async fn forget_tokens(app: &App, connection: ConnectionId) -> Result<bool, attempt::Error> {
    let forget = async {
        let mut tx = database::begin(&app.db).await?;
        let revoked = connections::lock_revoked(&mut tx, connection).await? == Some(true);
        if revoked {
            connection_secrets::forget(&mut *tx, connection).await?;
        }
        tx.commit().await?;
        Ok(revoked)
    };
    answered(forget).await.map_err(db)
}

/// Deletes what was read, once no sync writes any more.
async fn delete(app: &App, connection: ConnectionId, held: &Held) -> Result<(), attempt::Error> {
    while writers(app, connection).await? > 0 {
        rest(held, LOOK).await?;
    }
    let mut rows = 0;
    loop {
        match answered(connection_records::delete(&app.db, connection, BATCH)).await.map_err(db)? {
            None => return Ok(()),
            Some(0) => break,
            Some(gone) => rows += gone,
        }
        rest(held, BREATH).await?;
    }
    tracing::info!(action = "delete", connection.id = %connection, rows, "what was read through a connection is deleted");
    Ok(())
}

async fn writers(app: &App, connection: ConnectionId) -> Result<usize, attempt::Error> {
    let mut db_connection = database::begin(&app.db).await.map_err(db)?;
    let syncs = sync_jobs::syncs_of(&mut db_connection, connection).await.map_err(db)?;
    db_connection.rollback().await.map_err(|error| db(error.into()))?;
    Ok(syncs.len())
}

async fn rest(held: &Held, pause: Duration) -> Result<(), attempt::Error> {
    tokio::select! {
        biased;
        _ = held.stopped() => Err(attempt::Error::Stopped),
        () = tokio::time::sleep(pause) => Ok(()),
    }
}
