//! Failures in groups: reports of `sync_attempts` that are of one kind, and how many users they met.
//! Runs in a search of [`super::admin_jobs`], which ends it when it takes too long.

use super::admin_jobs::SearchError;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use std::time::Duration;
use uuid::Uuid;

/// Failures of one kind.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they have in common.
    pub fingerprint: String,
    /// From where.
    pub provider: String,
    /// Where in the pipeline.
    pub phase: String,
    /// A [`crate::failure::Code`] by name.
    pub code: String,
    /// How many.
    pub count: i64,
    /// How many users met it.
    pub users: i64,
    /// Those whose job has not completed since.
    pub open: i64,
    /// The first within the time that was looked at.
    pub first_seen_at: DateTime<Utc>,
    /// The last.
    pub last_seen_at: DateTime<Utc>,
    /// The last one's message.
    pub message: String,
    /// The last one's context.
    pub context: Value,
    /// The last one's job.
    pub job: Uuid,
}

/// The kinds of failures since then, the most frequent first.
pub async fn groups(
    tx: &mut PgConnection,
    window: Duration,
    provider: Option<&str>,
    limit: i64,
) -> Result<(DateTime<Utc>, Vec<Group>), SearchError> {
    let since = sqlx::query_scalar!(
        r#"select clock_timestamp() - make_interval(secs => $1) as "since!""#,
        window.as_secs_f64()
    )
    .fetch_one(&mut *tx)
    .await?;
    let groups = sqlx::query_as!(
        Group,
        r#"with groups as (
             select fingerprint, provider, phase, code, count(*) as jobs, count(distinct user_id) as users,
                    count(*) filter (where resolved_at is null) as open, min(at) as first_at, max(at) as last_at
               from paceline.sync_attempts
              where at >= $1 and ($2::text is null or provider = $2)
              group by fingerprint, provider, phase, code
              order by count(*) desc, max(at) desc limit $3)
           select g.fingerprint as "fingerprint!", g.provider as "provider!", g.phase as "phase!", g.code as "code!",
                  g.jobs as "count!", g.users as "users!", g.open as "open!", g.first_at as "first_seen_at!",
                  g.last_at as "last_seen_at!", a.message as "message!", a.context as "context!", a.job_id as "job!"
             from groups g cross join lateral (
               select message, context, job_id from paceline.sync_attempts a
                where a.fingerprint = g.fingerprint and a.at <= g.last_at and a.provider = g.provider
                  and a.phase = g.phase and a.code = g.code
                order by a.at desc limit 1) a
            order by g.jobs desc, g.last_at desc"#,
        since,
        provider,
        limit
    )
    .fetch_all(tx)
    .await?;
    Ok((since, groups))
}
