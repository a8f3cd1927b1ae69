//! Lanes: what holds a claim back, and what lets it through.

use super::*;
use paceline_shared::db::{
    lanes::{self, Block},
    sync_jobs::{Claim, Hold, Standing},
};
use paceline_tests::rows::change;
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering},
};

const PAUSED: &str = "paused";

async fn claim(bench: &Bench, worker: WorkerId, limit: i64) -> Claim {
    sync_jobs::claim(bench, worker, Provider::Strava, limit, Cursor::START).await.unwrap()
}

/// What a worker hears that takes nothing.
async fn standing(bench: &Bench) -> Standing {
    let claim = claim(bench, WorkerId::fresh(), 100).await;
    assert!(claim.jobs.is_empty(), "{claim:?}");
    claim.lane
}

async fn pause(bench: &Bench, lane: Option<Provider>, until: Option<DateTime<Utc>>) {
    let mut tx = bench.begin().await.unwrap();
    lanes::pause(&mut tx, lane, until, "ada", "they asked us to").await.unwrap();
    tx.commit().await.unwrap();
}

async fn resume(bench: &Bench, lane: Option<Provider>) -> bool {
    let mut tx = bench.begin().await.unwrap();
    let was_paused = lanes::resume(&mut tx, lane).await.unwrap();
    tx.commit().await.unwrap();
    was_paused
}

async fn limit(bench: &Bench, max_running: Option<i32>) {
    let mut tx = bench.begin().await.unwrap();
    lanes::set_limit(&mut tx, Provider::Strava, max_running).await.unwrap();
    tx.commit().await.unwrap();
}

fn in_minutes(minutes: i64) -> DateTime<Utc> {
    // Postgres keeps microseconds.
    DateTime::from_timestamp_micros(Utc::now().timestamp_micros()).unwrap()
        + chrono::Duration::minutes(minutes)
}

fn block(until: DateTime<Utc>, below: i16) -> Block {
    Block { until, below, reason: "rate_limit".to_owned(), scope: "strava:read".to_owned() }
}

async fn strava(bench: &Bench) -> lanes::Lane {
    let lanes = lanes::read(&**bench).await.unwrap();
    lanes.into_iter().find(|lane| lane.provider == Some(Provider::Strava)).unwrap()
}

#[tokio::test]
async fn nothing_is_claimed_in_a_paused_lane_until_somebody_resumes() {
    let bench = Bench::new().await;
    bench.queued("ann").await;
    for lane in [Some(Provider::Strava), None] {
        pause(&bench, lane, None).await;
        let hold = Hold { reason: PAUSED.to_owned(), until: None };
        assert_eq!(standing(&bench).await, Standing::Held(hold), "{lane:?}");
        assert!(resume(&bench, lane).await);
        assert!(!resume(&bench, lane).await, "it was resumed already");
    }
    pause(&bench, Some(Provider::Garmin), None).await;
    let claim = claim(&bench, WorkerId::fresh(), 100).await;
    assert_eq!((claim.jobs.len(), claim.lane), (1, Standing::Open), "another lane is no matter");
}

#[tokio::test]
async fn a_pause_ends_by_itself_when_it_has_an_end() {
    let bench = Bench::new().await;
    bench.queued("ann").await;
    let until = in_minutes(5);
    pause(&bench, Some(Provider::Strava), Some(until)).await;
    pause(&bench, None, Some(in_minutes(2))).await;
    let hold = Hold { reason: PAUSED.to_owned(), until: Some(until) };
    assert_eq!(standing(&bench).await, Standing::Held(hold), "of two pauses the longer one counts");
    let lane = strava(&bench).await;
    let said = lane.pause.clone().unwrap();
    assert_eq!((said.by.as_str(), said.reason.as_str()), ("ada", "they asked us to"));
    assert_eq!((said.until, lane.rev), (Some(until), 2));
    change(
        &bench,
        "update paceline.lanes set paused_until = clock_timestamp() where paused_until is not null",
    )
    .await;
    assert_eq!(strava(&bench).await.pause, None);
    assert_eq!(claim(&bench, WorkerId::fresh(), 100).await.jobs.len(), 1);
}

#[tokio::test]
async fn a_spent_quota_holds_back_the_patient_and_lets_the_urgent_pass() {
    let bench = Bench::new().await;
    let mut urgent = BTreeSet::new();
    for class in [Class::Backfill, Class::Scheduled, Class::Interactive, Class::Webhook] {
        let person = bench.person(&format!("{class:?}")).await;
        let Enqueued::New(job) = bench.enqueue(person, class).await else { panic!("live") };
        if class.rank() >= 3 {
            urgent.insert(job);
        }
    }
    let until = in_minutes(15);
    let hold = Hold { reason: "rate_limit".to_owned(), until: Some(until) };
    assert!(lanes::block(&*bench, Provider::Strava, &block(until, 3)).await.unwrap());
    let got = claim(&bench, WorkerId::fresh(), 100).await;
    assert_eq!(got.jobs.iter().map(|job| job.id).collect::<BTreeSet<_>>(), urgent);
    assert_eq!(got.lane, Standing::Urgent(3, hold.clone()));
    assert!(lanes::block(&*bench, Provider::Strava, &block(until, 5)).await.unwrap());
    assert_eq!(standing(&bench).await, Standing::Held(hold));
    assert!(lanes::unblock(&*bench, Provider::Strava).await.unwrap());
    assert_eq!(claim(&bench, WorkerId::fresh(), 100).await.jobs.len(), 2);
}

