//! Jobs as they are counted: what no worker could take now is not runnable.

use super::*;
use paceline_shared::{
    db::{job_counts, lanes},
    slices::Slices,
};
use paceline_tests::rows;

/// Counts at once, however young the figures are, and answers those of queued and runnable jobs.
async fn counted(bench: &Bench) -> (i64, i64) {
    sqlx::query(
        "update paceline.job_counts_taken set live_at = '-infinity', counting_until = null",
    )
    .execute(&**bench)
    .await
    .unwrap();
    let turn = job_counts::take_turn(bench).await.unwrap().expect("the turn");
    assert!(job_counts::count(bench, turn).await.unwrap());
    let mut tx = bench.begin().await.unwrap();
    let (counts, _) = job_counts::read(&mut tx).await.unwrap();
    let of = |state: &str| counts.iter().filter(|count| count.state == state).map(|c| c.jobs).sum();
    (of("queued"), of("runnable"))
}

#[tokio::test]
async fn a_limited_lane_has_as_many_runnable_jobs_as_it_has_room() {
    let bench = Bench::new().await;
    for n in 0..5 {
        let person = bench.person(&format!("person-{n}")).await;
        bench.enqueue(person, Class::Interactive).await;
    }
    assert_eq!(counted(&bench).await, (5, 5));
    let mut tx = bench.begin().await.unwrap();
    lanes::set_limit(&mut tx, Provider::Strava, Some(3)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(counted(&bench).await, (5, 3), "nothing runs yet");
    assert_eq!(bench.claim(WorkerId::fresh()).await.len(), 3);
    assert_eq!(counted(&bench).await, (2, 0), "the lane is full");
}

#[tokio::test]
async fn nothing_is_runnable_in_a_paused_lane() {
    let bench = Bench::new().await;
    bench.queued("ann").await;
    let mut tx = bench.begin().await.unwrap();
    lanes::pause(&mut tx, None, None, "ann", "maintenance").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(counted(&bench).await, (1, 0));
}

/// Counts finished jobs too, as if the last count had been a quarter of an hour ago.
async fn a_quarter_of_an_hour_later(bench: &Bench) {
    sqlx::query("update paceline.job_counts_taken set history_at = clock_timestamp() - interval '15 minutes'")
        .execute(&**bench)
        .await
        .unwrap();
    counted(bench).await;
}

async fn step_s(bench: &Bench) -> f64 {
    sqlx::query_scalar(
        "select extract(epoch from step)::float8 from paceline.lanes where lane = 'strava'",
    )
    .fetch_one(&**bench)
    .await
    .unwrap()
}

async fn ended(bench: &Bench, jobs: i32) {
    sqlx::query(
        "insert into paceline.sync_history
           (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase, checkpoint,
            attempt, max_retries, crashes, payload, payload_version, lease_epoch, counts, phase_times, error_count,
            retries, last_page, created_at, finished_at)
         select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'strava', 0, 'sync', 'activities', 3, '(,)',
                'completed', 'store', '{}', 1, 5, 0, '{}', 1, 1, '{}', '{}', 0, 0, 0, now(), now()
           from generate_series(1, $1)",
    )
    .bind(jobs)
    .execute(&**bench)
    .await
    .unwrap();
}

#[tokio::test]
async fn in_a_lane_that_is_behind_jobs_of_one_user_stand_as_far_apart_as_it_needs_for_one() {
    let bench = Bench::new().await;
    ended(&bench, 1).await;
    a_quarter_of_an_hour_later(&bench).await;
    assert!((step_s(&bench).await - 1.0).abs() < 0.01, "nobody waits");
    let (ann, bob) = (bench.person("ann").await, bench.person("bob").await);
    let queue = async |person, days: i64| {
        let at = |day| DateTime::from_timestamp(1_600_000_000 + day * 86_400, 0).unwrap();
        let slices: Vec<_> =
            Slices::of(at(0), Some(at(days)), Utc::now(), 30).newest_first().collect();
        let sync = NewSync { class: Class::Backfill, ..new_sync(person) };
        let mut tx = bench.begin().await.unwrap();
        sync_jobs::enqueue_slices(&mut tx, &sync, &slices).await.unwrap();
        tx.commit().await.unwrap();
        slices.len()
    };
    bench.enqueue(ann, Class::Interactive).await;
    counted(&bench).await;
    ended(&bench, 90).await;
    a_quarter_of_an_hour_later(&bench).await;
    let step = step_s(&bench).await;
    assert!((9.9..10.1).contains(&step), "90 in 900 s, and one waits: {step}");

    // Some seconds after a long backfill somebody comes with a short one.
    assert!(queue(ann, 1_000).await > 5);
    rows::change(&bench, "update paceline.sync_jobs set sort_at = sort_at - interval '15 seconds'")
        .await;
    queue(bob, 10).await;
    let order: Vec<Uuid> = sqlx::query_scalar(
        "select user_id from paceline.sync_jobs where class = 1 order by sort_at, id limit 3",
    )
    .fetch_all(&*bench)
    .await
    .unwrap();
    assert_eq!(order, [ann.user.0, ann.user.0, bob.user.0], "two took their 15 seconds");

    // A lane that stands still is bounded too.
    for _ in 0..3 {
        a_quarter_of_an_hour_later(&bench).await;
    }
    assert!((step_s(&bench).await - 60.0).abs() < 0.01);
    rows::change(&bench, "truncate paceline.sync_jobs").await;
    counted(&bench).await;
    a_quarter_of_an_hour_later(&bench).await;
    assert!((step_s(&bench).await - 1.0).abs() < 0.01, "nobody waits any more");
}
