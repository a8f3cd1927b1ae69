//! The user's row: monotone, and his alone.

use super::*;

#[tokio::test]
async fn a_percentage_once_shown_never_falls() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    let show = async |counts: Counts, to: Checkpoint| {
        let snapshot =
            Snapshot { attempt: 1, phase: to.phase(), counts, provider: Provider::Strava };
        let fenced = Fenced::begin(&bench, lease).await.unwrap();
        fenced.commit(advance(to, &counts, Some(&snapshot))).await.unwrap();
        let percent: i16 = sqlx::query_scalar("select percent from public.sync_progress")
            .fetch_one(&*bench)
            .await
            .unwrap();
        percent
    };
    let all = Counts { pages: 2, fetched: 10, saved: 10, through: 10, ..Counts::default() };
    let high = show(all, Checkpoint::Store { next_page: 2, next_item: 0 }).await;
    assert_eq!(high, 99);
    let back = Counts { pages: 1, fetched: 1, ..Counts::default() };
    assert_eq!(show(back, Checkpoint::Fetch { next_page: 1 }).await, high);
}

#[tokio::test]
async fn a_user_reads_his_own_rows_and_writes_none() {
    let bench = Bench::new().await;
    bench.queued("ann").await;
    bench.queued("bob").await;
    let seen_with = async |claims: &str, role: &str| {
        let mut tx = bench.begin().await.unwrap();
        sqlx::query("select set_config('request.jwt.claims', $1, true)")
            .bind(claims)
            .execute(&mut *tx)
            .await
            .unwrap();
        let set = format!("set local role {role}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut *tx).await.unwrap();
        sqlx::query_scalar::<_, String>("select external_id from public.sync_progress")
            .fetch_all(&mut *tx)
            .await
    };
    assert_eq!(seen_with(r#"{"sub":"ann"}"#, "authenticated").await.unwrap(), ["ann"]);
    for nobody in [r#"{"sub":"cem"}"#, r#"{"sub":null}"#, "{}", ""] {
        assert!(seen_with(nobody, "authenticated").await.unwrap().is_empty(), "{nobody}");
    }
    assert!(seen_with("broken", "authenticated").await.is_err());
    assert!(seen_with(r#"{"sub":"ann"}"#, "anon").await.is_err());
    let mut tx = bench.begin().await.unwrap();
    sqlx::raw_sql("set local role authenticated").execute(&mut *tx).await.unwrap();
    let written =
        sqlx::query("update public.sync_progress set percent = 1").execute(&mut *tx).await;
    assert!(written.is_err(), "permission denied");
}
