//! The lease protocol against its model: a short round of `paceline-tests model`.

use paceline_tests::{
    database::TestDb,
    model::{self, Plan},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_workers_and_people_do_at_once_every_job_has_one_owner_and_ends() {
    let db = TestDb::new().await;
    let plan = Plan { steps: 5_000, people: 60, workers: 5, seed: fastrand::u64(..) };
    let tally = model::run(&db, plan).await.unwrap_or_else(|broken| panic!("{broken:#}"));
    assert!(tally.stale > 0 && tally.reclaimed > 0, "nobody was late: {tally:?}");
}
