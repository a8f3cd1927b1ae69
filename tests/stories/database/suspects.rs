//! Suspects: jobs that two workers were lost with are claimed alone.

use super::*;
use paceline_shared::db::{lanes, sync_runs};

const STRAVA: &[Provider] = &[Provider::Strava];

/// A job that two workers were lost with at its first checkpoint.
async fn suspect(bench: &Bench, subject: &str) -> JobId {
    let (_, job) = bench.queued(subject).await;
    for _ in 0..2 {
        assert_eq!(bench.claim(WorkerId::fresh()).await.len(), 1);
        // Short instead of old: a crash counts only when the last beat is younger than the server.
        sync_runs::reclaim(bench, Duration::ZERO, 100, sync_runs::Silence::Crash).await.unwrap();
    }
    job
}

async fn take(bench: &Bench, worker: WorkerId) -> Option<Claimed> {
    sync_jobs::claim_suspect(bench, worker, STRAVA).await.unwrap()
}

#[tokio::test]
async fn a_job_that_two_workers_were_lost_with_is_claimed_by_itself() {
    let bench = Bench::new().await;
    assert!(!sync_jobs::suspect_waits(&bench, WorkerId::fresh(), STRAVA).await.unwrap());
    let job = suspect(&bench, "ann").await;
    let (_, other) = bench.queued("bob").await;
    let worker = WorkerId::fresh();
    let claimed = bench.claim(worker).await;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [other]);
    assert!(sync_jobs::suspect_waits(&bench, WorkerId::fresh(), STRAVA).await.unwrap());
    assert!(
        !sync_jobs::suspect_waits(&bench, WorkerId::fresh(), &[Provider::Garmin]).await.unwrap()
    );
    let taken = take(&bench, worker).await.unwrap();
    assert_eq!((taken.id, taken.crashes, taken.attempt), (job, 2, 1));
    assert!(!sync_jobs::suspect_waits(&bench, WorkerId::fresh(), STRAVA).await.unwrap());
    assert!(take(&bench, worker).await.is_none());
    assert_eq!(bench.settle(lease_of(&taken, worker), Outcome::Completed).await, [job]);
}

#[tokio::test]
async fn a_checkpoint_clears_a_suspect_however_the_claim_ends() {
    for (name, outcome) in goes_back() {
        let bench = Bench::new().await;
        let job = suspect(&bench, name).await;
        let worker = WorkerId::fresh();
        let lease = lease_of(&take(&bench, worker).await.unwrap(), worker);
        bench.settle(lease, outcome.clone()).await;
        make_due(&bench).await;
        let lease = lease_of(&take(&bench, worker).await.expect("it has not moved"), worker);
        bench.checkpoint(lease, Checkpoint::Fetch { next_page: 2 }).await;
        bench.settle(lease, outcome).await;
        make_due(&bench).await;
        assert!(take(&bench, worker).await.is_none(), "{name}");
        let claimed = bench.claim(worker).await;
        assert_eq!(
            claimed.iter().map(|c| (c.id, c.crashes)).collect::<Vec<_>>(),
            [(job, 0)],
            "{name}"
        );
    }
}

async fn make_due(bench: &Bench) {
    paceline_tests::rows::make_due(bench).await;
    sync_jobs::promote(bench).await.unwrap();
}

#[tokio::test]
async fn a_suspect_waits_behind_the_same_gates_as_all_jobs() {
    let bench = Bench::new().await;
    suspect(&bench, "ann").await;
    let worker = WorkerId::fresh();
    let mut tx = bench.begin().await.unwrap();
    lanes::pause(&mut tx, None, None, "ada", "a test").await.unwrap();
    tx.commit().await.unwrap();
    assert!(!sync_jobs::suspect_waits(&bench, WorkerId::fresh(), STRAVA).await.unwrap());
    assert!(take(&bench, worker).await.is_none());
    let mut tx = bench.begin().await.unwrap();
    lanes::resume(&mut tx, None).await.unwrap();
    lanes::set_limit(&mut tx, Provider::Strava, Some(1)).await.unwrap();
    tx.commit().await.unwrap();
    bench.queued("bob").await;
    let bob = bench.claim(worker).await.remove(0);
    assert!(take(&bench, worker).await.is_none(), "the lane is full");
    bench.settle(lease_of(&bob, worker), Outcome::Completed).await;
    assert!(take(&bench, worker).await.is_some());
}

/// Whether the worker would make room for it, and whether it gets it then.
async fn room_is_made(bench: &Bench, worker: WorkerId) -> bool {
    let waits = sync_jobs::suspect_waits(bench, worker, STRAVA).await.unwrap();
    let taken = take(bench, worker).await;
    assert_eq!(waits, taken.is_some(), "room would be made for nothing, or not where it is needed");
    if let Some(taken) = taken {
        bench.settle(lease_of(&taken, worker), Outcome::Released).await;
    }
    waits
}

#[tokio::test]
async fn no_room_is_made_for_a_suspect_that_the_gate_would_refuse() {
    let bench = Bench::new().await;
    let job = suspect(&bench, "ann").await;
    let (probe, other) = (WorkerId::fresh(), WorkerId::fresh());
    assert!(room_is_made(&bench, other).await);
    for class in 1_i16..=4 {
        sqlx::query("update paceline.sync_jobs set class = $2 where id = $1")
            .bind(job.0)
            .bind(class)
            .execute(&*bench)
            .await
            .unwrap();
        for below in 1_i16..=5 {
            sqlx::query(
                "update paceline.lanes set blocked_until = now() + interval '1 hour', blocked_below = $1,
                                           blocked_reason = 'quota_exceeded', blocked_scope = 'day'
                  where lane = 'strava'",
            )
            .bind(below)
            .execute(&*bench)
            .await
            .unwrap();
            assert_eq!(room_is_made(&bench, other).await, class >= below, "{class} below {below}");
        }
    }
    lanes::unblock(&*bench, Provider::Strava).await.unwrap();
    for (until, gets_it) in [("1 hour", true), ("-1 second", false)] {
        sqlx::query(
            "update paceline.lanes set breaker = 'half_open', breaker_probe = $1,
                                       breaker_until = now() + $2::text::interval
              where lane = 'strava'",
        )
        .bind(probe.0)
        .bind(until)
        .execute(&*bench)
        .await
        .unwrap();
        assert!(!room_is_made(&bench, other).await, "the probe is another's");
        assert_eq!(room_is_made(&bench, probe).await, gets_it, "for {until}");
    }
}

#[tokio::test]
async fn what_a_worker_runs_itself_does_not_keep_it_from_making_room_in_a_limited_lane() {
    let bench = Bench::new().await;
    suspect(&bench, "ann").await;
    let mut tx = bench.begin().await.unwrap();
    lanes::set_limit(&mut tx, Provider::Strava, Some(1)).await.unwrap();
    tx.commit().await.unwrap();
    bench.queued("bob").await;
    let (runs, other) = (WorkerId::fresh(), WorkerId::fresh());
    assert_eq!(bench.claim(runs).await.len(), 1);
    assert!(!sync_jobs::suspect_waits(&bench, other, STRAVA).await.unwrap());
    assert!(sync_jobs::suspect_waits(&bench, runs, STRAVA).await.unwrap());
}

#[tokio::test]
async fn of_many_workers_one_gets_the_suspect() {
    let bench = Bench::new().await;
    suspect(&bench, "ann").await;
    let all = (0..8).map(|_| take(&bench, WorkerId::fresh()));
    let taken = futures::future::join_all(all).await.into_iter().flatten().count();
    assert_eq!(taken, 1);
}
