//! One live sync per user and provider; retries.

use super::*;
use paceline_shared::db::sync_jobs::{RetryOptions, RetryOutcome};

#[tokio::test]
async fn of_twenty_starts_at_once_one_is_new_and_the_rest_hear_of_it() {
    let bench = Bench::new().await;
    let person = bench.person("ann").await;
    let starts = (0..20).map(|_| bench.enqueue(person, Class::Interactive));
    let (new, live): (Vec<_>, Vec<_>) = futures::future::join_all(starts)
        .await
        .into_iter()
        .partition(|enqueued| matches!(enqueued, Enqueued::New(_)));
    let [Enqueued::New(job)] = new.as_slice() else { panic!("{new:?}") };
    assert!(live.iter().all(|other| *other == Enqueued::Live(*job)), "{live:?}");
    assert_eq!(live.len(), 19);
}

#[tokio::test]
async fn a_user_has_one_live_sync_until_it_ends() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    assert_eq!(bench.enqueue(person, Class::Webhook).await, Enqueued::Live(lease.job));
    bench.settle(lease, Outcome::Completed).await;
    assert!(matches!(bench.enqueue(person, Class::Interactive).await, Enqueued::New(_)));
}

#[tokio::test]
async fn a_start_that_is_rolled_back_leaves_nothing() {
    let bench = Bench::new().await;
    let person = bench.person("ann").await;
    let mut tx = bench.begin().await.unwrap();
    let Enqueued::New(job) =
        sync_jobs::enqueue(&mut tx, &new_sync(person), WhenLive::Refuse).await.unwrap()
    else {
        panic!("live")
    };
    tx.rollback().await.unwrap();
    assert_eq!(bench.picture(job).await, "");
}

async fn retry(bench: &Bench, user: UserId, job: JobId) -> RetryOutcome {
    let mut tx = bench.begin().await.unwrap();
    let retried = sync_jobs::retry(&mut tx, user, job, RetryOptions::default()).await.unwrap();
    tx.commit().await.unwrap();
    retried
}

#[tokio::test]
async fn a_retried_failure_goes_on_from_its_checkpoint_with_an_epoch_that_still_rises() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    bench.checkpoint(lease, Checkpoint::Enrich { next_page: 2, next_item: 7 }).await;
    bench.settle(lease, Outcome::Failed(failure(Code::InvalidData))).await;
    let retried = retry(&bench, person.user, lease.job).await;
    assert_eq!(retried, RetryOutcome::Queued(Provider::Strava));
    let again = bench.claim(WorkerId::fresh()).await.remove(0);
    assert_eq!((again.id, again.attempt), (lease.job, 1));
    assert!(again.epoch > lease.epoch, "a lease of its first life must not fit its second");
    let kept = serde_json::json!({ "phase": "enrich", "next_page": 2, "next_item": 7 });
    assert_eq!(again.checkpoint, Some(kept));
}

#[tokio::test]
async fn a_retried_cancellation_begins_anew() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    bench.checkpoint(lease, Checkpoint::Fetch { next_page: 5 }).await;
    sync_jobs::cancel(&bench, person.user, lease.job).await.unwrap();
    bench.settle(lease, Outcome::Cancelled).await;
    assert_eq!(retry(&bench, person.user, lease.job).await, RetryOutcome::Queued(Provider::Strava));
    let again = bench.claim(WorkerId::fresh()).await.remove(0);
    assert_eq!(again.checkpoint, Some(serde_json::json!({ "phase": "fetch", "next_page": 1 })));
    assert_eq!(bench.state(lease.job).await, "running", "the old cancel is not on it any more");
}

#[tokio::test]
async fn a_retry_does_not_go_beside_another_live_sync() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    bench.settle(lease, Outcome::Failed(failure(Code::InvalidData))).await;
    let Enqueued::New(other) = bench.enqueue(person, Class::Interactive).await else {
        panic!("live")
    };
    assert_eq!(retry(&bench, person.user, lease.job).await, RetryOutcome::Live(other));
    assert_eq!(bench.state(lease.job).await, "failed");
    assert_eq!(retry(&bench, person.user, other).await, RetryOutcome::NotEnded);
}

