//! Paceline behind `PgBouncer` in transaction mode: everything works, with and without a way past it.

use paceline_simulator::Config;
use paceline_tests::{
    database::TestDb,
    pgbouncer::PgBouncer,
    rows,
    stack::{SOON, Stack, WorkerSetup},
    truth,
    wait::until,
};
use serde_json::json;
use std::time::Duration;

/// A stack whose processes reach Postgres through a pooler; `None` where this machine has no pooler.
async fn stack(past_it: bool) -> Option<(Stack, PgBouncer)> {
    let db = TestDb::new().await;
    let Some(pooler) = PgBouncer::start(db.url()).await else {
        #[expect(clippy::print_stderr, reason = "a test that did not run must say so")]
        {
            eprintln!(
                "SKIPPED: this machine has no pgbouncer; install the package to run this story"
            );
        }
        return None;
    };
    let mut way = ["--database-url", pooler.url(), "--database-pooler"].map(str::to_owned).to_vec();
    if past_it {
        way.extend(["--database-direct-url".to_owned(), db.url().to_owned()]);
    }
    Some((Stack::over(db, Config::default(), way).await, pooler))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_behind_a_pooler_syncs_whole_histories() {
    for past_it in [true, false] {
        let Some((mut stack, _pooler)) = stack(past_it).await else { return };
        let _workers = [stack.worker().await, stack.worker().await];
        let mut users = Vec::new();
        for n in 0..6 {
            users.push(stack.user(&format!("person-{n}"), 450).await);
        }
        let mut syncs = Vec::new();
        for user in &users {
            syncs.push(user.client.start_sync(&json!({})).await);
        }
        for (user, sync) in users.iter().zip(syncs) {
            user.client.wait_done(sync, SOON).await;
            stack.assert_true(user, truth::WHOLE).await;
        }
        let left = rows::number(&stack.db, "select count(*) from paceline.sync_jobs").await;
        assert_eq!(left, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_alone_the_fleet_finds_out_that_notifications_do_not_arrive() {
    let Some((mut stack, _pooler)) = stack(false).await else { return };
    let _worker = stack.worker_with(WorkerSetup::default()).await;
    until("the worker says that it polls", Duration::from_secs(15), async || {
        rows::number(&stack.db, "select count(*) from paceline.workers where not listening").await
            == 1
    })
    .await;
    let user = stack.user("ada", 200).await;
    user.sync_all(&json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_way_past_the_pooler_notifications_arrive() {
    let Some((mut stack, _pooler)) = stack(true).await else { return };
    let _worker = stack.worker().await;
    // Three echoes take six seconds; it must still be listening after more than that.
    let began = std::time::Instant::now();
    until("the worker has been up for ten seconds", Duration::from_secs(15), async || {
        began.elapsed() > Duration::from_secs(10)
    })
    .await;
    let polling = "select count(*) from paceline.workers where not listening";
    assert_eq!(rows::number(&stack.db, polling).await, 0);
}
