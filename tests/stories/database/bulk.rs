//! What an admin does to many jobs at once: an outcome for each, and none spoils it for another.

use super::*;
use paceline_shared::{
    db::{
        admin_jobs::Filter,
        admin_operations::{self, Act, New, Options},
        record_failures::{self, NewFailure},
        sync_jobs::{
            CancelOutcome, ClassOutcome, RetryOptions, RetryOutcome, cancel_many, retry_many,
            set_class,
        },
    },
    job_state::JobState,
};
use paceline_tests::rows;
use std::collections::HashMap;

const IN_BULK: RetryOptions<'static> = RetryOptions {
    from_scratch: false,
    class: Some(Class::Backfill),
    trace: None,
    requested_by: Some("eve"),
};

async fn retry_all(
    bench: &Bench,
    jobs: &[JobId],
    options: RetryOptions<'_>,
) -> Vec<(JobId, RetryOutcome)> {
    let mut tx = bench.begin().await.unwrap();
    let outcomes = retry_many(&mut tx, jobs, options).await.unwrap();
    tx.commit().await.unwrap();
    outcomes
}

async fn cancel_all(bench: &Bench, jobs: &[JobId]) -> Vec<(JobId, CancelOutcome)> {
    let mut tx = paceline_shared::db::begin(bench).await.unwrap();
    let outcomes = cancel_many(&mut tx, jobs).await.unwrap();
    tx.commit().await.unwrap();
    outcomes
}

/// A failed sync with a page, a failed record and a checkpoint in store.
async fn failed(bench: &Bench, subject: &str) -> (Person, JobId) {
    let (person, lease) = bench.running(subject).await;
    let mut fenced = Fenced::begin(bench, lease).await.unwrap();
    stage(&mut fenced, 3).await.unwrap();
    let record = NewFailure {
        page: 1,
        position: 0,
        record_id: None,
        code: "unreadable",
        message: "it makes no sense".to_owned(),
        record: "{}".to_owned(),
    };
    record_failures::put(fenced.connection(), lease.job, &[record]).await.unwrap();
    let counts = Counts { pages: 1, fetched: 3, failed: 1, through: 1, ..Counts::default() };
    let snapshot = Snapshot { attempt: 1, phase: Phase::Store, counts, provider: Provider::Strava };
    let to = Checkpoint::Store { next_page: 1, next_item: 1 };
    fenced.commit(advance(to, &counts, Some(&snapshot))).await.unwrap();
    bench.settle(lease, Outcome::Failed(failure(Code::InvalidData))).await;
    (person, lease.job)
}

