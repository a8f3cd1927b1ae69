//! `budgets`: calls that providers allow, and who took how many of them.
//!
//! A worker reserves calls before it makes them, out of all the windows that a call counts in or out of
//! none, so that a fleet of any size stays within a quota.
//!
//! Free is: the share of the limit, less what was made (by our count or by the provider's, whichever is more),
//! less what is reserved. A reservation outlives its worker, for nobody knows which of its calls were made. It
//! is lifted when the window ends, or by the header of a call that was sent when the last of its calls
//! had ended, for that header has all of them.

use super::{Db, Error};
use crate::WorkerId;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::types::PgInterval;
use std::time::Duration;

/// No call is made within so long of a border: clocks differ, and which window it counted in would not be known.
pub const MARGIN: Duration = Duration::from_secs(1);

/// So long after it was last renewed, a reservation lets no further call begin. Its worker may still be using it
/// until then, with Postgres away.
pub const HOLD: Duration = Duration::from_secs(15);

/// A quota: so many calls in each of the provider's windows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    /// Whose calls count: `provider:what`; that of one user ends in his connection's id.
    pub scope: String,
    /// Its length.
    pub window_s: i32,
    /// Windows begin at whole multiples of their length since 1970 plus this, UTC.
    pub border_s: i32,
    /// Calls allowed, as far as is known before the provider said so itself.
    pub limit: i32,
}

/// One window in time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Whose calls count.
    pub scope: String,
    /// Its length.
    pub window_s: i32,
    /// When it began.
    pub start: DateTime<Utc>,
}

/// What became of the wish to make calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// So many calls may be made.
    Granted {
        /// How many; no more than were wanted, and a fair part of what is left.
        calls: u32,
        /// The windows that they count in, in the order of the wish.
        slots: Vec<Slot>,
        /// When this was answered, by the database's clock.
        as_of: DateTime<Utc>,
        /// For how long from then.
        valid_for: Duration,
    },
    /// The share of a window is used up.
    Spent {
        /// Whose.
        scope: String,
        /// The window's length.
        window_s: i32,
        /// When the next one is open.
        until: DateTime<Utc>,
        /// How long that is.
        wait: Duration,
    },
    /// A border is too near.
    Border {
        /// How long to wait.
        wait: Duration,
    },
    /// What is left is reserved by others; some of it may come back at any moment.
    Held {
        /// Whose.
        scope: String,
        /// The window's length.
        window_s: i32,
        /// How long until the next window is open.
        wait: Duration,
    },
    /// One of the windows is not known here: [`ensure`] it.
    Unknown,
}

/// What became of calls of one window since the last account, and what is open of it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which window.
    pub slot: Slot,
    /// Calls that were made, or may have been.
    pub made: i32,
    /// Reserved calls that are neither made nor given up.
    pub open: i32,
    /// Those of `made` whose answer did not tell the usage.
    pub unheard: i32,
    /// Those of `made` that the provider refused for its quota.
    pub refused: i32,
    /// What the provider told, if it did.
    pub told: Option<Told>,
}

impl Entry {
    /// Says of a quota that nothing is open in any of its windows, but where another entry names one: the answer
    /// to a wish was lost, and what it may have granted will not be made.
    #[must_use]
    pub const fn nothing_else(scope: String, window_s: i32) -> Self {
        let slot = Slot { scope, window_s, start: DateTime::UNIX_EPOCH };
        Self { slot, made: 0, open: 0, unheard: 0, refused: 0, told: None }
    }
}

/// What an answer told of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The most calls used.
    pub used: i32,
    /// Calls allowed.
    pub limit: i32,
    /// When the newest of the calls so answered was sent, at the earliest, by the database's clock.
    pub sent_at: DateTime<Utc>,
}

/// How a window stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whose calls count.
    pub scope: String,
    /// Its length.
    pub window_s: i32,
    /// Calls allowed.
    pub limit: i32,
    /// Calls made.
    pub used: i32,
    /// Calls reserved and not made.
    pub reserved: i64,
    /// When the next window begins.
    pub opens_at: DateTime<Utc>,
}

