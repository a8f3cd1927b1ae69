//! `job_counts`: how many jobs there are, as last counted. Millions of rows are counted by one worker at a
//! time, now and then, and read by everybody at once; each figure has its age.

use super::{Db, Error, lanes};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, Postgres, Transaction};
use std::collections::HashMap;

/// The right to count, of one process for some minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    until: DateTime<Utc>,
    /// Whether finished jobs shall be counted as well.
    pub history: bool,
}

/// Takes the turn; `None`: the figures are young enough, or somebody is counting.
///
/// Live jobs are counted every ten seconds and finished ones every minute, and both more rarely where
/// counting takes long: no more than a twentieth of the time.
pub async fn take_turn(db: &Db) -> Result<Option<Turn>, Error> {
    Ok(sqlx::query_as!(
        Turn,
        r#"update paceline.job_counts_taken
              set counting_until = clock_timestamp() + interval '3 minutes'
            where (counting_until is null or counting_until < clock_timestamp())
              and live_at + greatest(interval '10 seconds', live_took_ms * interval '20 milliseconds') < clock_timestamp()
           returning counting_until as "until!",
             history_at + greatest(interval '1 minute', history_took_ms * interval '20 milliseconds') < clock_timestamp()
               as "history!""#
    )
    .fetch_optional(db)
    .await?)
}

/// Counts, and puts the figures in the place of the old ones. False: the turn was over before that.
pub async fn count(db: &Db, turn: Turn) -> Result<bool, Error> {
    if turn.history && !count_history(db, turn).await? {
        return Ok(false);
    }
    count_live(db, turn).await
}

/// No statement takes longer than a turn lasts.
async fn begin(db: &Db) -> Result<Transaction<'static, Postgres>, Error> {
    const BEGIN: &str = "begin; set local idle_in_transaction_session_timeout = '5s'; \
                         set local statement_timeout = '80s'; set local lock_timeout = '5s'; set local jit = off";
    Ok(db.begin_with(BEGIN).await?)
}

async fn count_live(db: &Db, turn: Turn) -> Result<bool, Error> {
    let mut tx = begin(db).await?;
    // Lanes and classes are few: whether jobs are held back is asked of their sums.
    let oldest = sqlx::query_scalar!(
        r#"with sums as (
             select provider, class, state, count(*) as jobs, min(run_at) as since
               from (select provider, class, run_at,
                            case when worker is not null then 'running' when waiting_for is not null then 'waiting'
                                 else 'queued' end as state
                       from paceline.sync_jobs where slot >= 0) j
              group by provider, class, state),
           free as (
             select * from sums s
              where state = 'queued' and not exists (
                select from paceline.lanes l
                 where l.lane in (s.provider, '*')
                   and (l.paused_until > clock_timestamp() or l.breaker <> 'closed'
                        or (l.blocked_until > clock_timestamp() and s.class < l.blocked_below)))),
           room as (
             select s.provider, greatest(l.max_running - coalesce(sum(s.jobs) filter (where s.state = 'running'), 0), 0) as jobs
               from sums s join paceline.lanes l on l.lane = s.provider
              where l.max_running is not null group by s.provider, l.max_running),
           gone as (delete from paceline.job_counts where state in ('queued', 'waiting', 'running', 'runnable')
                       and (state, provider) not in (select state, provider from sums
                                                     union all select 'runnable', provider from free)),
           put as (
             insert into paceline.job_counts (state, provider, jobs)
             select state, provider, sum(jobs) from sums group by state, provider
             union all
             select 'runnable', free.provider, least(sum(free.jobs), max(room.jobs))
               from free left join room using (provider) group by free.provider
             on conflict (state, provider) do update set jobs = excluded.jobs)
           select min(since) as oldest from free"#
    )
    .fetch_one(&mut *tx)
    .await?;
    let noted = sqlx::query!(
        "update paceline.job_counts_taken
            set live_at = clock_timestamp(), oldest_runnable_at = $2, counting_until = null,
                live_took_ms = (extract(epoch from clock_timestamp() - now()) * 1000)::integer
          where counting_until = $1",
        turn.until,
        oldest
    )
    .execute(&mut *tx)
    .await?;
    end(tx, noted.rows_affected() == 1).await
}

