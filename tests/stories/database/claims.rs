//! Claims: no job twice, in the right order.

use super::*;
use paceline_shared::db::fenced::FenceError;
use std::collections::{BTreeSet, HashMap};

#[tokio::test]
async fn eight_claimers_never_take_the_same_job_and_together_take_all() {
    let bench = Bench::new().await;
    let mut queued = BTreeSet::new();
    for n in 0..120 {
        queued.insert(bench.queued(&format!("user-{n}")).await.1);
    }
    let claimer = async || {
        let worker = WorkerId::fresh();
        let mut mine: Vec<JobId> = Vec::new();
        loop {
            let claimed = sync_jobs::claim(&bench, worker, Provider::Strava, 3, Cursor::START)
                .await
                .unwrap()
                .jobs;
            // With SKIP LOCKED an empty claim may mean that others hold the rest at this moment.
            if claimed.is_empty() {
                return mine;
            }
            mine.extend(claimed.iter().map(|job| job.id));
        }
    };
    let taken = futures::future::join_all((0..8).map(|_| claimer())).await.concat();
    let distinct: BTreeSet<JobId> = taken.iter().copied().collect();
    assert_eq!(distinct.len(), taken.len(), "a job was taken twice");
    let rest = bench.claim(WorkerId::fresh()).await.into_iter().map(|job| job.id);
    assert_eq!(distinct.into_iter().chain(rest).collect::<BTreeSet<_>>(), queued);
}

#[tokio::test]
async fn a_claim_gives_a_lease_that_no_earlier_claim_gave() {
    let bench = Bench::new().await;
    let (_, first) = bench.running("ann").await;
    assert_eq!((first.epoch, bench.attempt(first.job).await), (1, 1));
    bench.settle(first, Outcome::Released).await;
    let worker = WorkerId::fresh();
    let again = bench.claim(worker).await.remove(0);
    assert_eq!((again.id, again.epoch, again.attempt), (first.job, 2, 1));
    let late = sync_progress::begin(&bench, first).await;
    assert!(matches!(late, Err(FenceError::LeaseLost)), "{late:?}");
    bench.begin_run(lease_of(&again, worker)).await;
    let status: String =
        sqlx::query_scalar("select status from public.sync_progress where id = $1")
            .bind(first.job.0)
            .fetch_one(&*bench)
            .await
            .unwrap();
    assert_eq!(status, "running", "the user sees it too");
}

#[tokio::test]
async fn the_urgent_come_first_and_then_the_early() {
    let bench = Bench::new().await;
    let classes = [Class::Backfill, Class::Scheduled, Class::Interactive, Class::Webhook];
    let mut names = HashMap::new();
    for (round, classes) in [classes, classes].into_iter().enumerate() {
        for class in classes {
            let person = bench.person(&format!("{class:?}-{round}")).await;
            let Enqueued::New(job) = bench.enqueue(person, class).await else { panic!("live") };
            names.insert(job, format!("{class:?}-{round}"));
        }
    }
    let claimed = bench.claim(WorkerId::fresh()).await;
    let order: Vec<&str> = claimed.iter().map(|job| names[&job.id].as_str()).collect();
    assert_eq!(
        order,
        [
            "Webhook-0",
            "Webhook-1",
            "Interactive-0",
            "Interactive-1",
            "Scheduled-0",
            "Scheduled-1",
            "Backfill-0",
            "Backfill-1"
        ]
    );
}

#[tokio::test]
async fn a_job_ages_past_the_urgent_ones_that_came_much_later() {
    let bench = Bench::new().await;
    let person = bench.person("patient").await;
    let Enqueued::New(old) = bench.enqueue(person, Class::Backfill).await else { panic!("live") };
    sqlx::query("update paceline.sync_jobs set sort_at = sort_at - interval '61 minutes'")
        .execute(&*bench)
        .await
        .unwrap();
    bench.queued("urgent").await;
    assert_eq!(bench.claim(WorkerId::fresh()).await[0].id, old);
}

#[tokio::test]
async fn a_claim_goes_on_behind_its_cursor() {
    let bench = Bench::new().await;
    let mut queued = Vec::new();
    for n in 0..4 {
        queued.push(bench.queued(&format!("user-{n}")).await.1);
    }
    let worker = WorkerId::fresh();
    let claim = async |limit, after| {
        sync_jobs::claim(&bench, worker, Provider::Strava, limit, after).await.unwrap().jobs
    };
    let first = claim(2, Cursor::START).await;
    assert_eq!(first.iter().map(|job| job.id).collect::<Vec<_>>(), queued[..2]);
    // One before the cursor becomes free again: the cursor does not see it, a fresh start does.
    bench.settle(lease_of(&first[0], worker), Outcome::Released).await;
    let second = claim(9, Cursor::behind(&first[1])).await;
    assert_eq!(second.iter().map(|job| job.id).collect::<Vec<_>>(), queued[2..]);
    assert_eq!(claim(9, Cursor::START).await[0].id, queued[0]);
}

#[tokio::test]
async fn a_worker_leaves_what_only_a_newer_one_can_read() {
    let bench = Bench::new().await;
    bench.queued("ann").await;
    sqlx::query("update paceline.sync_jobs set payload_version = payload_version + 1")
        .execute(&*bench)
        .await
        .unwrap();
    assert!(bench.claim(WorkerId::fresh()).await.is_empty());
}

#[tokio::test]
async fn waiting_jobs_are_claimed_only_after_they_are_due() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    let [_, (_, parked), _] = goes_back();
    bench.settle(lease, parked).await;
    assert_eq!(sync_jobs::promote(&bench).await.unwrap(), 0);
    assert!(bench.claim(WorkerId::fresh()).await.is_empty());
    sqlx::query("update paceline.sync_jobs set run_at = clock_timestamp()")
        .execute(&*bench)
        .await
        .unwrap();
    assert_eq!(sync_jobs::promote(&bench).await.unwrap(), 1);
    assert_eq!(bench.state(lease.job).await, "queued");
    assert_eq!(bench.claim(WorkerId::fresh()).await.len(), 1);
}

#[tokio::test]
async fn a_claim_reads_the_queue_in_order_and_no_further_than_it_takes() {
    let bench = Bench::new().await;
    bench.crowd(30_000, Class::Scheduled).await;
    let db = bench.counted();
    let before = scans(&db, "sync_jobs").await;
    let claim = sync_jobs::claim(&db, WorkerId::fresh(), Provider::Strava, 50, Cursor::START);
    assert_eq!(claim.await.unwrap().jobs.len(), 50);
    let after = scans(&db, "sync_jobs").await;
    assert_eq!(after["whole"], before["whole"], "never the whole table");
    let read = after["sync_jobs_ready"].1 - before["sync_jobs_ready"].1;
    assert!((50..60).contains(&read), "{read} entries were read for 50 jobs");
}

#[tokio::test]
async fn a_claimed_row_stays_on_its_page_and_touches_no_index() {
    let bench = Bench::new().await;
    bench.crowd(1000, Class::Scheduled).await;
    let db = bench.counted();
    let claim = sync_jobs::claim(&db, WorkerId::fresh(), Provider::Strava, 1000, Cursor::START);
    assert_eq!(claim.await.unwrap().jobs.len(), 1000);
    scans(&db, "sync_jobs").await;
    let updates: (i64, i64) = sqlx::query_as(
        "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'sync_jobs'",
    )
    .fetch_one(&db)
    .await
    .unwrap();
    assert_eq!(updates, (1000, 1000));
}
