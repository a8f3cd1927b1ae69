//! The breakers, one a lane: columns of `lanes`, judged by `breaker_counts`.
//!
//! A breaker is open when too many calls of the fleet failed, half open while one worker makes one call
//! after another to find out, and closed when a call succeeds.
//! Each move is one guarded statement; of several workers that see the same, one makes it.

use super::{Db, Error};
use crate::{Provider, WorkerId};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Calls of so long count.
    pub window: Duration,
    /// Fewer calls than this prove nothing.
    pub calls: u32,
    /// It opens when so many of a hundred calls failed.
    pub failed_percent: u32,
    /// How long it stays open the first time; each further time twice as long.
    pub pause: Duration,
    /// But no longer than this.
    pub longest_pause: Duration,
    /// A worker that may find out and does not has lost the right to it after so long.
    pub probe: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            calls: 20,
            failed_percent: 50,
            pause: Duration::from_secs(10),
            longest_pause: Duration::from_mins(5),
            probe: Duration::from_secs(30),
        }
    }
}

/// A breaker that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// Whose calls.
    pub provider: Provider,
    /// Open: when a probe may be made. Half open: when its worker has lost the right to it.
    pub until: DateTime<Utc>,
    /// How long that is, not below zero.
    pub left_ms: i64,
    /// Who may find out, when it is half open.
    pub probe: Option<WorkerId>,
}

/// All breakers that are not closed.
pub async fn tripped(db: &Db) -> Result<Vec<Tripped>, Error> {
    Ok(sqlx::query_as!(
        Tripped,
        r#"select lane as "provider: Provider", breaker_until as "until!", breaker_probe as "probe: WorkerId",
                  greatest(0, extract(epoch from breaker_until - clock_timestamp()) * 1000)::bigint as "left_ms!"
             from paceline.lanes where breaker <> 'closed' and lane <> '*'"#
    )
    .fetch_all(db)
    .await?)
}

/// Adds calls to what the breaker is judged by. True: with these it opened.
pub async fn count(
    db: &Db,
    provider: Provider,
    calls: u32,
    failures: u32,
    rules: &Rules,
) -> Result<bool, Error> {
    let lane = provider.as_str();
    let window_s = rules.window.as_secs_f64();
    let (calls, failures) =
        (i32::try_from(calls).unwrap_or(i32::MAX), i32::try_from(failures).unwrap_or(i32::MAX));
    let mut tx = super::begin(db).await?;
    // Whoever may open it locks the lane before the counts: who opens it deletes all of them.
    let may_open = sqlx::query!(
        "select from paceline.lanes
          where lane = $1
            and ($3::integer > 0 or (
              select coalesce(sum(calls), 0) + $2::integer >= $5
                     and coalesce(sum(failures), 0) * 100 >= (coalesce(sum(calls), 0) + $2) * $6::bigint
                from paceline.breaker_counts
               where lane = $1 and bucket > clock_timestamp() - make_interval(secs => $4::float8)))
            for no key update",
        lane,
        calls,
        failures,
        window_s,
        i64::from(rules.calls),
        i64::from(rules.failed_percent)
    )
    .fetch_optional(&mut *tx)
    .await?
    .is_some();
    sqlx::query!(
        "with old as (
           delete from paceline.breaker_counts
            where (lane, bucket) in (
              select lane, bucket from paceline.breaker_counts
               where lane = $1 and bucket < clock_timestamp() - make_interval(secs => $4::float8 * 10)
                 for update skip locked))
         insert into paceline.breaker_counts as b (lane, bucket, calls, failures)
         values ($1, to_timestamp(floor(extract(epoch from clock_timestamp()) / ceil($4 / 6)) * ceil($4 / 6)), $2, $3)
         on conflict (lane, bucket) do update set calls = b.calls + excluded.calls, failures = b.failures + excluded.failures",
        lane,
        calls,
        failures,
        window_s
    )
    .execute(&mut *tx)
    .await?;
    if !may_open {
        tx.commit().await?;
        return Ok(false);
    }
    let opened = sqlx::query!(
        "with seen as (
           select coalesce(sum(calls), 0) as calls, coalesce(sum(failures), 0) as failures
             from paceline.breaker_counts where lane = $1 and bucket > clock_timestamp() - make_interval(secs => $2::float8))
         update paceline.lanes l
            set breaker = 'open', breaker_until = clock_timestamp() + make_interval(secs => $5::float8), breaker_probe = null,
                breaker_trips = 1, breaker_at = clock_timestamp(), rev = rev + 1, updated_at = clock_timestamp(),
                breaker_reason = format('%s of %s calls failed', seen.failures, seen.calls)
           from seen
          where l.lane = $1 and l.breaker = 'closed' and seen.calls >= $3 and seen.failures * 100 >= seen.calls * $4",
        lane,
        window_s,
        i64::from(rules.calls),
        i64::from(rules.failed_percent),
        rules.pause.as_secs_f64()
    )
    .execute(&mut *tx)
    .await?
    .rows_affected()
        > 0;
    if opened {
        forget(&mut tx, provider).await?;
    }
    tx.commit().await?;
    Ok(opened)
}

