//! Beats and reclaim: who is silent loses, and what counts as a crash.

use super::*;
use paceline_shared::db::sync_runs::{self, Beat, CRASHES_ALLOWED, Reclaimed, Silence};

const LEASE: Duration = Duration::from_secs(13);

async fn sweep(bench: &Bench) -> Reclaimed {
    sync_runs::reclaim(bench, LEASE, 100, Silence::Crash).await.unwrap()
}

async fn crashes(bench: &Bench, job: JobId) -> i16 {
    sqlx::query_scalar("select crashes from paceline.sync_jobs where id = $1")
        .bind(job.0)
        .fetch_one(&**bench)
        .await
        .unwrap()
}

/// A new worker has the one job there is, suspect or not.
async fn any_claim(bench: &Bench) -> Lease {
    let worker = WorkerId::fresh();
    let claimed = match bench.claim(worker).await.pop() {
        Some(claimed) => claimed,
        None => {
            sync_jobs::claim_suspect(bench, worker, &[Provider::Strava]).await.unwrap().unwrap()
        }
    };
    lease_of(&claimed, worker)
}

/// The job is claimed by a worker that falls silent at once; answers what the sweep did.
async fn lose_a_worker(bench: &Bench) -> (Lease, Reclaimed) {
    let lease = any_claim(bench).await;
    (lease, sweep_at_once(bench).await)
}

/// For crashes to be counted the last beat must be younger than the server, which may be as young as
/// this test: so the lease is made short here, not the beat old.
async fn sweep_at_once(bench: &Bench) -> Reclaimed {
    sync_runs::reclaim(bench, Duration::ZERO, 100, Silence::Crash).await.unwrap()
}

#[tokio::test]
async fn a_silent_worker_loses_its_lease_and_the_job_keeps_its_attempt() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    assert_eq!(sweep(&bench).await, Reclaimed::default(), "it is not silent yet");
    bench.age(lease.job, LEASE + Duration::from_secs(1)).await;
    assert_eq!(sweep(&bench).await, Reclaimed { queued: 1, ..Reclaimed::default() });
    let heard = bench.beat(lease.worker, &[(lease.job, lease.epoch)]).await;
    assert_eq!(heard, [(lease.job, lease.epoch, Beat::Lost)]);
    assert_eq!(
        (bench.state(lease.job).await.as_str(), bench.attempt(lease.job).await),
        ("queued", 0)
    );
    let again = bench.claim(WorkerId::fresh()).await.remove(0);
    assert_eq!((again.attempt, again.epoch), (1, 2));
}

#[tokio::test]
async fn a_beat_holds_the_lease() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    bench.age(lease.job, LEASE * 2).await;
    let heard = bench.beat(lease.worker, &[(lease.job, lease.epoch)]).await;
    assert_eq!(heard, [(lease.job, lease.epoch, Beat::Held)]);
    assert_eq!(sweep(&bench).await, Reclaimed::default());
}

#[tokio::test]
async fn a_checkpoint_holds_the_lease_as_a_beat_does() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    // Past its end, and no sweep has come by: the beats passed by a row that was always locked.
    bench.age(lease.job, LEASE + Duration::from_secs(1)).await;
    bench.checkpoint(lease, Checkpoint::Fetch { next_page: 2 }).await;
    assert_eq!(sweep(&bench).await, Reclaimed::default());
    assert_eq!(bench.state(lease.job).await, "running");
    bench.age(lease.job, LEASE + Duration::from_secs(1)).await;
    assert_eq!(sweep(&bench).await.queued, 1, "for one lease and no longer");
}

#[tokio::test]
async fn a_beat_passes_by_a_row_that_is_locked_and_renews_the_others() {
    let bench = Bench::new().await;
    bench.queued("ann").await;
    bench.queued("bob").await;
    let worker = WorkerId::fresh();
    let leases: Vec<Lease> =
        bench.claim(worker).await.iter().map(|claimed| lease_of(claimed, worker)).collect();
    for lease in &leases {
        bench.age(lease.job, Duration::from_secs(8)).await;
    }
    let held: Vec<_> = leases.iter().map(|lease| (lease.job, lease.epoch)).collect();
    let writing = Fenced::begin(&bench, leases[0]).await.unwrap();
    let beat = bench.beat(worker, &held);
    let heard = tokio::time::timeout(Duration::from_secs(2), beat).await.expect("no wait");
    assert!(heard.iter().all(|(.., beat)| *beat == Beat::Held), "{heard:?}");
    let fresh: Vec<bool> = sqlx::query_scalar(
        "select beat_at > clock_timestamp() - interval '4 seconds' from paceline.sync_runs order by job_id",
    )
    .fetch_all(&*bench)
    .await
    .unwrap();
    assert_eq!(fresh, [false, true]);
    drop(writing);
}

