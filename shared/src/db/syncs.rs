//! The view `syncs`: a sync wherever it is now, live or finished.

use super::{Db, Error};
use crate::{
    JobId, JobType, Provider, UserId,
    failure::Failure,
    job_state::JobState,
    progress::{ClientStatus, Counts, Phase, client_status},
};
use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, postgres::types::PgRange, types::Json};
use uuid::Uuid;

/// A sync as the tables have it.
#[derive(Clone, Debug)]
pub struct Sync {
    /// The syncId.
    pub id: JobId,
    /// Whose.
    pub user: UserId,
    /// From where.
    pub provider: Provider,
    /// What.
    pub job_type: JobType,
    /// Start times asked for.
    pub range: PgRange<DateTime<Utc>>,
    /// Where in its life.
    pub state: JobState,
    /// Where in the pipeline.
    pub phase: Phase,
    /// Whether an attempt failed and no checkpoint was reached since.
    pub retrying: bool,
    /// Attempts begun, less those given back.
    pub attempt: i16,
    /// Failed attempts that may be retried.
    pub max_retries: i16,
    /// Records in a batch; only of a live one.
    pub batch_size: Option<i32>,
    /// Why it is parked.
    pub waiting_for: Option<String>,
    /// Until when.
    pub waiting_until: Option<DateTime<Utc>>,
    /// How many items there will be, where that is known.
    pub estimated_total: Option<i32>,
    /// What was counted.
    pub counts: Json<Counts>,
    /// Start and end of each phase, by its name.
    pub phase_times: serde_json::Value,
    /// Failed attempts.
    pub error_count: i32,
    /// The newest failure.
    pub last_error: Option<Json<Failure>>,
    /// Pages staged.
    pub last_page: i32,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When a worker first had it.
    pub started_at: Option<DateTime<Utc>>,
    /// When something last happened.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

/// A statement that reads syncs: what differs is which, and in what order.
macro_rules! syncs {
    ($which:literal, $($argument:expr),+) => {
        sqlx::query_as!(
            Sync,
            r#"select id as "id!: JobId", user_id as "user!: UserId", provider as "provider!: Provider",
                      job_type as "job_type!: JobType", time_range as "range!", state as "state!: JobState",
                      phase as "phase!: Phase", retrying as "retrying!", attempt as "attempt!",
                      max_retries as "max_retries!",
                      (select (j.payload ->> 'batchSize')::integer from paceline.sync_jobs j where j.id = s.id) as batch_size,
                      waiting_for, waiting_until, estimated_total, counts as "counts!: Json<Counts>",
                      phase_times as "phase_times!", error_count as "error_count!",
                      last_error as "last_error: Json<Failure>", last_page as "last_page!",
                      created_at as "created_at!", started_at, updated_at as "updated_at!", finished_at
                 from paceline.syncs s where "# + $which,
            $($argument),+
        )
    };
}

/// A user's sync; `None` when he has no such sync.
pub async fn find(db: impl PgExecutor<'_>, user: UserId, id: JobId) -> Result<Option<Sync>, Error> {
    Ok(syncs!("id = $1 and user_id = $2", id.0, user.0).fetch_optional(db).await?)
}

/// The sync of a user with a provider that counts as his last: the live one, or of his newest ones the one that
/// ended last. Slices of a backfill are none.
pub async fn last(db: &Db, user: UserId, provider: Provider) -> Result<Option<Sync>, Error> {
    let last = syncs!(
        "user_id = $1 and id = coalesce(
           (select id from paceline.sync_jobs where user_id = $1 and provider = $2 and slot = 0 and kind = 'sync'),
           (select id from (
              select id, finished_at from paceline.sync_history
               where user_id = $1 and provider = $2 and slot = 0 and kind = 'sync' order by id desc limit 20) newest
             order by finished_at desc limit 1))",
        user.0,
        provider.as_str()
    );
    Ok(last.fetch_optional(db).await?)
}

/// The syncs of a user that one refresh of his dashboard started or joined, oldest first.
pub async fn of_refresh(db: &Db, user: UserId, refresh: Uuid) -> Result<Vec<Sync>, Error> {
    let group = syncs!(
        "user_id = $1 and id = any(array(
           select id from public.sync_progress where uid = $1 and refresh_id = $2)) order by id",
        user.0,
        refresh
    );
    Ok(group.fetch_all(db).await?)
}

/// Which syncs to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only this provider's.
    pub provider: Option<Provider>,
    /// Only those that a client sees so.
    pub status: Option<ClientStatus>,
    /// Only those older than this one.
    pub before: Option<JobId>,
}

/// A user's syncs, newest first.
pub async fn list(db: &Db, user: UserId, filter: Filter, limit: i64) -> Result<Vec<Sync>, Error> {
    let situations = filter.status.map(situations);
    let page = syncs!(
        "user_id = $1 and ($2::text is null or provider = $2)
           and ($3::text[] is null or concat_ws(' ', state, phase, started_at is not null, retrying) = any($3))
           and ($4::uuid is null or id < $4)
         order by id desc limit $5",
        user.0,
        filter.provider.map(Provider::as_str),
        situations.as_deref(),
        filter.before.map(|id| id.0),
        limit
    );
    Ok(page.fetch_all(db).await?)
}

/// Every situation of a sync that a client sees as `status`: state, phase, started, retrying.
fn situations(status: ClientStatus) -> Vec<String> {
    let mut found = Vec::new();
    for state in JobState::ALL {
        for phase in Phase::ALL {
            for (started, retrying) in [(false, false), (false, true), (true, false), (true, true)]
            {
                if client_status(state, phase, started, retrying) == status {
                    let flag = |is| if is { 't' } else { 'f' };
                    found.push(format!(
                        "{} {} {} {}",
                        state.as_str(),
                        phase.as_str(),
                        flag(started),
                        flag(retrying)
                    ));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_situation_is_listed_under_exactly_one_status() {
        use ClientStatus as S;
        let all: Vec<String> = [
            S::Initiated,
            S::FetchingActivities,
            S::EnrichingWeather,
            S::StoringData,
            S::Completed,
            S::Failed,
            S::Retrying,
            S::Cancelled,
        ]
        .into_iter()
        .flat_map(situations)
        .collect();
        assert_eq!(all.len(), JobState::ALL.len() * Phase::ALL.len() * 4);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(situations(S::Initiated).contains(&"queued fetch f f".to_owned()));
    }
}
