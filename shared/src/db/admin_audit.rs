//! `admin_audit`: every act of staff, written in the transaction of the act. Nothing changes
//! it; housekeeping forgets what is older than anybody asks for.

use super::Error;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

/// Somebody did something.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id; ids sort by time.
    pub id: Uuid,
    /// When.
    pub at: DateTime<Utc>,
    /// Who: the token's subject.
    pub actor: String,
    /// With which role.
    pub role: String,
    /// What, as `job.retry`.
    pub act: String,
    /// To what, as `job:` and its id.
    pub target: String,
    /// How and why.
    pub detail: Value,
    /// The request.
    pub request_id: Option<Uuid>,
}

/// An act to be written down.
#[derive(Clone, Debug)]
pub struct Act<'a> {
    /// Who: the token's subject.
    pub actor: &'a str,
    /// With which role.
    pub role: &'a str,
    /// What, as `job.retry`.
    pub act: &'a str,
    /// To what, as `job:` and its id.
    pub target: &'a str,
    /// How and why.
    pub detail: Value,
    /// The request.
    pub request_id: Option<Uuid>,
}

/// Writes an act down, in its own transaction.
pub async fn write(tx: &mut PgConnection, act: &Act<'_>) -> Result<(), Error> {
    sqlx::query!(
        "insert into paceline.admin_audit (id, actor, role, act, target, detail, request_id)
         values ($1, $2, $3, $4, $5, $6, $7)",
        Uuid::now_v7(),
        act.actor,
        act.role,
        act.act,
        act.target,
        act.detail,
        act.request_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Which acts. What is `None` is not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Only this person's.
    pub actor: Option<&'a str>,
    /// Only this one.
    pub act: Option<&'a str>,
    /// Only to this.
    pub target: Option<&'a str>,
    /// Only older ones.
    pub before: Option<Uuid>,
}

/// Acts, newest first.
pub async fn list(
    db: impl PgExecutor<'_>,
    filter: Filter<'_>,
    limit: i64,
) -> Result<Vec<Entry>, Error> {
    Ok(sqlx::query_as!(
        Entry,
        "select id, at, actor, role, act, target, detail, request_id from paceline.admin_audit
          where id < $1 and ($2::text is null or actor = $2) and ($3::text is null or act = $3)
            and ($4::text is null or target = $4)
          order by id desc limit $5",
        filter.before.unwrap_or(Uuid::max()),
        filter.actor,
        filter.act,
        filter.target,
        limit
    )
    .fetch_all(db)
    .await?)
}
