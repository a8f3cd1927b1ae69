//! Ranges that are asked for while a sync is live: put aside, and synced after it.

use super::*;
use paceline_shared::db::sync_jobs::{CancelOutcome, RetryOptions, RetryOutcome};
use std::sync::atomic::{AtomicBool, Ordering};

/// The `nth` day since 1970, whole.
fn day(nth: i64) -> PgRange<DateTime<Utc>> {
    let at = |day: i64| DateTime::from_timestamp(day * 86_400, 0).unwrap();
    PgRange::from(at(nth)..at(nth + 1))
}

async fn merge(bench: &Bench, person: Person, range: PgRange<DateTime<Utc>>) -> Enqueued {
    ask(bench, &NewSync { class: Class::Webhook, range, ..new_sync(person) }).await
}

async fn ask(bench: &Bench, sync: &NewSync) -> Enqueued {
    let mut tx = bench.begin().await.unwrap();
    let merged = sync_jobs::enqueue(&mut tx, sync, WhenLive::Merge).await.unwrap();
    tx.commit().await.unwrap();
    merged
}

/// A sync of all that is new.
fn news(person: Person) -> NewSync {
    let options = SyncOptions { only_new: true, ..SyncOptions::default() };
    NewSync { options, ..new_sync(person) }
}

/// The only job that a worker can have, and whether it reads only what is new; it completes.
async fn next(bench: &Bench) -> (PgRange<DateTime<Utc>>, bool) {
    let worker = WorkerId::fresh();
    let [one] = &bench.claim(worker).await[..] else { panic!("one job") };
    bench.settle(lease_of(one, worker), Outcome::Completed).await;
    let options: SyncOptions = serde_json::from_value(one.payload.clone()).unwrap();
    assert_eq!(SyncOptions { only_new: false, ..options.clone() }, SyncOptions::default());
    (one.range, options.only_new)
}

/// What is put aside for after a job, live or ended.
async fn put_aside(bench: &Bench, job: JobId) -> Option<String> {
    sqlx::query_scalar(
        "select follow_up::text from (select id, follow_up from paceline.sync_jobs
           union all select id, follow_up from paceline.sync_history) jobs where id = $1",
    )
    .bind(job.0)
    .fetch_one(&**bench)
    .await
    .unwrap()
}

/// The days of a range, as Postgres writes it, of a multirange too.
fn shown(days: &[i64]) -> String {
    let shown = days.iter().map(|nth| {
        let PgRange { start: Bound::Included(from), end: Bound::Excluded(to) } = day(*nth) else {
            panic!("a day has ends")
        };
        format!(
            "[\"{}\",\"{}\")",
            from.format("%Y-%m-%d %H:%M:%S+00"),
            to.format("%Y-%m-%d %H:%M:%S+00")
        )
    });
    format!("{{{}}}", shown.collect::<Vec<_>>().join(","))
}

/// The one job that is live.
async fn live(bench: &Bench) -> JobId {
    sqlx::query_scalar("select id from paceline.sync_jobs")
        .fetch_one(&**bench)
        .await
        .map(JobId)
        .unwrap()
}

#[tokio::test]
async fn ranges_asked_for_while_a_sync_runs_are_synced_after_it_one_by_one() {
    let bench = Bench::new().await;
    for outcome in [Outcome::Completed, Outcome::Failed(failure(Code::InvalidData))] {
        let (person, lease) = bench.running(&format!("{outcome:?}")).await;
        assert_eq!(merge(&bench, person, day(9)).await, Enqueued::Merged(lease.job));
        assert_eq!(merge(&bench, person, day(3)).await, Enqueued::Merged(lease.job));
        assert_eq!(merge(&bench, person, day(4)).await, Enqueued::Merged(lease.job));
        let settled = sync_outcomes::settle(&bench, &[(lease, outcome)]).await.unwrap();
        let [next] = settled.follow_ups.as_slice() else { panic!("{settled:?}") };
        assert_eq!((settled.held, next.provider), (vec![lease.job], Provider::Strava));
        // Days 3 and 4 are one range.
        let first: (String, String, i16, String, String, Option<String>) = sqlx::query_as(
            "select p.status, p.external_id, j.class, lower(j.time_range)::date::text,
                    upper(j.time_range)::date::text, j.requested_by
               from paceline.sync_jobs j join public.sync_progress p on p.id = j.id where j.id = $1",
        )
        .bind(next.job.0)
        .fetch_one(&*bench)
        .await
        .unwrap();
        assert_eq!((first.0.as_str(), first.2), ("queued", Class::Interactive.rank()));
        assert_eq!((first.3.as_str(), first.4.as_str()), ("1970-01-04", "1970-01-06"));
        assert_eq!(first.5.as_deref(), Some("follow_up"));
        assert_eq!(put_aside(&bench, next.job).await, Some(shown(&[9])));

        let worker = WorkerId::fresh();
        let claimed = bench.claim(worker).await.remove(0);
        assert_eq!((claimed.id, claimed.attempt), (next.job, 1));
        bench.settle(lease_of(&claimed, worker), Outcome::Completed).await;
        let last = bench.claim(worker).await.remove(0);
        assert_eq!(last.range, day(9));
        assert_eq!(put_aside(&bench, last.id).await, None);
        let settled =
            sync_outcomes::settle(&bench, &[(lease_of(&last, worker), Outcome::Completed)]).await;
        assert_eq!(settled.unwrap().follow_ups, []);
        assert!(bench.claim(worker).await.is_empty());
    }
}

