use super::*;
use paceline_shared::{
    Provider, WorkerId,
    db::{
        admin_jobs::{Ahead, Lease},
        lanes::{Block, Breaker, Lane, Pause},
        workers::{State, Worker},
    },
};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn minutes(n: i64) -> TimeDelta {
    TimeDelta::minutes(n)
}

fn lane(provider: Option<Provider>) -> Lane {
    let breaker = Breaker {
        state: "closed".to_owned(),
        until: None,
        probe: None,
        trips: 0,
        reason: None,
        at: None,
    };
    Lane {
        provider,
        max_running: None,
        pause: None,
        block: None,
        breaker,
        rev: 1,
        updated_at: now(),
    }
}

fn worker(jobs: i32) -> Worker {
    Worker {
        id: WorkerId::fresh(),
        label: "north-1".to_owned(),
        host: "north".to_owned(),
        pid: 7,
        version: "0.1.0".to_owned(),
        payload_version: 1,
        providers: vec!["strava".to_owned()],
        slots: 4,
        jobs,
        rss_bytes: 0,
        listening: true,
        draining: false,
        state: State::Alive,
        started_at: now() - minutes(60),
        beat_at: now(),
        stopped_at: None,
        drain_requested_at: None,
        drain_requested_by: None,
    }
}

/// A queued job with nothing in its way.
fn free() -> Facts {
    Facts {
        now: now(),
        provider: Provider::Strava,
        class: 3,
        kept: false,
        state: JobState::Queued,
        waiting_for: None,
        run_at: now() - minutes(1),
        attempt: 0,
        error_code: None,
        cancel_requested_at: None,
        crashes: 0,
        payload_version: 1,
        lease: None,
        lanes: vec![lane(None), lane(Some(Provider::Fitbit)), lane(Some(Provider::Strava))],
        running_in_lane: 1,
        workers: vec![worker(1)],
        ahead: Ahead::default(),
    }
}

fn parked(reason: &str, due: TimeDelta) -> Facts {
    Facts {
        state: JobState::Waiting,
        waiting_for: Some(reason.to_owned()),
        run_at: now() + due,
        attempt: 2,
        error_code: Some("network_error".to_owned()),
        ..free()
    }
}

fn running(change: impl FnOnce(&mut Lease)) -> Facts {
    let worker = worker(1);
    let mut lease = Lease {
        worker: worker.id,
        epoch: 3,
        started_at: now() - minutes(5),
        beat_at: now() - TimeDelta::seconds(2),
        checkpoint_at: Some(now() - TimeDelta::seconds(9)),
        stuck_reported_at: None,
    };
    change(&mut lease);
    Facts { state: JobState::Running, lease: Some(lease), workers: vec![worker], ..free() }
}

fn pause(until: Option<DateTime<Utc>>) -> Pause {
    let reason = "Strava told us to stop".to_owned();
    Pause { until, at: now(), by: "ann".to_owned(), reason }
}

fn with(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = free();
    change(&mut facts);
    facts
}

fn codes(facts: &Facts) -> Vec<Code> {
    why(facts).into_iter().map(|reason| reason.code).collect()
}

