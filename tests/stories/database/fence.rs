//! The fence: no writing path is open to a lease that is lost.

use super::*;
use paceline_shared::db::{
    fenced::{FenceError, IDLE_LIMIT},
    sync_runs::{self, Beat, Reclaimed},
};
use paceline_tests::wait::until;

/// Leases that are not the one in force: an earlier claim's, another worker's, another job's.
fn stale(lease: Lease) -> [Lease; 4] {
    [
        Lease { epoch: lease.epoch - 1, ..lease },
        Lease { epoch: lease.epoch + 1, ..lease },
        Lease { worker: WorkerId::fresh(), ..lease },
        Lease { job: JobId::fresh(), ..lease },
    ]
}

fn every_outcome() -> Vec<(&'static str, Outcome)> {
    let mut all = goes_back().to_vec();
    all.extend([
        ("completed", Outcome::Completed),
        ("cancelled", Outcome::Cancelled),
        ("failed", Outcome::Failed(failure(Code::InvalidData))),
    ]);
    all
}

#[tokio::test]
async fn a_stale_lease_is_refused_on_every_writing_path() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    bench.checkpoint(lease, Checkpoint::Fetch { next_page: 3 }).await;
    let before = bench.picture(lease.job).await;
    for stale in stale(lease) {
        let begun = Fenced::begin(&bench, stale).await;
        assert!(matches!(begun, Err(FenceError::LeaseLost)), "{stale:?}: {begun:?}");
        for (name, outcome) in every_outcome() {
            assert_eq!(bench.settle(stale, outcome).await, [], "{name} by {stale:?}");
        }
        let heard = bench.beat(stale.worker, &[(stale.job, stale.epoch)]).await;
        assert_eq!(heard, [(stale.job, stale.epoch, Beat::Lost)]);
    }
    // The beat of the right process renews its row whatever epoch it believes in; nothing else moved.
    let ours = |picture: &str| picture.replace(|c: char| c.is_ascii_digit(), "");
    assert_eq!(ours(&bench.picture(lease.job).await), ours(&before));
    assert_eq!(
        bench.settle(lease, Outcome::Completed).await,
        [lease.job],
        "the true owner finishes"
    );
}

#[tokio::test]
async fn a_finished_job_cannot_be_written_again_by_its_last_owner() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    bench.settle(lease, Outcome::Completed).await;
    let before = bench.picture(lease.job).await;
    for (name, outcome) in every_outcome() {
        assert_eq!(bench.settle(lease, outcome).await, [], "{name}");
    }
    assert!(matches!(Fenced::begin(&bench, lease).await, Err(FenceError::LeaseLost)));
    assert_eq!(bench.picture(lease.job).await, before);
}

#[tokio::test]
async fn a_page_and_its_checkpoint_commit_together_or_not_at_all() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    let before = bench.picture(lease.job).await;
    let mut dropped = Fenced::begin(&bench, lease).await.unwrap();
    stage(&mut dropped, 200).await.unwrap();
    drop(dropped);
    assert_eq!(bench.picture(lease.job).await, before);
    let mut kept = Fenced::begin(&bench, lease).await.unwrap();
    stage(&mut kept, 200).await.unwrap();
    let counts = Counts { pages: 1, fetched: 200, ..Counts::default() };
    kept.commit(advance(Checkpoint::Fetch { next_page: 2 }, &counts, None)).await.unwrap();
    let (checkpoint, fetched, page): (serde_json::Value, i32, i32) = sqlx::query_as(
        "select checkpoint, (counts ->> 'fetched')::integer, last_page from paceline.sync_runs where job_id = $1
           and exists (select from paceline.staged_pages where job_id = $1 and items = 200)",
    )
    .bind(lease.job.0)
    .fetch_one(&*bench)
    .await
    .unwrap();
    assert_eq!((fetched, page), (200, 1));
    assert_eq!(checkpoint, serde_json::json!({ "phase": "fetch", "next_page": 2 }));
}

#[tokio::test]
async fn an_owner_inside_a_transaction_is_passed_by_and_loses_the_job_afterwards() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    bench.age(lease.job, Duration::from_mins(1)).await;
    let holding = Fenced::begin(&bench, lease).await.unwrap();
    let sweep = async || {
        sync_runs::reclaim(&bench, Duration::from_secs(13), 100, sync_runs::Silence::Crash)
            .await
            .unwrap()
    };
    assert_eq!(sweep().await, Reclaimed::default(), "its row is locked");
    drop(holding);
    until("it is reclaimed", Duration::from_secs(5), async || sweep().await.queued == 1).await;
    assert!(matches!(Fenced::begin(&bench, lease).await, Err(FenceError::LeaseLost)));
}

#[tokio::test]
async fn an_owner_that_freezes_inside_a_transaction_is_ended_by_the_server() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    bench.age(lease.job, Duration::from_mins(1)).await;
    let mut frozen = Fenced::begin(&bench, lease).await.unwrap();
    stage(&mut frozen, 1).await.unwrap();
    let limit = IDLE_LIMIT + Duration::from_secs(3);
    until("it is reclaimed though the owner still hangs in its transaction", limit, async || {
        sync_runs::reclaim(&bench, Duration::from_secs(13), 100, sync_runs::Silence::Crash)
            .await
            .unwrap()
            .queued
            == 1
    })
    .await;
    let late = advance(Checkpoint::Fetch { next_page: 2 }, &Counts::default(), None).checkpoint;
    let counts = Counts::default();
    assert!(frozen.commit(advance(late, &counts, None)).await.is_err(), "it commits nothing");
    let staged: i64 = sqlx::query_scalar("select count(*) from paceline.staged_pages")
        .fetch_one(&*bench)
        .await
        .unwrap();
    assert_eq!(staged, 0);
}

#[tokio::test]
async fn of_a_finish_and_a_reclaim_at_the_same_moment_exactly_one_wins() {
    let bench = Bench::new().await;
    for round in 0..20 {
        let (_, lease) = bench.running(&format!("user-{round}")).await;
        bench.age(lease.job, Duration::from_mins(1)).await;
        let outcomes = [(lease, Outcome::Completed)];
        let (finished, reclaimed) = tokio::join!(
            sync_outcomes::settle(&bench, &outcomes),
            sync_runs::reclaim(&bench, Duration::from_secs(13), 100, sync_runs::Silence::Crash)
        );
        let finished = finished.unwrap().held.len();
        let reclaimed = reclaimed.unwrap().queued;
        assert_eq!(finished + reclaimed, 1, "round {round}");
        let state = bench.state(lease.job).await;
        assert_eq!(state, if finished == 1 { "completed" } else { "queued" });
        if reclaimed == 1 {
            let worker = WorkerId::fresh();
            let again = lease_of(&bench.claim(worker).await[0], worker);
            bench.settle(again, Outcome::Completed).await;
        }
    }
}