#[tokio::test]
async fn a_range_that_a_sync_reads_anyway_is_not_read_twice_if_nobody_has_begun() {
    let bench = Bench::new().await;
    let (person, job) = bench.queued("ann").await;
    assert_eq!(merge(&bench, person, day(1)).await, Enqueued::Merged(job));
    assert_eq!(put_aside(&bench, job).await, None, "the whole history is still to be read");

    // Begun and given back: what it has read may have changed since.
    let worker = WorkerId::fresh();
    let lease = lease_of(&bench.claim(worker).await[0], worker);
    bench.settle(lease, Outcome::Released).await;
    merge(&bench, person, day(2)).await;
    assert_eq!(put_aside(&bench, job).await, Some(shown(&[2])));

    let lease = lease_of(&bench.claim(worker).await[0], worker);
    let [_, (_, parked), _] = goes_back();
    bench.settle(lease, parked).await;
    assert_eq!(bench.state(job).await, "waiting");
    merge(&bench, person, day(5)).await;
    assert_eq!(put_aside(&bench, job).await, Some(shown(&[2, 5])), "also while it waits");
}

#[tokio::test]
async fn a_sync_that_leaves_something_out_does_not_stand_for_one_that_does_not() {
    let bench = Bench::new().await;
    let narrow = [
        ("range", NewSync { range: day(1), ..new_sync(bench.person("range").await) }),
        (
            "types",
            NewSync {
                options: SyncOptions {
                    activity_types: vec!["Run".to_owned()],
                    ..SyncOptions::default()
                },
                ..new_sync(bench.person("types").await)
            },
        ),
        (
            "weather",
            NewSync {
                options: SyncOptions { skip_weather_enrichment: true, ..SyncOptions::default() },
                ..new_sync(bench.person("weather").await)
            },
        ),
    ];
    for (name, sync) in narrow {
        let mut tx = bench.begin().await.unwrap();
        let queued = sync_jobs::enqueue(&mut tx, &sync, WhenLive::Refuse).await.unwrap();
        tx.commit().await.unwrap();
        let Enqueued::New(job) = queued else { panic!("{queued:?}") };
        let person = Person { user: sync.user, connection: sync.connection };
        merge(&bench, person, day(2)).await;
        assert_eq!(put_aside(&bench, job).await, Some(shown(&[2])), "{name}");
        let worker = WorkerId::fresh();
        let lease = lease_of(&bench.claim(worker).await[0], worker);
        bench.settle(lease, Outcome::Completed).await;
        let next = bench.claim(worker).await.remove(0);
        let options: SyncOptions = serde_json::from_value(next.payload.clone()).unwrap();
        assert_eq!(options, SyncOptions::default(), "{name}: nobody asked for less");
        bench.settle(lease_of(&next, worker), Outcome::Completed).await;
    }
    // How many at a time and how often it is tried leaves nothing out.
    let person = bench.person("batches").await;
    let options = SyncOptions { batch_size: 7, max_retries: 0, ..SyncOptions::default() };
    let sync = NewSync { options, ..new_sync(person) };
    let mut tx = bench.begin().await.unwrap();
    sync_jobs::enqueue(&mut tx, &sync, WhenLive::Refuse).await.unwrap();
    tx.commit().await.unwrap();
    merge(&bench, person, day(2)).await;
    assert_eq!(put_aside(&bench, live(&bench).await).await, None);
}

