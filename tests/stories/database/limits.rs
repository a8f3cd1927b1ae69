//! Limits of the transactions in which rows are locked: whoever freezes in one is ended by the server.

use super::*;
use paceline_shared::db::{fenced::IDLE_LIMIT, sync_jobs::CancelOutcome, sync_runs};
use paceline_tests::{rows::change, wait::until};

/// Notes with each change of a job under which limits its transaction runs.
const SPY: &str = "
    create table public.seen_limits (idle text not null, statement text not null);
    create function public.see_limits() returns trigger language plpgsql as $$ begin
      insert into public.seen_limits values (
        current_setting('idle_in_transaction_session_timeout'), current_setting('statement_timeout'));
      return null;
    end $$;
    create trigger see_limits after insert or update on paceline.sync_jobs
      for each row execute function public.see_limits();
    create trigger see_limits after insert on paceline.sync_history
      for each row execute function public.see_limits();";

async fn spied() -> Bench {
    let bench = Bench::new().await;
    change(&bench, SPY).await;
    bench
}

/// Forgets what was noted so far.
async fn forget(bench: &Bench) {
    change(bench, "delete from public.seen_limits").await;
}

/// Every transaction since [`forget`] was limited, and there was one.
async fn assert_limited(bench: &Bench, what: &str) {
    let seen: Vec<(String, String)> = sqlx::query_as("select idle, statement from seen_limits")
        .fetch_all(&**bench)
        .await
        .unwrap();
    assert!(!seen.is_empty(), "{what} changed nothing");
    for (idle, statement) in seen {
        assert_eq!((idle.as_str(), statement.as_str()), ("5s", "10s"), "{what}");
    }
}

#[tokio::test]
async fn whoever_freezes_while_he_settles_an_outcome_keeps_no_row() {
    let bench = spied().await;
    let ends = [
        ("completed", Outcome::Completed),
        ("failed", Outcome::Failed(failure(Code::InvalidData))),
        ("cancelled", Outcome::Cancelled),
    ];
    for (name, outcome) in goes_back().into_iter().chain(ends) {
        let (_, lease) = bench.running(name).await;
        forget(&bench).await;
        bench.settle(lease, outcome).await;
        assert_limited(&bench, name).await;
        change(&bench, "delete from paceline.sync_jobs").await;
    }
}

#[tokio::test]
async fn whoever_freezes_while_he_reclaims_keeps_no_row() {
    let bench = spied().await;
    let (_, lease) = bench.running("ann").await;
    bench.age(lease.job, Duration::from_mins(1)).await;
    forget(&bench).await;
    let swept = sync_runs::reclaim(&bench, Duration::from_secs(13), 10, sync_runs::Silence::Crash)
        .await
        .unwrap();
    assert_eq!(swept.queued, 1);
    assert_limited(&bench, "reclaim").await;
}

#[tokio::test]
async fn whoever_freezes_while_he_cancels_keeps_no_row() {
    let bench = spied().await;
    let (person, job) = bench.queued("idle").await;
    forget(&bench).await;
    assert_eq!(sync_jobs::cancel(&bench, person.user, job).await.unwrap(), CancelOutcome::Done);
    assert_limited(&bench, "cancelling what nobody runs").await;
    let (person, lease) = bench.running("busy").await;
    forget(&bench).await;
    assert_eq!(
        sync_jobs::cancel(&bench, person.user, lease.job).await.unwrap(),
        CancelOutcome::Asked
    );
    assert_limited(&bench, "cancelling what somebody runs").await;
}

#[tokio::test]
async fn such_a_transaction_is_ended_by_the_server_when_its_owner_freezes() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    bench.age(lease.job, Duration::from_mins(1)).await;
    let mut frozen = paceline_shared::db::begin(&bench).await.unwrap();
    sqlx::query("select from paceline.sync_runs for update").execute(&mut *frozen).await.unwrap();
    let sweep = async || {
        sync_runs::reclaim(&bench, Duration::from_secs(13), 10, sync_runs::Silence::Crash)
            .await
            .unwrap()
    };
    assert_eq!(sweep().await.queued, 0, "its row is locked");
    until("it is reclaimed", IDLE_LIMIT + Duration::from_secs(3), async || {
        sweep().await.queued == 1
    })
    .await;
    assert!(frozen.commit().await.is_err());
}

#[tokio::test]
async fn the_limits_end_with_their_transaction() {
    const IDLE: &str = "select current_setting('idle_in_transaction_session_timeout')";
    let bench = Bench::new().await;
    let single = Db::new(bench.db.url(), Route::Direct, "paceline-tests", 1).unwrap();
    let outside = async || -> String { sqlx::query_scalar(IDLE).fetch_one(&single).await.unwrap() };
    let before = outside().await;
    let mut tx = paceline_shared::db::begin(&single).await.unwrap();
    let inside: String = sqlx::query_scalar(IDLE).fetch_one(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!((inside.as_str(), outside().await), ("5s", before));
}