#[tokio::test]
async fn of_ten_retries_at_once_one_queues_it() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    bench.settle(lease, Outcome::Failed(failure(Code::InvalidData))).await;
    let retries = (0..10).map(|_| retry(&bench, person.user, lease.job));
    let answers = futures::future::join_all(retries).await;
    let queued = answers.iter().filter(|answer| matches!(answer, RetryOutcome::Queued(_))).count();
    let live = answers.iter().filter(|answer| **answer == RetryOutcome::NotEnded).count();
    assert_eq!((queued, live), (1, 9), "{answers:?}");
}

#[tokio::test]
async fn there_is_nothing_to_retry_in_a_success_or_in_anothers_sync() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    bench.settle(lease, Outcome::Completed).await;
    assert_eq!(retry(&bench, person.user, lease.job).await, RetryOutcome::Completed);
    let bob = bench.person("bob").await;
    assert_eq!(retry(&bench, bob.user, lease.job).await, RetryOutcome::NotFound);
}

#[tokio::test]
async fn the_request_that_asked_goes_with_the_job_to_its_worker_and_into_history() {
    let bench = Bench::new().await;
    let person = bench.person("ann").await;
    let traces = [Uuid::now_v7(), Uuid::now_v7()];
    let sync = NewSync {
        trace: Some(traces[0]),
        requested_by: Some("robot".to_owned()),
        ..new_sync(person)
    };
    let mut tx = bench.begin().await.unwrap();
    sync_jobs::enqueue(&mut tx, &sync, WhenLive::Refuse).await.unwrap();
    tx.commit().await.unwrap();
    let worker = WorkerId::fresh();
    let claimed = bench.claim(worker).await.remove(0);
    assert_eq!(claimed.trace_id, Some(traces[0]));
    bench.settle(lease_of(&claimed, worker), Outcome::Failed(failure(Code::InvalidData))).await;
    let ended: (Option<Uuid>, Option<String>) =
        sqlx::query_as("select trace_id, requested_by from paceline.sync_history where id = $1")
            .bind(claimed.id.0)
            .fetch_one(&*bench)
            .await
            .unwrap();
    assert_eq!(ended, (Some(traces[0]), Some("robot".to_owned())));

    let options = RetryOptions { trace: Some(traces[1]), ..RetryOptions::default() };
    let mut tx = bench.begin().await.unwrap();
    sync_jobs::retry(&mut tx, person.user, claimed.id, options).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(bench.claim(worker).await[0].trace_id, Some(traces[1]), "the retry's own");
}

#[tokio::test]
async fn a_retry_needs_the_connection_of_its_own_sync_and_not_a_newer_one() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    bench.settle(lease, Outcome::Failed(failure(Code::AuthenticationError))).await;
    let mut tx = bench.begin().await.unwrap();
    connections::set_state(&mut *tx, person.connection, State::NeedsReauth, 1).await.unwrap();
    let grant = Grant {
        user: person.user,
        provider: Provider::Strava,
        provider_account_id: "another account",
        scopes: &[],
        asked: &[],
        missing: &[],
        profile: None,
        tokens: tokens("other", Utc::now() + chrono::Duration::hours(6)),
    };
    connections::connect(&mut tx, &bench.keys, grant).await.unwrap();
    tx.commit().await.unwrap();
    let refused = RetryOutcome::Unusable(State::NeedsReauth);
    assert_eq!(retry(&bench, person.user, lease.job).await, refused);
    assert_eq!(bench.state(lease.job).await, "failed");
    let mut tx = bench.begin().await.unwrap();
    connections::set_state(&mut *tx, person.connection, State::Limited, 1).await.unwrap();
    tx.commit().await.unwrap();
    let queued = RetryOutcome::Queued(Provider::Strava);
    assert_eq!(retry(&bench, person.user, lease.job).await, queued);
}
