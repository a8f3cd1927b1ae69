//! Jobs as staff look for them: live and ended together, across all users, at millions of rows. It reads
//! only; what acts on jobs is [`super::sync_jobs`].
//!
//! Every statement here runs in a [`search`]: planned for the values that it is given, so that each
//! state, user or error takes the index that is there for it, and ended by the server after some seconds.

mod facts;
mod filter;
mod list;
mod show;

pub use facts::{Ahead, Facts, Lease, facts};
pub use filter::{Filter, Range, Side, USERS_LIMIT};
pub use list::{Job, LOOKED_AT, Page, after, count, page, rows};
pub use show::{Inside, inside};

use super::{Db, Error};
use sqlx::{Postgres, Transaction};

/// Why a search found nothing.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// It would take longer than it may. A narrower filter helps.
    #[error("so many jobs cannot be searched in a few seconds")]
    TooBroad,
    /// The database.
    #[error(transparent)]
    Db(#[from] Error),
}

impl From<sqlx::Error> for SearchError {
    fn from(error: sqlx::Error) -> Self {
        match error.as_database_error().and_then(sqlx::error::DatabaseError::code).as_deref() {
            // The server's own limit, not somebody's request to stop.
            Some("57014") => Self::TooBroad,
            _ => Self::Db(error.into()),
        }
    }
}

/// A transaction for searches: five seconds a statement, each planned for its values.
pub async fn search(db: &Db) -> Result<Transaction<'static, Postgres>, Error> {
    const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '5s'; \
                         set local statement_timeout = '5s'; set local lock_timeout = '2s'; \
                         set local plan_cache_mode = force_custom_plan; set local jit = off";
    Ok(db.begin_with(BEGIN).await?)
}

/// The same for one who also writes: a batch of a bulk operation.
pub(super) async fn search_and_act(db: &Db) -> Result<Transaction<'static, Postgres>, Error> {
    const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '5s'; \
                         set local statement_timeout = '10s'; set local lock_timeout = '5s'; \
                         set local plan_cache_mode = force_custom_plan; set local jit = off";
    Ok(db.begin_with(BEGIN).await?)
}