/// Pages, failed records, percent, checkpoint.
async fn kept(bench: &Bench, job: JobId) -> (i64, i64, i16, serde_json::Value) {
    sqlx::query_as(
        "select (select count(*) from paceline.staged_pages where job_id = $1),
                (select count(*) from paceline.record_failures where job_id = $1),
                (select percent from public.sync_progress where id = $1),
                (select checkpoint from paceline.sync_runs where job_id = $1)",
    )
    .bind(job.0)
    .fetch_one(&**bench)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_batch_of_retries_has_an_outcome_for_each_job_in_every_situation() {
    let bench = Bench::new().await;
    let (_, fine) = failed(&bench, "fine").await;
    let (busy, in_the_way) = failed(&bench, "busy").await;
    let (gone, unusable) = failed(&bench, "gone").await;
    let mut tx = bench.begin().await.unwrap();
    connections::set_state(&mut *tx, gone.connection, State::NeedsReauth, 1).await.unwrap();
    tx.commit().await.unwrap();
    let (_, done) = bench.running("done").await;
    bench.settle(done, Outcome::Completed).await;
    let (_, given_up) = bench.running("given-up").await;
    bench.settle(given_up, Outcome::Cancelled).await;
    let (_, running) = bench.running("running").await;
    let Enqueued::New(live) = bench.enqueue(busy, Class::Interactive).await else { panic!("live") };
    let never = JobId::fresh();

    let jobs = [never, live, running.job, given_up.job, done.job, unusable, in_the_way, fine, fine];
    let queued = RetryOutcome::Queued(Provider::Strava);
    let expected = [
        RetryOutcome::NotFound,
        RetryOutcome::NotEnded,
        RetryOutcome::NotEnded,
        queued,
        RetryOutcome::Completed,
        RetryOutcome::Unusable(State::NeedsReauth),
        RetryOutcome::Live(live),
        queued,
        queued,
    ];
    let outcomes = retry_all(&bench, &jobs, IN_BULK).await;
    assert_eq!(outcomes, jobs.into_iter().zip(expected).collect::<Vec<_>>());
    let at_store = serde_json::json!({ "phase": "store", "next_page": 1, "next_item": 1 });
    assert_eq!(kept(&bench, fine).await, (1, 1, 66, at_store), "it goes on where it stopped");
    for untouched in [unusable, in_the_way] {
        assert_eq!(bench.state(untouched).await, "failed");
    }
    let again = retry_all(&bench, &jobs, IN_BULK).await;
    assert!(
        again.iter().all(|(_, outcome)| !matches!(outcome, RetryOutcome::Queued(_))),
        "{again:?}"
    );
}

#[tokio::test]
async fn of_one_users_failures_in_a_batch_the_oldest_is_queued_and_the_others_hear_of_it() {
    let bench = Bench::new().await;
    let (ann, first) = failed(&bench, "ann").await;
    let mut jobs = vec![first];
    for _ in 0..3 {
        let Enqueued::New(next) = bench.enqueue(ann, Class::Interactive).await else {
            panic!("live")
        };
        let worker = WorkerId::fresh();
        let lease = lease_of(&bench.claim(worker).await[0], worker);
        bench.settle(lease, Outcome::Failed(failure(Code::NetworkError))).await;
        jobs.push(next);
    }
    jobs.reverse();
    let outcomes: HashMap<_, _> = retry_all(&bench, &jobs, IN_BULK).await.into_iter().collect();
    assert_eq!(outcomes[&first], RetryOutcome::Queued(Provider::Strava));
    assert!(jobs[..3].iter().all(|job| outcomes[job] == RetryOutcome::Live(first)), "{outcomes:?}");
}

#[tokio::test]
async fn from_scratch_forgets_everything_and_so_does_a_retry_of_what_has_no_pages_any_more() {
    let bench = Bench::new().await;
    let start = serde_json::json!({ "phase": "fetch", "next_page": 1 });
    let (_, wiped) = failed(&bench, "wiped").await;
    let scratch = RetryOptions { from_scratch: true, ..IN_BULK };
    retry_all(&bench, &[wiped], scratch).await;
    assert_eq!(kept(&bench, wiped).await, (0, 0, 0, start.clone()));
    cancel_all(&bench, &[wiped]).await;
    let (_, pruned) = failed(&bench, "pruned").await;
    rows::change(
        &bench,
        "delete from paceline.staged_pages;
         update paceline.sync_history set pages_pruned_at = clock_timestamp()",
    )
    .await;
    retry_all(&bench, &[pruned], IN_BULK).await;
    assert_eq!(kept(&bench, pruned).await, (0, 0, 0, start));
}

#[tokio::test]
async fn retries_in_bulk_stand_behind_people_and_carry_who_asked() {
    let bench = Bench::new().await;
    let (_, job) = failed(&bench, "ann").await;
    let trace = Uuid::now_v7();
    retry_all(&bench, &[job], RetryOptions { trace: Some(trace), ..IN_BULK }).await;
    let (_, fresh) = bench.queued("bob").await;
    let worker = WorkerId::fresh();
    let claimed = bench.claim(worker).await;
    let order: Vec<_> = claimed.iter().map(|one| one.id).collect();
    assert_eq!(order, [fresh, job]);
    assert_eq!((claimed[1].trace_id, claimed[1].class), (Some(trace), Class::Backfill.rank()));
    let by: Option<String> =
        sqlx::query_scalar("select requested_by from paceline.sync_jobs where id = $1")
            .bind(job.0)
            .fetch_one(&*bench)
            .await
            .unwrap();
    assert_eq!(by.as_deref(), Some("eve"));

    // His own retry is his own.
    bench.settle(lease_of(&claimed[1], worker), Outcome::Cancelled).await;
    retry_all(&bench, &[job], RetryOptions::default()).await;
    let by: Option<String> =
        sqlx::query_scalar("select requested_by from paceline.sync_jobs where id = $1")
            .bind(job.0)
            .fetch_one(&*bench)
            .await
            .unwrap();
    assert_eq!(by, None);
}

/// Two thousand failed syncs, each of a user of its own.
async fn two_thousand_failures(bench: &Bench) -> Vec<JobId> {
    rows::change(
        bench,
        "insert into paceline.users (id, external_id) select gen_random_uuid(), 'user-' || n from generate_series(1, 2000) n;
         insert into paceline.connections (id, user_id, provider, provider_account_id)
           select gen_random_uuid(), id, 'strava', external_id from paceline.users;
         insert into paceline.sync_history
           (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase, checkpoint,
            attempt, max_retries, crashes, payload, payload_version, lease_epoch, counts, phase_times, error_count,
            last_error, retries, last_page, created_at, finished_at)
           select gen_random_uuid(), user_id, id, provider, 0, 'sync', 'activities', 3, '(,)', 'failed', 'store',
                  '{\"phase\": \"store\", \"next_page\": 1, \"next_item\": 0}', 6, 5, 0, '{}', 1, 6, '{}', '{}', 6,
                  '{\"code\": \"unknown_error\"}', 5, 1, clock_timestamp(), clock_timestamp()
             from paceline.connections;
         analyze paceline.sync_history",
    )
    .await;
    sqlx::query_scalar("select id from paceline.sync_history")
        .fetch_all(&**bench)
        .await
        .unwrap()
        .into_iter()
        .map(JobId)
        .collect()
}

#[tokio::test]
async fn two_retries_of_two_thousand_at_once_queue_each_job_once() {
    let bench = Bench::new().await;
    let jobs = two_thousand_failures(&bench).await;
    let backwards: Vec<JobId> = jobs.iter().rev().copied().collect();
    let (one, other) =
        tokio::join!(retry_all(&bench, &jobs, IN_BULK), retry_all(&bench, &backwards, IN_BULK));
    let all: Vec<RetryOutcome> = one.iter().chain(&other).map(|(_, outcome)| *outcome).collect();
    let queued = all.iter().filter(|o| matches!(o, RetryOutcome::Queued(_))).count();
    let live = all.iter().filter(|o| **o == RetryOutcome::NotEnded).count();
    assert_eq!((queued, live), (2_000, 2_000));
    assert_eq!(rows::number(&bench, "select count(*) from paceline.sync_runs").await, 2_000);

    let outcomes = cancel_all(&bench, &jobs).await;
    assert!(outcomes.iter().all(|(_, outcome)| *outcome == CancelOutcome::Done));
    assert_eq!(
        rows::number(
            &bench,
            "select count(*) from paceline.sync_history where status = 'cancelled'"
        )
        .await,
        2_000
    );
}

#[tokio::test]
async fn a_batch_of_cancels_has_an_outcome_for_each_job_in_every_situation() {
    let bench = Bench::new().await;
    let (_, running) = bench.running("running").await;
    let (_, parked) = bench.running("parked").await;
    let [_, (_, wait), _] = goes_back();
    bench.settle(parked, wait).await;
    let (_, done) = bench.running("done").await;
    bench.settle(done, Outcome::Completed).await;
    let (_, queued) = bench.queued("queued").await;
    let jobs = [queued, JobId::fresh(), running.job, parked.job, done.job];
    let expected = [
        CancelOutcome::Done,
        CancelOutcome::NotFound,
        CancelOutcome::Asked,
        CancelOutcome::Done,
        CancelOutcome::Ended(JobState::Completed),
    ];
    assert_eq!(cancel_all(&bench, &jobs).await, jobs.into_iter().zip(expected).collect::<Vec<_>>());
    bench.settle(running, Outcome::Released).await;
    for job in [queued, running.job, parked.job] {
        assert_eq!(bench.state(job).await, "cancelled");
    }
}

#[tokio::test]
async fn cancels_of_many_running_jobs_and_their_acknowledgements_do_not_lock_each_other_out() {
    let bench = Bench::new().await;
    let jobs = two_thousand_failures(&bench).await;
    retry_all(&bench, &jobs, IN_BULK).await;
    let worker = WorkerId::fresh();
    let mut leases: Vec<Lease> = Vec::new();
    loop {
        let claimed = bench.claim(worker).await;
        if claimed.is_empty() {
            break;
        }
        leases.extend(claimed.iter().map(|one| lease_of(one, worker)));
    }
    assert_eq!(leases.len(), 2_000);
    // In an order that has nothing to do with that of the cancel.
    leases.sort_by_key(|lease| lease.job.0.as_u128().rotate_left(77));
    let settling = async {
        let mut held = 0;
        for batch in leases.chunks(100) {
            let outcomes: Vec<_> = batch.iter().map(|lease| (*lease, Outcome::Completed)).collect();
            held += sync_outcomes::settle(&bench, &outcomes).await.unwrap().held.len();
        }
        held
    };
    let (outcomes, held) = tokio::join!(cancel_all(&bench, &jobs), settling);
    assert_eq!((outcomes.len(), held), (2_000, 2_000));
    assert!(outcomes.iter().all(|(_, o)| matches!(
        o,
        CancelOutcome::Asked | CancelOutcome::Ended(JobState::Completed)
    )));
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    assert_eq!(rows::number(&bench, deadlocks).await, 0);
}

#[tokio::test]
async fn a_job_that_is_raised_comes_before_those_it_stood_behind() {
    let bench = Bench::new().await;
    let (_, first) = bench.queued("first").await;
    let patient = bench.person("patient").await;
    let Enqueued::New(last) = bench.enqueue(patient, Class::Backfill).await else { panic!("live") };
    let moved = set_class(&*bench, last, Class::Webhook).await.unwrap();
    assert_eq!(moved, ClassOutcome::Moved(Provider::Strava));
    let worker = WorkerId::fresh();
    let claimed = bench.claim(worker).await;
    assert_eq!(claimed.iter().map(|one| one.id).collect::<Vec<_>>(), [last, first]);

    // Lowered while it runs: its next claim is behind those who came meanwhile.
    let lowered = set_class(&*bench, last, Class::Backfill).await.unwrap();
    assert_eq!(lowered, ClassOutcome::NextClaim(Provider::Strava));
    let (_, newcomer) = bench.queued("newcomer").await;
    bench.settle(lease_of(&claimed[0], worker), Outcome::Released).await;
    let order: Vec<_> = bench.claim(worker).await.iter().map(|one| one.id).collect();
    assert_eq!(order, [newcomer, last]);
    assert_eq!(
        set_class(&*bench, JobId::fresh(), Class::Webhook).await.unwrap(),
        ClassOutcome::NotLive
    );
}

#[tokio::test]
async fn a_slice_far_down_in_its_users_own_row_comes_forward_when_it_is_raised() {
    let bench = Bench::new().await;
    let person = bench.person("ann").await;
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let (after, before) = (at("2005-01-01T00:00:00Z"), at("2024-01-01T00:00:00Z"));
    let slices: Vec<_> = paceline_shared::slices::Slices::of(after, Some(before), Utc::now(), 2)
        .newest_first()
        .collect();
    let sync = NewSync { class: Class::Backfill, ..new_sync(person) };
    let mut tx = bench.begin().await.unwrap();
    let outcomes = sync_jobs::enqueue_slices(&mut tx, &sync, &slices).await.unwrap();
    tx.commit().await.unwrap();
    let oldest = outcomes[outcomes.len() - 1].job();
    set_class(&*bench, oldest, Class::Interactive).await.unwrap();
    let claimed = sync_jobs::claim(&bench, WorkerId::fresh(), Provider::Strava, 1, Cursor::START);
    assert_eq!(claimed.await.unwrap().jobs[0].id, oldest);
}

#[tokio::test]
async fn each_batch_of_an_operation_begins_behind_the_last_also_where_jobs_are_left_as_they_are() {
    let bench = Bench::new().await;
    let mut jobs = Vec::new();
    for name in ["ann", "bob", "cyd", "dee", "eve"] {
        jobs.push(failed(&bench, name).await.1);
    }
    rows::change(&bench, "update paceline.connections set state = 'needs_reauth'").await;
    let search = Filter { state: Some(JobState::Failed), ..Filter::default() };
    let new = New {
        act: Act::Retry,
        filter: serde_json::json!({ "state": "failed" }),
        options: Options { search, from_scratch: false, reason: None, request_id: None },
        expected: 5,
        until: jobs[4],
        actor: "ada",
    };
    let mut tx = bench.begin().await.unwrap();
    let id = admin_operations::start(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    for (skipped, last) in [(2, jobs[1]), (4, jobs[3]), (5, jobs[4])] {
        let step = admin_operations::step(&bench, 2).await.unwrap();
        assert_eq!((step.operation, step.jobs), (Some(id), 0));
        let now = admin_operations::find(&*bench, id).await.unwrap().unwrap();
        assert_eq!((now.skipped, &now.skipped_by["connection"]), (skipped, &skipped.into()));
        let cursor: Uuid =
            sqlx::query_scalar("select after_id from paceline.admin_operations where id = $1")
                .bind(id)
                .fetch_one(&*bench)
                .await
                .unwrap();
        assert_eq!(cursor, last.0);
        assert_eq!(step.ended.is_some(), skipped == 5);
    }
    assert_eq!(admin_operations::step(&bench, 2).await.unwrap().operation, None, "it is over");
}
