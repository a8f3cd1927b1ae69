//! A cancel that nothing forgets.

use super::*;
use paceline_shared::{db::sync_jobs::CancelOutcome, db::sync_runs, job_state::JobState};

#[tokio::test]
async fn a_job_that_nobody_runs_ends_at_once() {
    let bench = Bench::new().await;
    let (person, queued) = bench.queued("queued").await;
    assert_eq!(sync_jobs::cancel(&bench, person.user, queued).await.unwrap(), CancelOutcome::Done);
    let (person, lease) = bench.running("waiting").await;
    let [_, (_, parked), _] = goes_back();
    bench.settle(lease, parked).await;
    assert_eq!(
        sync_jobs::cancel(&bench, person.user, lease.job).await.unwrap(),
        CancelOutcome::Done
    );
    for job in [queued, lease.job] {
        assert_eq!(bench.state(job).await, "cancelled");
        let shown: String =
            sqlx::query_scalar("select status from public.sync_progress where id = $1")
                .bind(job.0)
                .fetch_one(&*bench)
                .await
                .unwrap();
        assert_eq!(shown, "cancelled");
    }
    assert!(bench.claim(WorkerId::fresh()).await.is_empty());
}

#[tokio::test]
async fn a_cancel_is_forgotten_by_no_way_back_into_the_queue() {
    let bench = Bench::new().await;
    for (name, outcome) in goes_back() {
        let (person, lease) = bench.running(name).await;
        let asked = sync_jobs::cancel(&bench, person.user, lease.job).await.unwrap();
        assert_eq!(asked, CancelOutcome::Asked);
        assert_eq!(bench.settle(lease, outcome).await, [lease.job]);
        assert_eq!(bench.state(lease.job).await, "cancelled", "{name}");
    }
    let (person, lease) = bench.running("reclaimed").await;
    sync_jobs::cancel(&bench, person.user, lease.job).await.unwrap();
    bench.age(lease.job, Duration::from_mins(1)).await;
    let swept = sync_runs::reclaim(&bench, Duration::from_secs(13), 10, sync_runs::Silence::Crash)
        .await
        .unwrap();
    assert_eq!((swept.queued, swept.cancelled), (0, 1));
    assert_eq!(bench.state(lease.job).await, "cancelled");
    assert!(bench.claim(WorkerId::fresh()).await.is_empty());
}

#[tokio::test]
async fn what_has_ended_stays_as_it_ended() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    bench.settle(lease, Outcome::Completed).await;
    let cancelled = sync_jobs::cancel(&bench, person.user, lease.job).await.unwrap();
    assert_eq!(cancelled, CancelOutcome::Ended(JobState::Completed));
    assert_eq!(bench.state(lease.job).await, "completed");
}

#[tokio::test]
async fn nobody_cancels_anothers_sync() {
    let bench = Bench::new().await;
    let (_, job) = bench.queued("ann").await;
    let bob = bench.person("bob").await;
    assert_eq!(sync_jobs::cancel(&bench, bob.user, job).await.unwrap(), CancelOutcome::NotFound);
    assert_eq!(bench.state(job).await, "queued");
}

#[tokio::test]
async fn a_cancel_and_a_way_back_at_the_same_moment_end_in_cancelled() {
    let bench = Bench::new().await;
    for round in 0..20 {
        let (person, lease) = bench.running(&format!("user-{round}")).await;
        let outcomes = [(lease, Outcome::Released)];
        let (asked, settled) = tokio::join!(
            sync_jobs::cancel(&bench, person.user, lease.job),
            sync_outcomes::settle(&bench, &outcomes)
        );
        asked.unwrap();
        assert_eq!(settled.unwrap().held, [lease.job]);
        assert_eq!(bench.state(lease.job).await, "cancelled", "round {round}");
    }
}