#[tokio::test]
async fn a_block_is_not_shortened_by_one_that_holds_back_less() {
    let bench = Bench::new().await;
    let (soon, late) = (in_minutes(10), in_minutes(600));
    let steps = [
        (block(soon, 3), true, (soon, 3)),
        (block(late, 3), true, (late, 3)),
        (block(soon, 3), false, (late, 3)),
        (block(soon, 5), true, (soon, 5)),
        (block(late, 3), false, (soon, 5)),
        (block(late, 5), true, (late, 5)),
        (block(in_minutes(-1), 5), false, (late, 5)),
    ];
    for (asked, changes, (until, below)) in steps {
        let changed = lanes::block(&*bench, Provider::Strava, &asked).await.unwrap();
        assert_eq!(changed, changes, "{asked:?}");
        let now = strava(&bench).await.block.unwrap();
        assert_eq!((now.until, now.below), (until, below), "{asked:?}");
    }
    assert_eq!(strava(&bench).await.rev, 5, "a block that changes nothing is no change");
    change(&bench, "update paceline.lanes set blocked_until = clock_timestamp() where blocked_until is not null").await;
    assert!(lanes::block(&*bench, Provider::Strava, &block(soon, 3)).await.unwrap());
    assert_eq!(strava(&bench).await.block.unwrap(), block(soon, 3), "what ended does not count");
}

#[tokio::test]
async fn behind_an_open_breaker_nothing_runs_and_behind_a_half_open_one_a_single_probe() {
    let bench = Bench::new().await;
    for name in ["ann", "bob", "cem"] {
        bench.queued(name).await;
    }
    let until = in_minutes(1);
    let worker = WorkerId::fresh();
    let set = async |state: &str| {
        sqlx::query("update paceline.lanes set breaker = $1, breaker_until = $2, breaker_probe = $3 where lane = 'strava'")
            .bind(state)
            .bind((state != "closed").then_some(until))
            .bind(worker.0)
            .execute(&*bench)
            .await
            .unwrap();
    };
    let hold = Hold { reason: "breaker_open".to_owned(), until: Some(until) };
    set("open").await;
    assert_eq!(claim(&bench, worker, 100).await.lane, Standing::Held(hold.clone()));
    set("half_open").await;
    assert_eq!(standing(&bench).await, Standing::Held(hold.clone()), "another worker is no probe");
    let probe = claim(&bench, worker, 100).await;
    assert_eq!((probe.jobs.len(), &probe.lane), (1, &Standing::Probing));
    assert!(claim(&bench, worker, 100).await.jobs.is_empty(), "one at a time");
    bench.settle(lease_of(&probe.jobs[0], worker), Outcome::Released).await;
    assert_eq!(claim(&bench, worker, 100).await.jobs.len(), 1, "it may try again");
    change(
        &bench,
        "update paceline.lanes set breaker_until = clock_timestamp() where lane = 'strava'",
    )
    .await;
    let late = claim(&bench, worker, 100).await;
    assert!(late.jobs.is_empty() && matches!(late.lane, Standing::Held(_)), "{late:?}");
    set("closed").await;
    assert_eq!(claim(&bench, worker, 100).await.jobs.len(), 2);
}

#[tokio::test]
async fn a_lane_that_is_shut_costs_nothing_whatever_waits_in_it() {
    let bench = Bench::new().await;
    bench.crowd(20_000, Class::Scheduled).await;
    let db = bench.counted();
    let ask = async || {
        sync_jobs::claim(&db, WorkerId::fresh(), Provider::Strava, 500, Cursor::START)
            .await
            .unwrap()
    };
    pause(&bench, None, None).await;
    let before = scans(&db, "sync_jobs").await;
    for _ in 0..10 {
        assert!(ask().await.jobs.is_empty());
    }
    assert_eq!(scans(&db, "sync_jobs").await, before, "no index and no table was opened");
    resume(&bench, None).await;
    lanes::block(&db, Provider::Strava, &block(in_minutes(5), 3)).await.unwrap();
    for _ in 0..10 {
        assert!(ask().await.jobs.is_empty());
    }
    let (_, read) = scans(&db, "sync_jobs").await["sync_jobs_ready"];
    assert_eq!(read, before["sync_jobs_ready"].1, "the urgent have an index of their own");
    lanes::unblock(&db, Provider::Strava).await.unwrap();
    assert_eq!(ask().await.jobs.len(), 500);
}

