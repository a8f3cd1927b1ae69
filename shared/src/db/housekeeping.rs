//! What ages in the tables that steer the fleet and in those that tell of people's acts, and how the tables
//! that change most are doing. What is deleted from the others is in their files.

use super::{Db, Error};
use chrono::{TimeDelta, Utc};
use std::time::Duration;
use uuid::Uuid;

/// Deletes up to `limit` rows of a table whose time is older than `keep`, oldest first, and passes by what somebody
/// holds; answers how many. Its ids are version 7: their index leads to the old ones.
macro_rules! forget_batch {
    ($db:expr, $table:literal, $at:literal, $keep:expr, $limit:expr) => {
        sqlx::query!(
            "delete from "
                + $table
                + " where id = any(array(select id from "
                + $table
                + " where id < $1 and "
                + $at
                + " < clock_timestamp() - make_interval(secs => $2) order by id limit $3 for update skip locked))",
            $crate::db::housekeeping::made_before($keep),
            $keep.as_secs_f64(),
            $limit
        )
        .execute($db)
        .await?
        .rows_affected()
    };
}
pub(super) use forget_batch;

/// Forgets what breaker and budgets need no more: counts of an hour ago, reservations in windows that
/// ended an hour ago. Answers how many rows.
pub async fn forget_steering(db: &Db) -> Result<u64, Error> {
    let counts = sqlx::query!(
        "delete from paceline.breaker_counts where bucket < clock_timestamp() - interval '1 hour'"
    )
    .execute(db)
    .await?;
    let reservations = sqlx::query!(
        "delete from paceline.budget_reservations
          where window_start + make_interval(secs => window_s) < clock_timestamp() - interval '1 hour'"
    )
    .execute(db)
    .await?;
    Ok(counts.rows_affected() + reservations.rows_affected())
}

/// Forgets up to `limit` acts of admins that are older than `keep`, and operations that ended before;
/// answers how many.
pub async fn forget_acts(db: &Db, keep: Duration, limit: i64) -> Result<u64, Error> {
    let acts = forget_batch!(db, "paceline.admin_audit", "at", keep, limit);
    let operations = forget_batch!(db, "paceline.admin_operations", "finished_at", keep, limit);
    Ok(acts + operations)
}

/// Dead and live rows of the tables that change most, by name, as Postgres's statistics have them.
pub async fn table_rows(db: &Db) -> Result<Vec<(String, i64, i64)>, Error> {
    let rows = sqlx::query!(
        r#"select relname::text as "name!", n_dead_tup as "dead!", n_live_tup as "live!"
             from pg_stat_user_tables
            where (schemaname, relname) in (('paceline', 'sync_jobs'), ('paceline', 'sync_runs'),
              ('public', 'sync_progress'), ('paceline', 'staged_pages'), ('paceline', 'workers'),
              ('paceline', 'lanes'), ('paceline', 'budgets'), ('paceline', 'budget_reservations'),
              ('paceline', 'breaker_counts'), ('paceline', 'idempotency_keys'))"#
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.dead, row.live)).collect())
}

/// Rows with smaller ids were made before `age` ago, give or take what clocks differ: a bound for an
/// index on ids, which are version 7. Their own times decide.
pub(super) fn made_before(age: Duration) -> Uuid {
    let age = TimeDelta::from_std(age).unwrap_or(TimeDelta::MAX);
    let made = Utc::now().checked_sub_signed(age);
    let millis = made.map_or(0, |made| u64::try_from(made.timestamp_millis()).unwrap_or(0));
    Uuid::from_u128(u128::from(millis) << 80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_now_is_behind_the_bound_of_an_hour_ago_and_before_that_of_none() {
        let id = Uuid::now_v7();
        assert!(made_before(Duration::from_hours(1)) < id);
        std::thread::sleep(Duration::from_millis(2));
        assert!(id < made_before(Duration::ZERO));
        assert_eq!(made_before(Duration::from_secs(u64::MAX)), Uuid::nil());
    }
}
