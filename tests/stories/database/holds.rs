//! Why a sync that nobody may take waits, as its user sees it.

use super::*;
use paceline_shared::db::{lanes, syncs};

/// What the user sees of a queued sync in both places: the view, and the row that a browser reads.
async fn seen(
    bench: &Bench,
    person: Person,
    job: JobId,
) -> (Option<String>, Option<DateTime<Utc>>) {
    let sync = syncs::find(&**bench, person.user, job).await.unwrap().unwrap();
    assert_eq!(sync.state.as_str(), "queued");
    (sync.waiting_for, sync.waiting_until)
}

async fn progress(
    bench: &Bench,
    job: JobId,
) -> (String, Option<serde_json::Value>, Option<String>) {
    sqlx::query_as("select status, waiting, message from public.sync_progress where id = $1")
        .bind(job.0)
        .fetch_one(&**bench)
        .await
        .unwrap()
}

async fn pause(bench: &Bench, lane: Option<Provider>, until: Option<DateTime<Utc>>) {
    let mut tx = bench.begin().await.unwrap();
    lanes::pause(&mut tx, lane, until, "eve", "maintenance").await.unwrap();
    tx.commit().await.unwrap();
}

async fn resume(bench: &Bench, lane: Option<Provider>) {
    let mut tx = bench.begin().await.unwrap();
    assert!(lanes::resume(&mut tx, lane).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_paused_lane_is_seen_by_who_comes_and_by_who_is_there() {
    let bench = Bench::new().await;
    let (early, first) = bench.queued("early").await;
    assert_eq!(seen(&bench, early, first).await, (None, None));
    for lane in [Some(Provider::Strava), None] {
        pause(&bench, lane, None).await;
        assert_eq!(seen(&bench, early, first).await, (Some("paused".to_owned()), None));
        let (late, second) = bench.queued(&format!("{lane:?}")).await;
        assert_eq!(seen(&bench, late, second).await, (Some("paused".to_owned()), None));
        let (status, waiting, message) = progress(&bench, second).await;
        assert_eq!(
            (status.as_str(), waiting.unwrap()["reason"].as_str()),
            ("queued", Some("paused"))
        );
        assert_eq!(message.as_deref(), Some("Syncs with Strava are paused for now."));
        assert!(bench.claim(WorkerId::fresh()).await.is_empty());
        resume(&bench, lane).await;
        assert_eq!(seen(&bench, late, second).await, (None, None));
    }
    let worker = WorkerId::fresh();
    let claimed = bench.claim(worker).await;
    assert_eq!(claimed.len(), 3);
    let lease = claimed.iter().find(|one| one.id == first).map(|one| lease_of(one, worker));
    bench.begin_run(lease.unwrap()).await;
    assert_eq!(progress(&bench, first).await, ("running".to_owned(), None, None));
}

#[tokio::test]
async fn a_spent_quota_holds_only_the_classes_that_it_is_spent_for() {
    let bench = Bench::new().await;
    let until: DateTime<Utc> =
        (Utc::now() + chrono::Duration::minutes(9)).to_rfc3339().parse().unwrap();
    let block = lanes::Block {
        until,
        below: Class::Interactive.rank(),
        reason: "rate_limit".to_owned(),
        scope: "strava:read".to_owned(),
    };
    assert!(lanes::block(&*bench, Provider::Strava, &block).await.unwrap());
    let (urgent, sync) = bench.queued("urgent").await;
    assert_eq!(seen(&bench, urgent, sync).await, (None, None));
    assert_eq!(progress(&bench, sync).await.1, None);
    let patient = bench.person("patient").await;
    let Enqueued::New(job) = bench.enqueue(patient, Class::Scheduled).await else { panic!("live") };
    let (reason, shown) = seen(&bench, patient, job).await;
    assert_eq!(reason.as_deref(), Some("rate_limit"));
    assert!((shown.unwrap() - until).abs() < chrono::Duration::milliseconds(1));
    let (_, waiting, message) = progress(&bench, job).await;
    assert_eq!(waiting.unwrap()["reason"], "rate_limit");
    let clock = until.format("%H:%M UTC").to_string();
    assert!(message.unwrap().starts_with(&format!("Strava allows more at {clock}")));
}

#[tokio::test]
async fn of_several_reasons_the_one_that_lasts_longest_is_shown() {
    let bench = Bench::new().await;
    let (person, job) = bench.queued("ann").await;
    let soon = Utc::now() + chrono::Duration::minutes(1);
    paceline_tests::rows::change(
        &bench,
        "update paceline.lanes set breaker = 'open', breaker_until = clock_timestamp() + interval '5 minutes'
          where lane = 'strava'",
    )
    .await;
    pause(&bench, None, Some(soon)).await;
    assert_eq!(seen(&bench, person, job).await.0.as_deref(), Some("breaker_open"));
    pause(&bench, None, None).await;
    assert_eq!(seen(&bench, person, job).await, (Some("paused".to_owned()), None));
    // A pause that ran out is none, whether somebody takes note of it or not.
    paceline_tests::rows::change(
        &bench,
        "update paceline.lanes set paused_until = clock_timestamp() - interval '1 second' where lane = '*';
         update paceline.lanes set breaker = 'closed', breaker_until = null",
    )
    .await;
    assert_eq!(seen(&bench, person, job).await, (None, None));
}

#[tokio::test]
async fn a_retry_and_a_follow_up_show_what_they_wait_for_too() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    let sync = NewSync { class: Class::Webhook, ..new_sync(person) };
    let mut tx = bench.begin().await.unwrap();
    sync_jobs::enqueue(&mut tx, &sync, WhenLive::Merge).await.unwrap();
    tx.commit().await.unwrap();
    pause(&bench, Some(Provider::Strava), None).await;
    let failed = [(lease, Outcome::Failed(failure(Code::InvalidData)))];
    let settled = sync_outcomes::settle(&bench, &failed).await.unwrap();
    let follow_up = settled.follow_ups[0].job;
    assert_eq!(progress(&bench, follow_up).await.1.unwrap()["reason"], "paused");
    sync_jobs::cancel(&bench, person.user, follow_up).await.unwrap();
    let mut tx = bench.begin().await.unwrap();
    let options = sync_jobs::RetryOptions::default();
    sync_jobs::retry(&mut tx, person.user, lease.job, options).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(progress(&bench, lease.job).await.1.unwrap()["reason"], "paused");
}
