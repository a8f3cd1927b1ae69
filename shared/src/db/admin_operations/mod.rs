//! `admin_operations`: one act on all jobs that match a filter, done by the workers.
//!
//! It is accepted at once and done batch by batch: what was done, where it goes on and what was counted
//! commit together, so that whoever dies in it, another goes on.

mod step;

pub use step::{Step, StepError, note, step};

use super::{Error, admin_jobs::Filter};
use crate::JobId;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, types::Json};
use uuid::Uuid;

/// What is done to each job.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = OperationAct)]
pub enum Act {
    /// Ended jobs are queued again.
    Retry,
    /// Live jobs end.
    Cancel,
}

impl Act {
    /// The name in the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
        }
    }
}

/// How far an operation is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schema(as = OperationState)]
pub enum State {
    /// No worker began.
    Queued,
    /// Batch after batch.
    Running,
    /// All that matched are dealt with.
    Completed,
    /// Ended because somebody asked for it.
    Stopped,
    /// Ended because it could not go on.
    Failed,
}

/// How it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Which jobs, with absolute times.
    pub search: Filter,
    /// Whether retried jobs begin anew.
    pub from_scratch: bool,
    /// Why, in its author's words.
    pub reason: Option<String>,
    /// The request that started it.
    pub request_id: Option<Uuid>,
}

/// An operation to be started.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// What is done to each job.
    pub act: Act,
    /// The filter in its author's words.
    pub filter: Value,
    /// How.
    pub options: Options,
    /// How many matched.
    pub expected: i64,
    /// Jobs made after this one are none of its business.
    pub until: JobId,
    /// Who started it.
    pub actor: &'a str,
}

/// An operation and what came of it so far.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Its id; ids sort by time.
    pub id: Uuid,
    /// What is done to each job.
    pub act: Act,
    /// The filter in its author's words.
    pub filter: Value,
    /// How.
    pub options: Json<Options>,
    /// How far it is.
    pub state: State,
    /// How many matched when it was accepted.
    pub expected: i64,
    /// Jobs that it was done to.
    pub done: i64,
    /// Jobs left as they were.
    pub skipped: i64,
    /// The same by reason.
    pub skipped_by: Value,
    /// Who started it.
    pub actor: String,
    /// When somebody wished its end.
    pub stop_requested_at: Option<DateTime<Utc>>,
    /// Who did.
    pub stop_requested_by: Option<String>,
    /// What a batch failed of, the last time that one did.
    pub last_error: Option<String>,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When its first batch began.
    pub started_at: Option<DateTime<Utc>>,
    /// When something last happened.
    pub updated_at: DateTime<Utc>,
    /// When it was over.
    pub finished_at: Option<DateTime<Utc>>,
}

/// Starts an operation, in the caller's transaction. After the commit tell the workers.
pub async fn start(tx: &mut PgConnection, new: &New<'_>) -> Result<Uuid, Error> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "insert into paceline.admin_operations (id, act, filter, options, expected, until_id, actor)
         values ($1, $2, $3, $4, $5, $6, $7)",
        id,
        new.act.as_str(),
        new.filter,
        Json(&new.options) as _,
        new.expected,
        new.until.0,
        new.actor
    )
    .execute(tx)
    .await?;
    Ok(id)
}

/// An operation; `None`: there is none of this id.
pub async fn find(db: impl PgExecutor<'_>, id: Uuid) -> Result<Option<Operation>, Error> {
    Ok(sqlx::query_as!(
        Operation,
        r#"select id, act as "act: Act", filter, options as "options: Json<Options>", state as "state: State",
                  expected, done, skipped, skipped_by, actor, stop_requested_at, stop_requested_by, last_error,
                  created_at, started_at, updated_at, finished_at
             from paceline.admin_operations where id = $1"#,
        id
    )
    .fetch_optional(db)
    .await?)
}

/// Operations, newest first, those before this one.
pub async fn list(
    db: impl PgExecutor<'_>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Operation>, Error> {
    Ok(sqlx::query_as!(
        Operation,
        r#"select id, act as "act: Act", filter, options as "options: Json<Options>", state as "state: State",
                  expected, done, skipped, skipped_by, actor, stop_requested_at, stop_requested_by, last_error,
                  created_at, started_at, updated_at, finished_at
             from paceline.admin_operations where id < $1 order by id desc limit $2"#,
        before.unwrap_or(Uuid::max()),
        limit
    )
    .fetch_all(db)
    .await?)
}

/// What became of the wish to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// No batch begins after this one. What was done stays.
    Asked,
    /// It is over.
    Over,
    /// There is none of this id.
    Unknown,
}

/// Wishes an operation's end, in the caller's transaction. A batch that is under way is waited for.
pub async fn request_stop(tx: &mut PgConnection, id: Uuid, actor: &str) -> Result<Stop, Error> {
    let is_over = sqlx::query_scalar!(
        r#"update paceline.admin_operations
              set stop_requested_at = coalesce(stop_requested_at, clock_timestamp()),
                  stop_requested_by = coalesce(stop_requested_by, $2), updated_at = clock_timestamp()
            where id = $1 and finished_at is null returning false as "over!""#,
        id,
        actor
    )
    .fetch_optional(&mut *tx)
    .await?;
    if is_over.is_some() {
        return Ok(Stop::Asked);
    }
    Ok(find(tx, id).await?.map_or(Stop::Unknown, |_| Stop::Over))
}
