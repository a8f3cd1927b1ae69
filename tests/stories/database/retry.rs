//! What a retry finds again, and what it does not.

use super::*;
use paceline_shared::db::{
    record_failures::{self, NewFailure},
    sync_jobs::{RetryOptions, RetryOutcome},
};

async fn retry(bench: &Bench, person: Person, job: JobId) {
    let mut tx = bench.begin().await.unwrap();
    let answer =
        sync_jobs::retry(&mut tx, person.user, job, RetryOptions::default()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(answer, RetryOutcome::Queued(Provider::Strava));
}

/// Two records that failed alone, with the checkpoint of their batch.
async fn fail_records(bench: &Bench, lease: Lease) {
    let failures: Vec<NewFailure> = (0..2)
        .map(|position| NewFailure {
            page: 1,
            position,
            record_id: Some(position.to_string()),
            code: "unreadable",
            message: "it makes no sense".to_owned(),
            record: "{}".to_owned(),
        })
        .collect();
    let mut fenced = Fenced::begin(bench, lease).await.unwrap();
    record_failures::put(fenced.connection(), lease.job, &failures).await.unwrap();
    let counts = Counts { pages: 1, fetched: 5, failed: 2, ..Counts::default() };
    let to = Checkpoint::Store { next_page: 1, next_item: 5 };
    fenced.commit(advance(to, &counts, None)).await.unwrap();
}

/// How many failed records the user sees of a sync.
async fn failed_records(bench: &Bench, person: Person, job: JobId) -> usize {
    record_failures::of_sync(bench, person.user, job, (0, -1), 100).await.unwrap().len()
}

#[tokio::test]
async fn what_failed_in_a_cancelled_run_is_gone_after_its_retry_for_it_begins_anew() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    fail_records(&bench, lease).await;
    bench.settle(lease, Outcome::Cancelled).await;
    assert_eq!(failed_records(&bench, person, lease.job).await, 2, "until then it can be read");
    retry(&bench, person, lease.job).await;
    assert_eq!(failed_records(&bench, person, lease.job).await, 0);
    let again = bench.claim(WorkerId::fresh()).await.remove(0);
    assert_eq!(again.checkpoint, Some(serde_json::json!({ "phase": "fetch", "next_page": 1 })));
    assert_eq!(again.counts, Some(serde_json::json!({})));
}

#[tokio::test]
async fn what_failed_before_the_checkpoint_of_a_failed_sync_stays_for_its_retry_goes_on_there() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    fail_records(&bench, lease).await;
    bench.settle(lease, Outcome::Failed(failure(Code::InvalidData))).await;
    retry(&bench, person, lease.job).await;
    assert_eq!(failed_records(&bench, person, lease.job).await, 2);
    let again = bench.claim(WorkerId::fresh()).await.remove(0);
    let there = serde_json::json!({ "phase": "store", "next_page": 1, "next_item": 5 });
    assert_eq!(
        (again.checkpoint, again.counts.unwrap()["failed"].clone()),
        (Some(there), serde_json::json!(2))
    );
}

#[tokio::test]
async fn a_retry_after_the_progress_row_was_forgotten_makes_a_new_one() {
    let bench = Bench::new().await;
    for outcome in [Outcome::Cancelled, Outcome::Failed(failure(Code::NetworkError))] {
        let (person, lease) = bench.running(&format!("{outcome:?}")).await;
        bench.checkpoint(lease, Checkpoint::Fetch { next_page: 2 }).await;
        bench.settle(lease, outcome).await;
        paceline_tests::rows::change(&bench, "delete from public.sync_progress").await;
        retry(&bench, person, lease.job).await;
        let row: (String, Uuid, String, String, String, bool) = sqlx::query_as(
            "select p.status, p.uid, p.external_id, p.provider, p.job_type,
                    p.finished_at is null and p.waiting is null and p.error is null
               from public.sync_progress p where p.id = $1",
        )
        .bind(lease.job.0)
        .fetch_one(&*bench)
        .await
        .unwrap();
        let subject: String =
            sqlx::query_scalar("select external_id from paceline.users where id = $1")
                .bind(person.user.0)
                .fetch_one(&*bench)
                .await
                .unwrap();
        let expected = ("queued", person.user.0, subject.as_str(), "strava", "activities", true);
        assert_eq!(
            (row.0.as_str(), row.1, row.2.as_str(), row.3.as_str(), row.4.as_str(), row.5),
            expected
        );
        let worker = WorkerId::fresh();
        let again = lease_of(&bench.claim(worker).await[0], worker);
        bench.settle(again, Outcome::Completed).await;
        let end: (String, i16) =
            sqlx::query_as("select status, percent from public.sync_progress where id = $1")
                .bind(lease.job.0)
                .fetch_one(&*bench)
                .await
                .unwrap();
        assert_eq!(end, ("completed".to_owned(), 100), "the run shows itself to the end");
    }
}