/// Asks for the right to find out. True: it is `worker`'s alone until it has found out or [`Rules::probe`] is over.
pub async fn probe(
    db: &Db,
    provider: Provider,
    worker: WorkerId,
    rules: &Rules,
) -> Result<bool, Error> {
    let won = sqlx::query!(
        "update paceline.lanes
            set breaker = 'half_open', breaker_probe = $2, breaker_until = clock_timestamp() + make_interval(secs => $3::float8),
                rev = rev + 1, updated_at = clock_timestamp()
          where lane = $1 and breaker <> 'closed' and breaker_until <= clock_timestamp()",
        provider.as_str(),
        worker.0,
        rules.probe.as_secs_f64()
    )
    .execute(db)
    .await?;
    Ok(won.rows_affected() > 0)
}

/// A probe succeeded. False: the right to it was lost before.
pub async fn close(db: &Db, provider: Provider, worker: WorkerId) -> Result<bool, Error> {
    let mut tx = super::begin(db).await?;
    let closed = close_where(&mut tx, provider, Some(worker)).await?;
    tx.commit().await?;
    Ok(closed)
}

/// Closes it because somebody says so, in the caller's transaction; false: it was closed.
///
/// What failed before is forgotten: only what fails from now on opens it again. Whoever was finding out has lost the
/// right to it.
pub async fn close_by_hand(tx: &mut sqlx::PgConnection, provider: Provider) -> Result<bool, Error> {
    close_where(tx, provider, None).await
}

async fn close_where(
    tx: &mut sqlx::PgConnection,
    provider: Provider,
    probed_by: Option<WorkerId>,
) -> Result<bool, Error> {
    let closed = sqlx::query!(
        "update paceline.lanes
            set breaker = 'closed', breaker_until = null, breaker_probe = null, breaker_trips = 0, breaker_reason = null,
                breaker_at = clock_timestamp(), rev = rev + 1, updated_at = clock_timestamp()
          where lane = $1 and breaker <> 'closed'
            and ($2::uuid is null or (breaker = 'half_open' and breaker_probe = $2))",
        provider.as_str(),
        probed_by.map(|worker| worker.0)
    )
    .execute(&mut *tx)
    .await?
    .rows_affected()
        > 0;
    if closed {
        forget(tx, provider).await?;
    }
    Ok(closed)
}

/// A probe failed: open again, for twice as long as before. False: the right to it was lost before.
pub async fn reopen(
    db: &Db,
    provider: Provider,
    worker: WorkerId,
    rules: &Rules,
) -> Result<bool, Error> {
    let reopened = sqlx::query!(
        "update paceline.lanes
            set breaker = 'open', breaker_probe = null, breaker_trips = breaker_trips + 1,
                breaker_until = clock_timestamp()
                  + make_interval(secs => least($4::float8, $3::float8 * power(2, least(breaker_trips, 30)))),
                breaker_at = clock_timestamp(), rev = rev + 1, updated_at = clock_timestamp()
          where lane = $1 and breaker = 'half_open' and breaker_probe = $2",
        provider.as_str(),
        worker.0,
        rules.pause.as_secs_f64(),
        rules.longest_pause.as_secs_f64()
    )
    .execute(db)
    .await?;
    Ok(reopened.rows_affected() > 0)
}

/// What was counted before a move says nothing about what comes after it.
async fn forget(tx: &mut sqlx::PgConnection, provider: Provider) -> Result<(), Error> {
    sqlx::query!("delete from paceline.breaker_counts where lane = $1", provider.as_str())
        .execute(tx)
        .await?;
    Ok(())
}