#[tokio::test]
async fn a_beat_hears_of_a_cancel() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    let asked = sync_jobs::cancel(&bench, person.user, lease.job).await.unwrap();
    assert_eq!(asked, sync_jobs::CancelOutcome::Asked);
    let heard = bench.beat(lease.worker, &[(lease.job, lease.epoch)]).await;
    assert_eq!(heard, [(lease.job, lease.epoch, Beat::Cancelled)]);
}

#[tokio::test]
async fn a_job_that_loses_three_workers_at_one_checkpoint_fails_with_a_report() {
    let bench = Bench::new().await;
    let (_, job) = bench.queued("ann").await;
    for lost in 1..=2 {
        let (_, swept) = lose_a_worker(&bench).await;
        assert_eq!(swept.queued, 1);
        assert_eq!(crashes(&bench, job).await, lost);
    }
    let (_, swept) = lose_a_worker(&bench).await;
    assert_eq!(swept, Reclaimed { quarantined: 1, ..Reclaimed::default() });
    assert_eq!(bench.state(job).await, "failed");
    let (code, phase, context): (String, String, serde_json::Value) =
        sqlx::query_as("select code, phase, context from paceline.sync_attempts where job_id = $1")
            .bind(job.0)
            .fetch_one(&*bench)
            .await
            .unwrap();
    assert_eq!((code.as_str(), phase.as_str()), ("worker_lost", "fetch"));
    assert_eq!(context["checkpoint"], serde_json::json!({ "phase": "fetch", "next_page": 1 }));
}

#[tokio::test]
async fn a_checkpoint_that_moved_clears_the_job_of_suspicion() {
    let bench = Bench::new().await;
    let (_, job) = bench.queued("ann").await;
    lose_a_worker(&bench).await;
    lose_a_worker(&bench).await;
    assert_eq!(crashes(&bench, job).await, 2);
    let lease = any_claim(&bench).await;
    bench.checkpoint(lease, Checkpoint::Fetch { next_page: 2 }).await;
    assert_eq!(sweep_at_once(&bench).await.queued, 1);
    assert_eq!(crashes(&bench, job).await, 0);
}

#[tokio::test]
async fn an_outage_of_the_server_is_no_fault_of_the_jobs() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    sqlx::query(
        "update paceline.sync_runs set beat_at = pg_postmaster_start_time() - interval '1 minute'",
    )
    .execute(&*bench)
    .await
    .unwrap();
    assert_eq!(sweep(&bench).await.queued, 1);
    assert_eq!(crashes(&bench, lease.job).await, 0);
}

#[tokio::test]
async fn a_sweeper_that_was_cut_off_itself_counts_no_crash_and_forgets_none() {
    let bench = Bench::new().await;
    let (_, job) = bench.queued("ann").await;
    lose_a_worker(&bench).await;
    for _ in 0..CRASHES_ALLOWED {
        any_claim(&bench).await;
        let swept = sync_runs::reclaim(&bench, Duration::ZERO, 100, Silence::Outage).await;
        assert_eq!(swept.unwrap(), Reclaimed { queued: 1, ..Reclaimed::default() });
        assert_eq!(crashes(&bench, job).await, 1);
    }
}