#[test]
fn every_fact_that_holds_a_job_back_is_a_reason_and_no_other_is() {
    let block = |below| {
        Some(Block {
            until: now() + minutes(15),
            below,
            reason: "quota_exceeded".to_owned(),
            scope: "strava:all".to_owned(),
        })
    };
    for (what, facts, expected) in [
        ("nothing", free(), vec![Code::Next]),
        ("a pause", with(|f| f.lanes[2].pause = Some(pause(None))), vec![Code::Paused]),
        ("a pause of all", with(|f| f.lanes[0].pause = Some(pause(None))), vec![Code::Paused]),
        ("another's pause", with(|f| f.lanes[1].pause = Some(pause(None))), vec![Code::Next]),
        (
            "a breaker",
            with(|f| f.lanes[2].breaker.state = "half_open".to_owned()),
            vec![Code::BreakerOpen],
        ),
        ("a block of all", with(|f| f.lanes[2].block = block(5)), vec![Code::QuotaBlocked]),
        ("a block that spares it", with(|f| f.lanes[2].block = block(3)), vec![Code::Next]),
        (
            "a full lane",
            with(|f| (f.lanes[2].max_running, f.running_in_lane) = (Some(3), 3)),
            vec![Code::LaneFull],
        ),
        (
            "a lane with room",
            with(|f| (f.lanes[2].max_running, f.running_in_lane) = (Some(3), 2)),
            vec![Code::Next],
        ),
        ("no worker", with(|f| f.workers.clear()), vec![Code::NoWorker]),
        ("a lost worker", with(|f| f.workers[0].state = State::Lost), vec![Code::NoWorker]),
        (
            "a worker for others",
            with(|f| f.workers[0].providers = vec!["fitbit".to_owned()]),
            vec![Code::NoWorkerForProvider],
        ),
        ("an old worker", with(|f| f.payload_version = 2), vec![Code::NoWorkerForVersion]),
        (
            "a draining worker",
            with(|f| f.workers[0].state = State::Draining),
            vec![Code::WorkersDraining],
        ),
        ("a busy worker", with(|f| f.workers[0].jobs = 4), vec![Code::SlotsBusy]),
        ("one of two busy", with(|f| f.workers = vec![worker(4), worker(3)]), vec![Code::Next]),
        ("two crashes", with(|f| f.crashes = 2), vec![Code::Suspect]),
        ("one crash", with(|f| f.crashes = 1), vec![Code::Next]),
        ("others", with(|f| f.ahead = Ahead { jobs: 312, same_user: 300 }), vec![Code::Behind]),
        ("backing off", parked("retry", minutes(1)), vec![Code::BackingOff]),
        ("a user's quota", parked("rate_limit", minutes(1)), vec![Code::Waiting]),
        ("a breaker, parked", parked("breaker_open", minutes(1)), vec![Code::BreakerOpen]),
        ("due", parked("retry", TimeDelta::zero()), vec![Code::Due]),
        (
            "parked without a worker",
            Facts { workers: vec![], ..parked("retry", minutes(1)) },
            vec![Code::BackingOff, Code::NoWorker],
        ),
        ("running", running(|_| ()), vec![Code::Running]),
        (
            "silent",
            running(|lease| lease.beat_at = now() - TimeDelta::seconds(14)),
            vec![Code::Running, Code::Silent],
        ),
        (
            "stuck",
            running(|lease| lease.stuck_reported_at = Some(now())),
            vec![Code::Running, Code::Stuck],
        ),
        (
            "cancelled while it runs",
            Facts { cancel_requested_at: Some(now()), ..running(|_| ()) },
            vec![Code::CancelRequested, Code::Running],
        ),
    ] {
        assert_eq!(codes(&facts), expected, "{what}");
    }
}

#[test]
fn what_holds_the_longest_is_named_first() {
    let facts = with(|f| {
        f.lanes[0].pause = Some(pause(Some(now() + minutes(30))));
        f.lanes[2].pause = Some(pause(None));
        f.lanes[2].breaker.state = "open".to_owned();
        f.lanes[2].breaker.until = Some(now() + minutes(1));
        f.ahead.jobs = 1;
    });
    let untils: Vec<_> = why(&facts).into_iter().map(|reason| reason.until).collect();
    assert_eq!(untils, [None, Some(now() + minutes(30)), Some(now() + minutes(1)), None]);
}

#[test]
fn a_reason_is_a_sentence_with_the_facts_in_it() {
    let message = |facts: &Facts| why(facts).remove(0).message;
    let spent = with(|f| {
        f.lanes[2].block = Some(Block {
            until: now() + minutes(15),
            below: 5,
            reason: "quota_exceeded".to_owned(),
            scope: "strava:all".to_owned(),
        });
    });
    for (facts, expected) in [
        (
            spent,
            "It waits for 2027-01-15 08:15:00 UTC because the calls that Strava allows are spent (budget strava:all); an operator may unblock it sooner.",
        ),
        (
            with(|f| {
                let breaker = &mut f.lanes[2].breaker;
                breaker.state = "open".to_owned();
                breaker.reason = Some("12 of 20 calls failed".to_owned());
                breaker.until = Some(now() + minutes(1));
            }),
            "The breaker of Strava is open: 12 of 20 calls failed; the next call to find out may be made at \
             2027-01-15 08:01:00 UTC; an operator may close it sooner.",
        ),
        (
            with(|f| f.lanes[0].pause = Some(pause(Some(now() + minutes(60))))),
            "Everything is paused by ann until 2027-01-15 09:00:00 UTC: Strava told us to stop",
        ),
        (
            with(|f| f.ahead = Ahead { jobs: Ahead::COUNTED + 1, same_user: 9_312 }),
            "More than 10,000 jobs come first, 9,312 of them the same user's.",
        ),
        (with(|f| f.ahead = Ahead { jobs: 1, same_user: 0 }), "1 job comes first."),
        (with(|f| f.workers = vec![worker(4), worker(5)]), "All 8 slots of 2 workers are taken."),
        (
            parked("retry", minutes(1)),
            "Attempt 2 failed (network_error); it is tried again at 2027-01-15 08:01:00 UTC.",
        ),
        (
            running(|_| ()),
            "The worker north-1 has it: last beat 2 s ago, last checkpoint 9 s ago, first begun at 2027-01-15 07:55:00 UTC.",
        ),
    ] {
        assert_eq!(message(&facts), expected);
    }
}