#[tokio::test]
async fn who_asks_only_for_what_is_new_gets_no_whole_history_after_a_live_sync() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    assert_eq!(ask(&bench, &news(person)).await, Enqueued::Merged(lease.job));
    assert_eq!(merge(&bench, person, day(3)).await, Enqueued::Merged(lease.job));
    bench.settle(lease, Outcome::Completed).await;
    assert_eq!(next(&bench).await, (day(3), false), "who asked for everything of a day first");
    assert_eq!(next(&bench).await, (new_sync(person).range, true));
    assert!(bench.claim(WorkerId::fresh()).await.is_empty());
}

#[tokio::test]
async fn a_sync_of_what_is_new_stands_for_those_who_asked_for_that_and_a_whole_one_too() {
    let bench = Bench::new().await;
    let person = bench.person("ann").await;
    for first in [news(person), new_sync(person)] {
        let whole = !first.options.only_new;
        let Enqueued::New(job) = ask(&bench, &first).await else { panic!("nothing is live") };
        assert_eq!(ask(&bench, &news(person)).await, Enqueued::Merged(job));
        assert_eq!(next(&bench).await, (first.range, !whole));
        assert!(bench.claim(WorkerId::fresh()).await.is_empty(), "it has not begun: {first:?}");
    }
    ask(&bench, &news(person)).await;
    merge(&bench, person, day(1)).await;
    assert!(next(&bench).await.1, "of what is new");
    assert_eq!(next(&bench).await, (day(1), false), "a sync of what is new leaves something out");
}

#[tokio::test]
async fn a_sync_of_one_account_takes_nothing_for_another() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    let other = bench.account(person.user, "another").await;
    let asked = ask(&bench, &news(other)).await;
    assert_eq!(asked, Enqueued::Live(lease.job), "whoever asks hears of it");
    assert_eq!(put_aside(&bench, lease.job).await, None);
    bench.settle(lease, Outcome::Completed).await;
    assert!(matches!(ask(&bench, &news(other)).await, Enqueued::New(_)));
}

#[tokio::test]
async fn nothing_follows_through_a_link_that_no_sync_can_use() {
    let bench = Bench::new().await;
    for state in ["needs_reauth", "provider_gone", "revoked", "limited"] {
        let (person, lease) = bench.running(state).await;
        merge(&bench, person, day(1)).await;
        ask(&bench, &news(person)).await;
        sqlx::query("update paceline.connections set state = $2 where id = $1")
            .bind(person.connection.0)
            .bind(state)
            .execute(&*bench)
            .await
            .unwrap();
        let settled = sync_outcomes::settle(&bench, &[(lease, Outcome::Completed)]).await.unwrap();
        assert_eq!(settled.held, [lease.job]);
        assert_eq!(settled.follow_ups.len(), usize::from(state == "limited"), "{state}");
    }
}

#[tokio::test]
async fn a_cancel_ends_a_sync_and_not_what_others_asked_for_meanwhile() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("running").await;
    merge(&bench, person, day(1)).await;
    let asked = sync_jobs::cancel(&bench, person.user, lease.job).await.unwrap();
    assert_eq!(asked, CancelOutcome::Asked);
    assert_eq!(
        merge(&bench, person, day(2)).await,
        Enqueued::Live(lease.job),
        "who asks after the cancel hears of it"
    );
    let settled = sync_outcomes::settle(&bench, &[(lease, Outcome::Cancelled)]).await.unwrap();
    assert_eq!((settled.held, settled.follow_ups.len()), (vec![lease.job], 1));
    assert_eq!(bench.state(lease.job).await, "cancelled");
    let worker = WorkerId::fresh();
    let next = bench.claim(worker).await.remove(0);
    assert_eq!((next.id, next.range), (settled.follow_ups[0].job, day(1)));
    bench.settle(lease_of(&next, worker), Outcome::Completed).await;

    // Nobody runs these, and they end at once: by their user, and by staff.
    for by_staff in [false, true] {
        let (person, job) = bench.queued(if by_staff { "staff" } else { "user" }).await;
        let lease = lease_of(&bench.claim(worker).await[0], worker);
        bench.settle(lease, Outcome::Released).await;
        merge(&bench, person, day(1)).await;
        merge(&bench, person, day(7)).await;
        let cancelled = if by_staff {
            let mut tx = paceline_shared::db::begin(&bench).await.unwrap();
            let outcomes = sync_jobs::cancel_many(&mut tx, &[job]).await.unwrap();
            tx.commit().await.unwrap();
            outcomes[0].1
        } else {
            sync_jobs::cancel(&bench, person.user, job).await.unwrap()
        };
        assert_eq!(cancelled, CancelOutcome::Done);
        assert_eq!(bench.state(job).await, "cancelled");
        let next = bench.claim(worker).await.remove(0);
        assert_eq!(next.range, day(1));
        assert_eq!(put_aside(&bench, next.id).await, Some(shown(&[7])));
        bench.settle(lease_of(&next, worker), Outcome::Completed).await;
        let last = bench.claim(worker).await.remove(0);
        assert_eq!(last.range, day(7));
        bench.settle(lease_of(&last, worker), Outcome::Completed).await;
        assert!(bench.claim(worker).await.is_empty());
    }
}