#[tokio::test]
async fn many_sweepers_at_once_reclaim_each_job_once() {
    let bench = Bench::new().await;
    for n in 0..60 {
        bench.queued(&format!("user-{n}")).await;
    }
    let claimed = bench.claim(WorkerId::fresh()).await;
    assert_eq!(claimed.len(), 60);
    for job in &claimed {
        bench.age(job.id, LEASE * 2).await;
    }
    let sweepers = (0..6).map(|_| sync_runs::reclaim(&bench, LEASE, 25, Silence::Crash));
    let swept: usize = futures::future::join_all(sweepers)
        .await
        .into_iter()
        .map(|swept| swept.unwrap().queued)
        .sum();
    let rest = sweep(&bench).await.queued;
    assert_eq!(swept + rest, 60);
    assert_eq!(bench.claim(WorkerId::fresh()).await.len(), 60);
}

async fn stuck(bench: &Bench) -> Vec<JobId> {
    let stuck = sync_runs::stuck(bench, Duration::from_mins(10)).await.unwrap();
    stuck.iter().map(|stuck| stuck.lease.job).collect()
}

/// As if the job had last come forward so long ago.
async fn stand_still(bench: &Bench, minutes: i32) {
    sqlx::query("update paceline.sync_runs set last_activity_at = last_activity_at - make_interval(mins => $1)")
        .bind(minutes)
        .execute(&**bench)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_job_that_beats_and_gets_nowhere_is_reported_once() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    stand_still(&bench, 9).await;
    assert_eq!(stuck(&bench).await, []);
    stand_still(&bench, 2).await;
    let reported = sync_runs::stuck(&bench, Duration::from_mins(10)).await.unwrap();
    assert_eq!(reported.iter().map(|stuck| stuck.lease).collect::<Vec<_>>(), [lease]);
    assert_eq!((reported[0].provider, reported[0].phase), (Provider::Strava, Phase::Fetch));
    assert_eq!(stuck(&bench).await, [], "that is known");
    bench.checkpoint(lease, Checkpoint::Fetch { next_page: 2 }).await;
    stand_still(&bench, 11).await;
    assert_eq!(stuck(&bench).await, [lease.job], "it had come forward meanwhile");
    bench.settle(lease, Outcome::Released).await;
    stand_still(&bench, 11).await;
    assert_eq!(stuck(&bench).await, [], "nobody has it");
    assert_eq!(bench.claim(WorkerId::fresh()).await.len(), 1);
    assert_eq!(stuck(&bench).await, [], "a claim is a new beginning");
    stand_still(&bench, 11).await;
    assert_eq!(stuck(&bench).await, [lease.job]);
}

#[tokio::test]
async fn a_job_whose_worker_is_silent_is_lost_and_not_stuck() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    stand_still(&bench, 11).await;
    bench.age(lease.job, Duration::from_mins(1)).await;
    assert_eq!(stuck(&bench).await, []);
}

#[tokio::test]
async fn beats_and_sweeps_read_what_runs_however_many_jobs_are_parked() {
    let bench = Bench::new().await;
    sqlx::query(
        "insert into paceline.sync_runs (job_id, provider, lease_epoch, beat_at, started_at, last_activity_at)
         select gen_random_uuid(), 'strava', 1, t, t, t from generate_series(1, 30000), (select now() - interval '1 hour' as t) t",
    )
    .execute(&*bench)
    .await
    .unwrap();
    bench.queued("ann").await;
    let worker = WorkerId::fresh();
    let claimed = bench.claim(worker).await;
    let held: Vec<_> = claimed.iter().map(|claimed| (claimed.id, claimed.epoch)).collect();
    sqlx::query("analyze paceline.sync_runs").execute(&*bench).await.unwrap();
    let db = bench.counted();
    let before = scans(&db, "sync_runs").await;
    // Often enough for a plan to be kept.
    for _ in 0..8 {
        sync_runs::beat(&db, &presence(worker), &held).await.unwrap();
        sync_runs::reclaim(&db, LEASE, 100, Silence::Crash).await.unwrap();
        sync_runs::stuck(&db, Duration::from_mins(10)).await.unwrap();
    }
    let after = scans(&db, "sync_runs").await;
    assert_eq!(after["whole"], before["whole"], "never the whole table");
    let entries = |scans: &std::collections::BTreeMap<String, (i64, i64)>| -> i64 {
        scans.iter().filter(|(index, _)| *index != "whole").map(|(_, (_, read))| read).sum()
    };
    let read = entries(&after) - entries(&before);
    assert!(read < 100, "{read} entries were read for one job");
}