/// Makes windows known. A limit that a provider told is not replaced by what is only configured.
pub async fn ensure(db: &Db, windows: &[Window]) -> Result<(), Error> {
    let mut windows = windows.to_vec();
    // In the order in which others lock them.
    windows.sort();
    windows.dedup_by(|a, b| (&a.scope, a.window_s) == (&b.scope, b.window_s));
    let scopes: Vec<&str> = windows.iter().map(|window| window.scope.as_str()).collect();
    let lengths: Vec<i32> = windows.iter().map(|window| window.window_s).collect();
    let borders: Vec<i32> = windows.iter().map(|window| window.border_s).collect();
    let limits: Vec<i32> = windows.iter().map(|window| window.limit).collect();
    sqlx::query!(
        "insert into paceline.budgets as b (scope, window_s, border_s, call_limit)
         select * from unnest($1::text[], $2::int[], $3::int[], $4::int[])
         on conflict (scope, window_s) do update
           set border_s = excluded.border_s, updated_at = clock_timestamp(),
               call_limit = case when b.header_at is null then excluded.call_limit else b.call_limit end
         where b.border_s <> excluded.border_s or (b.header_at is null and b.call_limit <> excluded.call_limit)",
        &scopes as &[&str],
        &lengths,
        &borders,
        &limits
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Takes up to `want` calls out of all `windows` or out of none.
///
/// `seq`: rises with each message of the worker, this and [`account`]; one that is overtaken takes nothing.
/// `percent`: the share of each limit that calls of this urgency may use.
pub async fn reserve(
    db: &Db,
    (worker, seq): (WorkerId, i64),
    windows: &[Window],
    want: u32,
    percent: u8,
) -> Result<Reserved, Error> {
    let names: Vec<&str> = windows.iter().map(|window| window.scope.as_str()).collect();
    let seconds: Vec<i32> = windows.iter().map(|window| window.window_s).collect();
    let row = sqlx::query!(
        r#"select outcome as "outcome!", calls as "calls!", as_of as "as_of!", starts as "starts?",
                  at_scope as "scope?", at_window_s as "window_s?", nullif(until, 'infinity') as until
             from paceline.reserve_calls($1, $2, $3, $4, $5, $6, $7)"#,
        worker.0,
        seq,
        &names as &[&str],
        &seconds,
        i32::try_from(want).unwrap_or(i32::MAX),
        i32::from(percent),
        interval(MARGIN)
    )
    .fetch_one(db)
    .await?;
    let until = row.until.unwrap_or(row.as_of);
    let left = (until - row.as_of).to_std().unwrap_or_default();
    let (scope, in_s) = (row.scope.unwrap_or_default(), row.window_s.unwrap_or_default());
    let starts = row.starts.unwrap_or_default();
    Ok(match row.outcome.as_str() {
        "granted" => {
            let slots = windows
                .iter()
                .zip(starts)
                .map(|(window, start)| Slot {
                    scope: window.scope.clone(),
                    window_s: window.window_s,
                    start,
                })
                .collect();
            let calls = u32::try_from(row.calls).unwrap_or_default();
            Reserved::Granted { calls, slots, as_of: row.as_of, valid_for: left }
        }
        "spent" => Reserved::Spent { scope, window_s: in_s, until, wait: left },
        "border" => Reserved::Border { wait: left },
        "held" => Reserved::Held { scope, window_s: in_s, wait: left },
        _ => Reserved::Unknown,
    })
}

/// Says what became of calls, and that the reservations named are still `worker`'s; answers how their windows
/// stand now.
///
/// The same again, with the same `seq`, counts nothing again: that is what to do when no answer came. Until one did,
/// nothing must be reserved, for what is open was counted before. A window that is over stays as it is. `call_lasts`: no call takes longer than this.
pub async fn account(
    db: &Db,
    (worker, seq): (WorkerId, i64),
    entries: &[Entry],
    call_lasts: Duration,
) -> Result<Vec<Standing>, Error> {
    let each = |of: fn(&Entry) -> i32| -> Vec<i32> { entries.iter().map(of).collect() };
    let scopes: Vec<&str> = entries.iter().map(|entry| entry.slot.scope.as_str()).collect();
    let starts: Vec<DateTime<Utc>> = entries.iter().map(|entry| entry.slot.start).collect();
    let told = |of: fn(Told) -> i32| -> Vec<Option<i32>> {
        entries.iter().map(|entry| entry.told.map(of)).collect()
    };
    let sent: Vec<Option<DateTime<Utc>>> =
        entries.iter().map(|entry| entry.told.map(|told| told.sent_at)).collect();
    Ok(sqlx::query_as!(
        Standing,
        r#"select scope as "scope!", window_s as "window_s!", call_limit as "limit!", used as "used!",
                  reserved as "reserved!", opens_at as "opens_at!"
             from paceline.account_calls($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"#,
        worker.0,
        seq,
        interval(HOLD + call_lasts),
        &scopes as &[&str],
        &each(|entry| entry.slot.window_s),
        &starts,
        &each(|entry| entry.made),
        &each(|entry| entry.open),
        &each(|entry| entry.unheard),
        &each(|entry| entry.refused),
        &told(|told| told.used) as &[Option<i32>],
        &told(|told| told.limit) as &[Option<i32>],
        &sent as &[Option<DateTime<Utc>>]
    )
    .fetch_all(db)
    .await?)
}

/// Forgets the reservations of a worker that has accounted for all of them.
pub async fn leave(db: &Db, worker: WorkerId) -> Result<(), Error> {
    sqlx::query!(
        "delete from paceline.budget_reservations where worker = $1 and calls = 0",
        worker.0
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets up to `limit` windows of single users that ended a day ago and were not opened again; answers how many.
///
/// Nothing is lost: a window that is over counts no call, and who calls again has it made again. Those of applications
/// stay, for there are few, and people look at them.
pub async fn forget_users(db: &Db, limit: i64) -> Result<u64, Error> {
    let gone = sqlx::query!(
        "delete from paceline.budgets where (scope, window_s) in (
           select scope, window_s from paceline.budgets
            where scope ~ ':[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
              and updated_at < clock_timestamp() - interval '1 day'
              and (window_start = '-infinity'
                   or window_start + make_interval(secs => window_s) < clock_timestamp() - interval '1 day')
            limit $1 for update skip locked)",
        limit
    )
    .execute(db)
    .await?;
    Ok(gone.rows_affected())
}

fn interval(of: Duration) -> PgInterval {
    let of = TimeDelta::from_std(of).unwrap_or(TimeDelta::MAX);
    PgInterval { months: 0, days: 0, microseconds: of.num_microseconds().unwrap_or(i64::MAX) }
}
