//! Links as their users and their dashboards see them.

use super::State;
use crate::{ConnectionId, JobId, Provider, UserId, db::Error};
use chrono::{DateTime, Utc};
use sqlx::PgExecutor;

/// A link as its user sees it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns, each with its comment in the migration")]
pub struct Row {
    pub id: ConnectionId,
    pub provider: Provider,
    pub provider_account_id: String,
    pub state: State,
    pub scopes: Vec<String>,
    pub asked: Vec<String>,
    pub missing: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub last_synced_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
}

/// A user's links, the newest first; revoked ones too if `revoked`.
pub async fn list(
    db: impl PgExecutor<'_>,
    user: UserId,
    provider: Option<Provider>,
    revoked: bool,
) -> Result<Vec<Row>, Error> {
    Ok(sqlx::query_as!(
        Row,
        r#"select id as "id: ConnectionId", provider as "provider: Provider", provider_account_id, state as "state: State",
                  scopes, asked, missing, created_at, last_synced_at, revoked_at, updated_at
             from paceline.connections
            where user_id = $1 and ($2::text is null or provider = $2) and (state <> 'revoked' or $3)
            order by created_at desc, id desc"#,
        user.0,
        provider.map(Provider::as_str),
        revoked
    )
    .fetch_all(db)
    .await?)
}

/// A user's link; another's is not found.
pub async fn find(
    db: impl PgExecutor<'_>,
    user: UserId,
    id: ConnectionId,
) -> Result<Option<Row>, Error> {
    Ok(sqlx::query_as!(
        Row,
        r#"select id as "id: ConnectionId", provider as "provider: Provider", provider_account_id, state as "state: State",
                  scopes, asked, missing, created_at, last_synced_at, revoked_at, updated_at
             from paceline.connections where id = $1 and user_id = $2"#,
        id.0,
        user.0
    )
    .fetch_optional(db)
    .await?)
}

/// A link as a dashboard sees it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its id.
    pub id: ConnectionId,
    /// To which provider.
    pub provider: Provider,
    /// Whether it can be used.
    pub state: State,
    /// When a sync that reads everything new last completed.
    pub last_synced_at: Option<DateTime<Utc>>,
    /// Whether that is too long ago, by the database's clock.
    pub stale: bool,
    /// Whether a sync has ended since that time, however it ended: another one would end likewise.
    pub tried: bool,
    /// The sync with the provider that is under way.
    pub live: Option<JobId>,
}

impl Source {
    /// Whether a sync should be started now.
    #[must_use]
    pub const fn wants_refresh(&self) -> bool {
        self.state.is_usable() && self.stale && !self.tried && self.live.is_none()
    }
}

/// A user's links that are not revoked, of each provider the newest. `stale_after_s`: how old data may be.
pub async fn sources(
    db: impl PgExecutor<'_>,
    user: UserId,
    stale_after_s: i64,
) -> Result<Vec<Source>, Error> {
    Ok(sqlx::query_as!(
        Source,
        r#"select distinct on (c.provider)
                  c.id as "id: ConnectionId", c.provider as "provider: Provider", c.state as "state: State",
                  c.last_synced_at, coalesce(c.last_synced_at < t.fresh_from, true) as "stale!",
                  exists (select from (
                    select connection_id, finished_at from paceline.sync_history
                     where user_id = $1 and provider = c.provider and slot = 0 and kind = 'sync'
                     order by id desc limit 20) h
                     where h.connection_id = c.id and h.finished_at >= t.fresh_from) as "tried!",
                  (select j.id from paceline.sync_jobs j
                    where j.user_id = $1 and j.provider = c.provider and j.slot = 0) as "live: JobId"
             from paceline.connections c,
                  (select clock_timestamp() - make_interval(secs => $2::bigint::float8) as fresh_from) t
            where c.user_id = $1 and c.state <> 'revoked'
            order by c.provider, c.created_at desc"#,
        user.0,
        stale_after_s
    )
    .fetch_all(db)
    .await?)
}
