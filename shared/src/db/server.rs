//! What the Postgres server says of itself.

use super::Error;
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// The server as a check sees it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// As in `15.14`.
    pub version: String,
    /// As in `150014`.
    pub version_number: i32,
    /// Its clock.
    pub now: DateTime<Utc>,
    /// Connections that it takes.
    pub max_connections: i32,
    /// Connections that it has.
    pub connections: i32,
}

impl Facts {
    /// The part of the version that decides what works.
    #[must_use]
    pub const fn major(&self) -> i32 {
        self.version_number / 10_000
    }
}

/// Asks the server.
pub async fn facts(db: impl PgExecutor<'_>) -> Result<Facts, Error> {
    Ok(sqlx::query_as!(
        Facts,
        r#"select current_setting('server_version') as "version!",
                  current_setting('server_version_num')::integer as "version_number!",
                  clock_timestamp() as "now!", current_setting('max_connections')::integer as "max_connections!",
                  (select count(*)::integer from pg_stat_activity where backend_type = 'client backend') as "connections!""#
    )
    .fetch_one(db)
    .await?)
}