#[tokio::test]
async fn a_retry_does_not_bring_back_what_has_followed_already() {
    let bench = Bench::new().await;
    let (person, lease) = bench.running("ann").await;
    merge(&bench, person, day(1)).await;
    bench.settle(lease, Outcome::Failed(failure(Code::InvalidData))).await;
    let worker = WorkerId::fresh();
    let next = bench.claim(worker).await.remove(0);
    bench.settle(lease_of(&next, worker), Outcome::Completed).await;
    let mut tx = bench.begin().await.unwrap();
    let retried =
        sync_jobs::retry(&mut tx, person.user, lease.job, RetryOptions::default()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(retried, RetryOutcome::Queued(Provider::Strava));
    assert_eq!(put_aside(&bench, lease.job).await, None);
}

#[tokio::test]
async fn whatever_is_merged_while_syncs_begin_and_end_is_read_by_one_that_began_later() {
    let bench = Bench::new().await;
    let people = [bench.person("ann").await, bench.person("bob").await];
    let over = AtomicBool::new(false);
    let now = async || -> DateTime<Utc> {
        sqlx::query_scalar("select clock_timestamp()").fetch_one(&*bench).await.unwrap()
    };
    let askers = (0..6_i64).map(|asker| {
        let (bench, person) = (&bench, people[usize::try_from(asker % 2).unwrap()]);
        async move {
            let mut asked = Vec::new();
            for n in 0..25 {
                let range = day(2 * (asker * 100 + n));
                asked.push((person, range, now().await));
                let merged = merge(bench, person, range).await;
                assert!(!matches!(merged, Enqueued::Live(_)), "nobody cancels");
            }
            asked
        }
    });
    let work = |seed: usize| {
        let (bench, over) = (&bench, &over);
        async move {
            let worker = WorkerId::fresh();
            for round in seed.. {
                let claimed = bench.claim(worker).await;
                if claimed.is_empty() && over.load(Ordering::Acquire) {
                    break;
                }
                tokio::task::yield_now().await;
                let outcomes: Vec<(Lease, Outcome)> = claimed
                    .iter()
                    .map(|one| {
                        let again = !over.load(Ordering::Acquire) && round % 3 == 0;
                        let outcome = if again { Outcome::Released } else { Outcome::Completed };
                        (lease_of(one, worker), outcome)
                    })
                    .collect();
                let settled = sync_outcomes::settle(bench, &outcomes).await.unwrap();
                assert_eq!(settled.held.len(), outcomes.len());
            }
        }
    };
    let asking = async {
        let asked: Vec<_> = futures::future::join_all(askers).await.into_iter().flatten().collect();
        over.store(true, Ordering::Release);
        asked
    };
    let (asked, (), (), ()) = tokio::join!(asking, work(0), work(1), work(2));
    assert_eq!(asked.len(), 150);
    let left: i64 = sqlx::query_scalar("select count(*) from paceline.sync_jobs")
        .fetch_one(&*bench)
        .await
        .unwrap();
    assert_eq!(left, 0);
    for (person, range, at) in asked {
        let read: bool = sqlx::query_scalar(
            "select exists (select from paceline.sync_history
                where user_id = $1 and status = 'completed' and time_range @> $2 and started_at >= $3)",
        )
        .bind(person.user.0)
        .bind(range)
        .bind(at)
        .fetch_one(&*bench)
        .await
        .unwrap();
        assert!(read, "{range:?} asked for at {at}");
    }
}
