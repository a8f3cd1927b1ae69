//! `paceline migrate`.

use crate::{
    exit::{Ending, Exit},
    options::{DatabaseOptions, misconfigured},
    output,
};
use anyhow::Context as _;
use clap::Args;
use paceline_shared::db::{self, MIGRATIONS_TABLE, MIGRATOR};
use sqlx::{
    Connection as _, PgConnection,
    error::DatabaseError,
    migrate::{Migrate as _, MigrateError, Migration},
};
use std::collections::HashSet;

/// Bring the database to the schema of this version
///
/// Forward only, and safe when several start at once.
#[derive(Args, Debug)]
pub(crate) struct Options {
    #[command(flatten)]
    database: DatabaseOptions,
    /// Change nothing; end with 4 when migrations are pending
    #[arg(long)]
    check: bool,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<Exit> {
    let db =
        options.database.address()?.connect_listener("paceline-migrate").map_err(misconfigured)?;
    let ended = if options.check { check(&db).await } else { apply(&db).await };
    db.close().await;
    ended
}

async fn check(db: &db::Db) -> anyhow::Result<Exit> {
    let pending = pending(db).await.context(Ending::NotReady)?;
    if pending.is_empty() {
        output::line("up to date")?;
        return Ok(Exit::Done);
    }
    for migration in pending {
        output::line(&format!("pending {}", name(migration)))?;
    }
    Ok(Exit::NotReady)
}

async fn apply(db: &db::Db) -> anyhow::Result<Exit> {
    let pending = pending(db).await?;
    db::migrate(db).await.context("migrating the database")?;
    for migration in &pending {
        output::line(&format!("applied {}", name(migration)))?;
    }
    if pending.is_empty() {
        output::line("up to date")?;
    }
    Ok(Exit::Done)
}

/// Migrations of this version that the database does not have.
async fn pending(db: &db::Db) -> anyhow::Result<Vec<&'static Migration>> {
    // Not through the pool, which tries for a while and then says only that it did.
    let connection = PgConnection::connect_with(&db.pool().connect_options()).await;
    let mut connection = connection.context("the database cannot be reached")?;
    // In a transaction: behind a pooler the next statement may meet another connection of the server.
    let mut connection = connection.begin().await?;
    sqlx::raw_sql("deallocate all").execute(&mut *connection).await?;
    let applied = match connection.list_applied_migrations(MIGRATIONS_TABLE).await {
        Ok(applied) => applied.into_iter().map(|migration| migration.version).collect(),
        Err(error) if is_missing_table(&error) => HashSet::new(),
        Err(error) => return Err(error).context("reading which migrations the database has"),
    };
    Ok(MIGRATOR.iter().filter(|migration| !applied.contains(&migration.version)).collect())
}

fn is_missing_table(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    error.as_database_error().and_then(DatabaseError::code).as_deref() == Some("42P01")
}

fn name(migration: &Migration) -> String {
    format!("{:04} {}", migration.version, migration.description)
}
