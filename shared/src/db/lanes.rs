//! `lanes`: a row a provider, and one for all of them. What it says (pause, block, breaker, limit) is
//! asked by the claim itself; this file reads the rows and writes what people and budgets decide.
//!
//! A change is heard by workers only when its author, after the commit, says `notify::LANES` and
//! `notify::JOBS` with the lane's name. Without that they find out with their next claim.

use super::Error;
use crate::{Provider, WorkerId};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use std::str::FromStr as _;

/// The name of the lane that stands for every provider.
pub const EVERY: &str = "*";

/// A lane's name: the provider's, or [`EVERY`].
#[must_use]
pub const fn name(lane: Option<Provider>) -> &'static str {
    match lane {
        Some(provider) => provider.as_str(),
        None => EVERY,
    }
}

/// A lane, with what holds it back at the moment of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Whose; `None` stands for every provider.
    pub provider: Option<Provider>,
    /// Jobs that may run at once in the whole fleet; `None`: any number.
    pub max_running: Option<i32>,
    /// Stopped by somebody, unless that has run out.
    pub pause: Option<Pause>,
    /// Held back because calls are spent, unless that has run out.
    pub block: Option<Block>,
    /// What the failures of its calls led to.
    pub breaker: Breaker,
    /// Rises with every change.
    pub rev: i64,
    /// The last change.
    pub updated_at: DateTime<Utc>,
}

/// Nothing is claimed, because somebody said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// Its end; `None`: until somebody resumes.
    pub until: Option<DateTime<Utc>>,
    /// Since when.
    pub at: DateTime<Utc>,
    /// Who paused it.
    pub by: String,
    /// Why, in that person's words.
    pub reason: String,
}

/// The application's quota is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// When the provider gives more.
    pub until: DateTime<Utc>,
    /// Classes of a lower rank wait; 5 is all of them.
    pub below: i16,
    /// `rate_limit` or `quota_exceeded`.
    pub reason: String,
    /// Which budget is spent.
    pub scope: String,
}

/// The breaker of a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// `closed`, `open` or `half_open`.
    pub state: String,
    /// Open: when a probe may be made. Half open: when the probe's worker has lost the right to it.
    pub until: Option<DateTime<Utc>>,
    /// Who may make the one call that finds out.
    pub probe: Option<WorkerId>,
    /// Openings since it was last closed.
    pub trips: i32,
    /// What opened it.
    pub reason: Option<String>,
    /// Its last change.
    pub at: Option<DateTime<Utc>>,
}

/// Every lane, the one for all providers first.
pub async fn read(db: impl PgExecutor<'_>) -> Result<Vec<Lane>, Error> {
    let rows = sqlx::query!(
        r#"select lane, max_running, rev, updated_at,
                  coalesce(paused_until > clock_timestamp(), false) as "paused!", paused_at, coalesce(paused_by, '') as "paused_by!",
                  nullif(paused_until, 'infinity') as paused_until, coalesce(pause_reason, '') as "pause_reason!",
                  case when blocked_until > clock_timestamp() then blocked_until end as blocked_until, blocked_below,
                  coalesce(blocked_reason, 'quota_exceeded') as "blocked_reason!",
                  coalesce(blocked_scope, '') as "blocked_scope!",
                  breaker, breaker_until, breaker_probe as "breaker_probe: WorkerId", breaker_trips, breaker_reason,
                  breaker_at
             from paceline.lanes
            order by lane <> '*', lane"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            // A lane of a provider that only a newer binary knows is none of ours.
            let provider = match row.lane.as_str() {
                EVERY => None,
                provider => Some(Provider::from_str(provider).ok()?),
            };
            let pause = row.paused_at.filter(|_| row.paused).map(|at| Pause {
                until: row.paused_until,
                at,
                by: row.paused_by,
                reason: row.pause_reason,
            });
            let block = row.blocked_until.map(|until| Block {
                until,
                below: row.blocked_below,
                reason: row.blocked_reason,
                scope: row.blocked_scope,
            });
            let breaker = Breaker {
                state: row.breaker,
                until: row.breaker_until,
                probe: row.breaker_probe,
                trips: row.breaker_trips,
                reason: row.breaker_reason,
                at: row.breaker_at,
            };
            Some(Lane {
                provider,
                max_running: row.max_running,
                pause,
                block,
                breaker,
                rev: row.rev,
                updated_at: row.updated_at,
            })
        })
        .collect())
}