/// Claimers that take and finish until nothing is left. What they take counts from the moment a claim has
/// answered to the moment before its outcome is sent.
struct Race {
    db: Db,
    running: AtomicI64,
    most: AtomicI64,
    taken: AtomicUsize,
    /// From here on claims count.
    counts: AtomicBool,
}

impl Race {
    fn new(bench: &Bench, counts: bool) -> Self {
        let db = Db::new(bench.db.url(), Route::Direct, "claimers", 24).unwrap();
        let (running, most, taken) = (AtomicI64::new(0), AtomicI64::new(0), AtomicUsize::new(0));
        Self { db, running, most, taken, counts: AtomicBool::new(counts) }
    }

    async fn claimer(&self, jobs: usize) {
        let worker = WorkerId::fresh();
        while self.taken.load(Ordering::SeqCst) < jobs {
            let counts = self.counts.load(Ordering::SeqCst);
            let claim = sync_jobs::claim(&self.db, worker, Provider::Strava, 2, Cursor::START)
                .await
                .unwrap();
            let got = i64::try_from(claim.jobs.len()).unwrap();
            if counts {
                let running = self.running.fetch_add(got, Ordering::SeqCst) + got;
                self.most.fetch_max(running, Ordering::SeqCst);
            }
            self.taken.fetch_add(claim.jobs.len(), Ordering::SeqCst);
            tokio::task::yield_now().await;
            let done: Vec<_> =
                claim.jobs.iter().map(|job| (lease_of(job, worker), Outcome::Completed)).collect();
            if counts {
                self.running.fetch_sub(got, Ordering::SeqCst);
            }
            if !done.is_empty() {
                sync_outcomes::settle(&self.db, &done).await.unwrap();
            }
        }
    }

    /// Looks at the table itself, again and again.
    async fn watch(&self, jobs: usize) -> i64 {
        let mut most = 0;
        while self.taken.load(Ordering::SeqCst) < jobs {
            let running: i64 = sqlx::query_scalar(
                "select count(*) from paceline.sync_jobs where worker is not null",
            )
            .fetch_one(&self.db)
            .await
            .unwrap();
            most = most.max(running);
        }
        most
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_claimers_never_run_more_than_the_limit_of_their_lane() {
    const JOBS: usize = 2000;
    let bench = Bench::new().await;
    bench.crowd(i32::try_from(JOBS).unwrap(), Class::Interactive).await;
    limit(&bench, Some(3)).await;
    let race = Race::new(&bench, true);
    let claimers = futures::future::join_all((0..64).map(|_| race.claimer(JOBS)));
    let (_, seen) = tokio::join!(claimers, race.watch(JOBS));
    assert!(seen <= 3, "{seen} ran at once");
    assert_eq!(race.most.load(Ordering::SeqCst), 3, "as many as may");
    assert_eq!(race.taken.load(Ordering::SeqCst), JOBS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_for_every_claim_that_begins_after_it_was_set() {
    const JOBS: usize = 1200;
    let bench = Bench::new().await;
    bench.crowd(i32::try_from(JOBS).unwrap(), Class::Interactive).await;
    let race = Race::new(&bench, false);
    let claimers = futures::future::join_all((0..64).map(|_| race.claimer(JOBS)));
    let change_of_mind = async {
        while race.taken.load(Ordering::SeqCst) < JOBS / 4 {
            tokio::task::yield_now().await;
        }
        limit(&bench, Some(3)).await;
        race.counts.store(true, Ordering::SeqCst);
    };
    tokio::join!(claimers, change_of_mind);
    let most = race.most.load(Ordering::SeqCst);
    assert!((1..=3).contains(&most), "{most} ran at once");
}

#[tokio::test]
async fn a_limited_lane_says_when_it_is_full() {
    let bench = Bench::new().await;
    for name in ["ann", "bob", "cem"] {
        bench.queued(name).await;
    }
    limit(&bench, Some(2)).await;
    let worker = WorkerId::fresh();
    let got = claim(&bench, worker, 100).await;
    assert_eq!((got.jobs.len(), got.lane), (2, Standing::Full));
    assert_eq!(standing(&bench).await, Standing::Full);
    bench.settle(lease_of(&got.jobs[0], worker), Outcome::Completed).await;
    let next = claim(&bench, worker, 100).await;
    assert_eq!((next.jobs.len(), next.lane), (1, Standing::Full));
    bench.settle(lease_of(&next.jobs[0], worker), Outcome::Completed).await;
    let none = claim(&bench, worker, 100).await;
    assert_eq!((none.jobs.len(), none.lane), (0, Standing::Open), "there is room and no job");
    limit(&bench, None).await;
    assert_eq!(strava(&bench).await.max_running, None);
    let mut tx = bench.begin().await.unwrap();
    let refused = lanes::set_limit(&mut tx, Provider::Strava, Some(0)).await;
    assert!(matches!(refused, Err(paceline_shared::db::Error::Refused(_))), "{refused:?}");
}