async fn count_history(db: &Db, turn: Turn) -> Result<bool, Error> {
    let mut tx = begin(db).await?;
    let before = ended(&mut tx).await?;
    sqlx::query!(
        "with sums as (select status, provider, count(*) as jobs from paceline.sync_history group by status, provider),
           gone as (delete from paceline.job_counts where state in ('completed', 'failed', 'cancelled')
                       and (state, provider) not in (select status, provider from sums))
         insert into paceline.job_counts (state, provider, jobs) select status, provider, jobs from sums
         on conflict (state, provider) do update set jobs = excluded.jobs"
    )
    .execute(&mut *tx)
    .await?;
    let within_s = sqlx::query_scalar!(
        r#"select extract(epoch from clock_timestamp() - history_at)::float8 as "s!"
             from paceline.job_counts_taken where history_at > '-infinity'"#
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(within_s) = within_s.filter(|s| *s > 0.0) {
        for (provider, jobs) in ended(&mut tx).await? {
            let new = jobs - before.get(&provider).copied().unwrap_or(0);
            // Fewer than before: old ones were deleted, and nothing can be said.
            if new >= 0 {
                lanes::learn_pace(&mut tx, &provider, new, within_s).await?;
            }
        }
    }
    let noted = sqlx::query!(
        "update paceline.job_counts_taken
            set history_at = clock_timestamp(),
                history_took_ms = (extract(epoch from clock_timestamp() - now()) * 1000)::integer
          where counting_until = $1",
        turn.until
    )
    .execute(&mut *tx)
    .await?;
    end(tx, noted.rows_affected() == 1).await
}

/// Ended jobs by provider, as counted.
async fn ended(tx: &mut PgConnection) -> Result<HashMap<String, i64>, Error> {
    let rows = sqlx::query!(
        r#"select provider, sum(jobs)::bigint as "jobs!" from paceline.job_counts
            where state in ('completed', 'failed', 'cancelled') group by provider"#
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.provider, row.jobs)).collect())
}

async fn end(tx: Transaction<'static, Postgres>, is_ours: bool) -> Result<bool, Error> {
    if is_ours {
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(is_ours)
}

/// So many jobs of a provider in a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// A state of jobs, or `runnable`: queued, and held back by nothing but the lack of a slot.
    pub state: String,
    /// From where.
    pub provider: String,
    /// How many.
    pub jobs: i64,
}

/// When the figures were counted; `None`: not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// When this was read, by the database's clock.
    pub now: DateTime<Utc>,
    /// Live jobs.
    pub live_at: Option<DateTime<Utc>>,
    /// Finished jobs.
    pub history_at: Option<DateTime<Utc>>,
    /// Since when the job that waits the longest for a slot does so.
    pub oldest_runnable_at: Option<DateTime<Utc>>,
}

/// The figures, by provider.
pub async fn read(tx: &mut PgConnection) -> Result<(Vec<Count>, Taken), Error> {
    let counts = sqlx::query_as!(
        Count,
        "select state, provider, jobs from paceline.job_counts order by provider, state"
    )
    .fetch_all(&mut *tx)
    .await?;
    Ok((counts, taken(&mut *tx).await?))
}

async fn taken(db: impl PgExecutor<'_>) -> Result<Taken, Error> {
    Ok(sqlx::query_as!(
        Taken,
        r#"select clock_timestamp() as "now!", nullif(live_at, '-infinity') as live_at,
                  nullif(history_at, '-infinity') as history_at, oldest_runnable_at
             from paceline.job_counts_taken"#
    )
    .fetch_one(db)
    .await?)
}