/// Stops all claims of a lane, in the caller's transaction; what runs goes on. A second pause takes the
/// place of the first.
pub async fn pause(
    tx: &mut PgConnection,
    lane: Option<Provider>,
    until: Option<DateTime<Utc>>,
    actor: &str,
    reason: &str,
) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.lanes
            set paused_until = coalesce($2::timestamptz, 'infinity'), paused_at = clock_timestamp(), paused_by = $3,
                pause_reason = $4, rev = rev + 1, updated_at = clock_timestamp()
          where lane = $1",
        name(lane),
        until,
        actor,
        reason
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends a pause, in the caller's transaction; false: there was none.
pub async fn resume(tx: &mut PgConnection, lane: Option<Provider>) -> Result<bool, Error> {
    let was_paused = sqlx::query_scalar!(
        r#"update paceline.lanes l
              set paused_until = null, paused_at = null, paused_by = null, pause_reason = null,
                  rev = l.rev + 1, updated_at = clock_timestamp()
             from (select lane, paused_until > clock_timestamp() as paused from paceline.lanes
                    where lane = $1 and paused_until is not null for update) was
            where l.lane = was.lane
           returning was.paused as "paused!""#,
        name(lane)
    )
    .fetch_optional(tx)
    .await?;
    Ok(was_paused.unwrap_or(false))
}

/// Limits how many jobs of a provider run at once in the fleet, in the caller's transaction. What runs
/// already is left alone: claims that begin after the commit hold the limit.
///
/// [`Error::Refused`]: less than one. To stop a lane, [`pause`] it.
pub async fn set_limit(
    tx: &mut PgConnection,
    provider: Provider,
    max_running: Option<i32>,
) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.lanes set max_running = $2, rev = rev + 1, updated_at = clock_timestamp() where lane = $1",
        provider.as_str(),
        max_running
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Holds back a provider's jobs of a class ranked below `block.below` until the provider allows more calls;
/// answers whether that changed anything.
///
/// A lane has one block. While it lasts, a wider one takes its place and a narrower one does not; of two
/// as wide, the later end counts. Whoever lost that way finds its budget spent again and comes back.
pub async fn block(
    db: impl PgExecutor<'_>,
    provider: Provider,
    block: &Block,
) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update paceline.lanes
            set blocked_until = $2, blocked_below = $3, blocked_reason = $4, blocked_scope = $5,
                rev = rev + 1, updated_at = clock_timestamp()
          where lane = $1 and $2 > clock_timestamp()
            and (blocked_until is null or blocked_until <= clock_timestamp()
                 or blocked_below < $3 or (blocked_below = $3 and blocked_until < $2))",
        provider.as_str(),
        block.until,
        block.below,
        block.reason,
        block.scope
    )
    .execute(db)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// Ends a block; false: there was none.
pub async fn unblock(db: impl PgExecutor<'_>, provider: Provider) -> Result<bool, Error> {
    let changed = sqlx::query!(
        "update paceline.lanes
            set blocked_until = null, blocked_below = default, blocked_reason = null, blocked_scope = null,
                rev = rev + 1, updated_at = clock_timestamp()
          where lane = $1 and blocked_until > clock_timestamp()",
        provider.as_str()
    )
    .execute(db)
    .await?;
    Ok(changed.rows_affected() > 0)
}

/// Learns from jobs of a lane that ended how far apart one user's jobs shall stand, in the caller's transaction.
///
/// While jobs wait, as far as the lane needs for one of them, from a second to a minute, so that who comes later
/// with a single job need not wait for all that another has put there before. Otherwise a second.
pub(super) async fn learn_pace(
    tx: &mut PgConnection,
    provider: &str,
    ended: i64,
    within_s: f64,
) -> Result<(), Error> {
    sqlx::query!(
        "update paceline.lanes l
            set ended_per_s = pace.ended_per_s,
                step = case when waits then least(60, greatest(1, coalesce(1 / nullif(pace.ended_per_s, 0), 60)))
                            else 1 end * interval '1 second'
           from (select lane, $2::bigint / $3::float8 * share + coalesce(ended_per_s, $2 / $3) * (1 - share) as ended_per_s,
                        exists (select from paceline.job_counts
                                 where state = 'queued' and provider = lane and jobs > 0) as waits
                   from paceline.lanes, least(1, $3::float8 / 900) as share where lane = $1) pace
          where l.lane = pace.lane",
        provider,
        ended,
        within_s
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps other claims of a limited lane out until the caller's transaction ends; answers its limit.
pub(super) async fn lock(tx: &mut PgConnection, provider: Provider) -> Result<Option<i32>, Error> {
    let limit = sqlx::query_scalar!(
        "select max_running from paceline.lanes where lane = $1 for update",
        provider.as_str()
    )
    .fetch_optional(tx)
    .await?;
    Ok(limit.flatten())
}
