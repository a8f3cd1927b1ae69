//! Finished syncs and their partitions.

use super::*;
use paceline_shared::db::sync_history;

async fn partition_of(bench: &Bench, job: JobId) -> String {
    sqlx::query_scalar("select c.relname::text from paceline.sync_history h join pg_class c on c.oid = h.tableoid where h.id = $1")
        .bind(job.0)
        .fetch_one(&**bench)
        .await
        .unwrap()
}

#[tokio::test]
async fn an_ended_sync_lies_in_the_partition_of_its_month() {
    let bench = Bench::new().await;
    assert_eq!(sync_history::ensure_partitions(&bench).await.unwrap(), 0, "migrating made them");
    let (_, lease) = bench.running("ann").await;
    bench.settle(lease, Outcome::Completed).await;
    let month: String =
        sqlx::query_scalar("select to_char(clock_timestamp() at time zone 'UTC', 'YYYYMM')")
            .fetch_one(&*bench)
            .await
            .unwrap();
    assert_eq!(partition_of(&bench, lease.job).await, format!("sync_history_{month}"));
}

#[tokio::test]
async fn without_its_partition_a_sync_still_ends_and_making_it_late_harms_nothing() {
    let bench = Bench::new().await;
    let month: String =
        sqlx::query_scalar("select to_char(clock_timestamp() at time zone 'UTC', 'YYYYMM')")
            .fetch_one(&*bench)
            .await
            .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("drop table paceline.sync_history_{month}")))
        .execute(&*bench)
        .await
        .unwrap();
    let (_, lease) = bench.running("ann").await;
    bench.settle(lease, Outcome::Completed).await;
    assert_eq!(partition_of(&bench, lease.job).await, "sync_history_default");
    let made = sync_history::ensure_partitions(&bench).await.unwrap();
    assert_eq!(made, 0, "its rows are in the default partition, so the month stays there");
    assert_eq!(bench.state(lease.job).await, "completed");
}

#[tokio::test]
async fn a_partition_is_made_without_standing_in_the_way_of_whoever_ends_a_sync() {
    let bench = Bench::new().await;
    let newest: String = sqlx::query_scalar(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'paceline.sync_history'::regclass
            and inhrelid::regclass::text ~ '[0-9]{6}$' order by 1 desc limit 1",
    )
    .fetch_one(&*bench)
    .await
    .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("drop table {newest}")))
        .execute(&*bench)
        .await
        .unwrap();
    let mut reads = bench.begin().await.unwrap();
    sqlx::query("select from paceline.sync_history limit 1").fetch_all(&mut *reads).await.unwrap();
    let made =
        tokio::time::timeout(Duration::from_secs(2), sync_history::ensure_partitions(&bench));
    assert_eq!(made.await.expect("it does not wait").unwrap(), 0);
    drop(reads);
    assert_eq!(sync_history::ensure_partitions(&bench).await.unwrap(), 1, "the next time");
}
