//! Jobs as they are counted: what no worker could take now is not runnable.

use super::Bench;
use paceline_shared::{
    Provider, WorkerId,
    db::{job_counts, lanes},
    sync_spec::Class,
};

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
