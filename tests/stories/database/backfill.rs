//! A backfill: thousands of slices at once, behind everybody else.

use super::*;
use paceline_shared::{
    db::sync_jobs::{SliceOutcome, enqueue_slices},
    slices::{Slice, Slices},
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn slices(after: &str, before: &str, days: u16) -> Vec<Slice> {
    Slices::of(at(after), Some(at(before)), Utc::now(), days).newest_first().collect()
}

async fn backfill(bench: &Bench, person: Person, slices: &[Slice]) -> Vec<SliceOutcome> {
    let sync = NewSync { class: Class::Backfill, ..new_sync(person) };
    let mut tx = bench.begin().await.unwrap();
    let outcomes = enqueue_slices(&mut tx, &sync, slices).await.unwrap();
    tx.commit().await.unwrap();
    outcomes
}

fn count(outcomes: &[SliceOutcome]) -> (usize, usize) {
    let queued = |o: &&SliceOutcome| matches!(o, SliceOutcome::Queued(_));
    let joined = |o: &&SliceOutcome| matches!(o, SliceOutcome::Joined(_));
    (outcomes.iter().filter(queued).count(), outcomes.iter().filter(joined).count())
}

#[tokio::test]
async fn five_thousand_slices_are_queued_within_a_second_and_queue_behind_themselves() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    let days = slices("2010-01-01T00:00:00Z", "2023-09-10T00:00:00Z", 1);
    assert_eq!(days.len(), 5_000);
    let began = std::time::Instant::now();
    assert_eq!(count(&backfill(&bench, ann, &days).await), (5_000, 0));
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}, and under a second on a quiet machine");

    // Somebody who comes now with one slice, and somebody who comes with a sync, are before most of them.
    let bob = bench.person("bob").await;
    backfill(&bench, bob, &slices("2020-01-05T00:00:00Z", "2020-01-06T00:00:00Z", 1)).await;
    let (cem, _) = bench.queued("cem").await;
    let worker = WorkerId::fresh();
    let order: Vec<(UserId, PgRange<DateTime<Utc>>)> =
        bench.claim(worker).await.iter().map(|claimed| (claimed.user, claimed.range)).collect();
    assert_eq!(order[0].0, cem.user);
    let bobs = order.iter().position(|(user, _)| *user == bob.user).unwrap();
    assert!(bobs < 20, "behind {bobs} of ann's 5,000");
    assert_eq!(order[1].1, PgRange::from(days[0].after..days[0].before), "the newest slice first");
    let shown: i64 = sqlx::query_scalar(
        "select count(*) from public.sync_progress p join paceline.syncs s on s.id = p.id where p.external_id = 'ann'",
    )
    .fetch_one(&*bench)
    .await
    .unwrap();
    assert_eq!(shown, 5_000, "each is shown as any sync");
}

#[tokio::test]
async fn a_slice_asked_for_twice_is_joined_and_what_it_does_not_bring_comes_after_it() {
    let bench = Bench::new().await;
    let person = bench.person("ann").await;
    let first = slices("2024-01-10T00:00:00Z", "2024-06-10T00:00:00Z", 30);
    let outcomes = backfill(&bench, person, &first).await;
    assert_eq!(count(&outcomes), (first.len(), 0));
    let again = backfill(&bench, person, &first).await;
    assert_eq!(count(&again), (0, first.len()));
    let ids = |outcomes: &[SliceOutcome]| outcomes.iter().map(|o| o.job()).collect::<Vec<_>>();
    assert_eq!(ids(&again), ids(&outcomes));

    let wider = slices("2024-01-01T00:00:00Z", "2024-08-01T00:00:00Z", 30);
    let (queued, joined) = count(&backfill(&bench, person, &wider).await);
    assert_eq!((queued + joined, joined), (wider.len(), first.len()));
    let aside: Vec<(Uuid, String)> = sqlx::query_as(
        "select id, follow_up::text from paceline.sync_jobs where follow_up is not null order by slot desc",
    )
    .fetch_all(&*bench)
    .await
    .unwrap();
    let edges = [
        (outcomes[0].job().0, "{[\"2024-06-10 00:00:00+00\",\"2024-06-16"),
        (outcomes[first.len() - 1].job().0, "{[\"2024-01-0"),
    ];
    assert_eq!(aside.len(), 2, "{aside:?}");
    for ((id, range), (expected, begins)) in aside.iter().zip(edges) {
        assert!(*id == expected && range.starts_with(begins), "{range}");
    }

    // What comes after a slice is in its place, and done like it.
    let worker = WorkerId::fresh();
    let claimed = bench.claim(worker).await;
    assert_eq!(claimed.len(), wider.len());
    let done: Vec<_> =
        claimed.iter().map(|one| (lease_of(one, worker), Outcome::Completed)).collect();
    let settled = sync_outcomes::settle(&bench, &done).await.unwrap();
    assert_eq!((settled.held.len(), settled.follow_ups.len()), (wider.len(), 2));
    let slots: Vec<i32> = sqlx::query_scalar(
        "select slot from paceline.sync_jobs where class = 1 order by slot desc",
    )
    .fetch_all(&*bench)
    .await
    .unwrap();
    assert_eq!(slots, [first[0].slot, first[first.len() - 1].slot]);
}

#[tokio::test]
async fn a_sync_and_slices_run_side_by_side() {
    let bench = Bench::new().await;
    let (person, sync) = bench.queued("ann").await;
    let slices = slices("2024-01-01T00:00:00Z", "2024-03-01T00:00:00Z", 10);
    backfill(&bench, person, &slices).await;
    let claimed = bench.claim(WorkerId::fresh()).await;
    assert_eq!((claimed[0].id, claimed.len()), (sync, slices.len() + 1));
}

#[tokio::test]
async fn backfills_of_one_user_at_once_share_their_slices() {
    let bench = Bench::new().await;
    let person = bench.person("ann").await;
    let ranges = [
        ("2015-01-01T00:00:00Z", "2021-01-01T00:00:00Z"),
        ("2017-03-01T00:00:00Z", "2023-05-01T00:00:00Z"),
        ("2016-02-01T00:00:00Z", "2019-01-01T00:00:00Z"),
    ];
    let asked = ranges.map(|(after, before)| slices(after, before, 1));
    let answers =
        futures::future::join_all(asked.iter().map(|slices| backfill(&bench, person, slices)))
            .await;
    let queued: usize = answers.iter().map(|outcomes| count(outcomes).0).sum();
    assert_eq!(queued, slices("2015-01-01T00:00:00Z", "2023-05-01T00:00:00Z", 1).len());
    for (slices, outcomes) in asked.iter().zip(&answers) {
        let (queued, joined) = count(outcomes);
        assert_eq!(queued + joined, slices.len());
    }
}

#[tokio::test]
async fn a_slice_whose_sync_is_being_cancelled_is_neither_queued_nor_joined() {
    let bench = Bench::new().await;
    let person = bench.person("ann").await;
    let slices = slices("2024-01-01T00:00:00Z", "2024-01-03T00:00:00Z", 1);
    let outcomes = backfill(&bench, person, &slices).await;
    bench.claim(WorkerId::fresh()).await;
    sync_jobs::cancel(&bench, person.user, outcomes[1].job()).await.unwrap();
    let again = backfill(&bench, person, &slices).await;
    assert_eq!(
        again,
        [SliceOutcome::Joined(outcomes[0].job()), SliceOutcome::Stopping(outcomes[1].job())]
    );
}
