//! How an attempt ends: what it costs, what it leaves.

use super::*;
use paceline_shared::db::sync_attempts;

/// (state, `waiting_for`, attempt, retries, errors).
async fn standing(bench: &Bench, job: JobId) -> (String, Option<String>, i16, i32, i32) {
    sqlx::query_as(
        "select s.state, s.waiting_for, s.attempt, r.retries, r.error_count
           from paceline.syncs s join paceline.sync_runs r on r.job_id = s.id where s.id = $1",
    )
    .bind(job.0)
    .fetch_one(&**bench)
    .await
    .unwrap()
}

#[tokio::test]
async fn only_the_jobs_own_failure_costs_an_attempt() {
    let bench = Bench::new().await;
    let expected = [
        ("queued", None, 0, 0, 0),
        ("waiting", Some("quota_exceeded"), 0, 0, 0),
        ("waiting", Some("retry"), 1, 1, 1),
    ];
    for ((name, outcome), (state, reason, attempt, retries, errors)) in
        goes_back().into_iter().zip(expected)
    {
        let (_, lease) = bench.running(name).await;
        assert_eq!(bench.settle(lease, outcome).await, [lease.job]);
        assert_eq!(
            standing(&bench, lease.job).await,
            (state.to_owned(), reason.map(str::to_owned), attempt, retries, errors),
            "{name}"
        );
        let worker = WorkerId::fresh();
        for left in bench.claim(worker).await {
            bench.settle(lease_of(&left, worker), Outcome::Completed).await;
        }
    }
}

#[tokio::test]
async fn a_parked_job_shows_its_reason_and_when_it_goes_on() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    let after = Duration::from_mins(15);
    let parked = Outcome::Parked { reason: "rate_limit", after, message: "at 10:15".to_owned() };
    bench.settle(lease, parked).await;
    let due: DateTime<Utc> =
        sqlx::query_scalar("select run_at from paceline.sync_jobs where id = $1")
            .bind(lease.job.0)
            .fetch_one(&*bench)
            .await
            .unwrap();
    let left: f64 = sqlx::query_scalar("select extract(epoch from $1 - clock_timestamp())::float8")
        .bind(due)
        .fetch_one(&*bench)
        .await
        .unwrap();
    assert!((880.0..=900.0).contains(&left), "by Postgres's clock: {left}");
    let (status, waiting, message): (String, serde_json::Value, String) =
        sqlx::query_as("select status, waiting, message from public.sync_progress where id = $1")
            .bind(lease.job.0)
            .fetch_one(&*bench)
            .await
            .unwrap();
    assert_eq!((status.as_str(), message.as_str()), ("waiting", "at 10:15"));
    assert_eq!(waiting["reason"], "rate_limit");
    let shown: DateTime<Utc> = waiting["resetAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(shown, due);
}

#[tokio::test]
async fn every_failed_attempt_leaves_a_report_that_a_success_resolves() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    let retry = Outcome::Retry { failure: failure(Code::NetworkError), after: Duration::ZERO };
    bench.settle(lease, retry).await;
    let reports = sync_attempts::of_job(&bench, lease.job).await.unwrap();
    let [report] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((report.attempt, report.code.as_str()), (1, "network_error"));
    assert_eq!((report.message.as_str(), report.resolved_at), ("it went wrong", None));
    sync_jobs::promote(&bench).await.unwrap();
    let worker = WorkerId::fresh();
    let again = bench.claim(worker).await.remove(0);
    assert_eq!(again.attempt, 2);
    bench.settle(lease_of(&again, worker), Outcome::Completed).await;
    let reports = sync_attempts::of_job(&bench, lease.job).await.unwrap();
    assert!(reports.len() == 1 && reports[0].resolved_at.is_some(), "{reports:?}");
}

#[tokio::test]
async fn a_completed_job_leaves_nothing_in_the_hot_tables() {
    let bench = Bench::new().await;
    let (_, lease) = bench.running("ann").await;
    let mut fenced = Fenced::begin(&bench, lease).await.unwrap();
    stage(&mut fenced, 3).await.unwrap();
    let counts =
        Counts { pages: 1, fetched: 3, saved: 2, failed: 1, through: 3, ..Counts::default() };
    fenced.commit(advance(Checkpoint::Done, &counts, None)).await.unwrap();
    bench.settle(lease, Outcome::Completed).await;
    let left: i64 = sqlx::query_scalar(
        "select (select count(*) from paceline.sync_jobs) + (select count(*) from paceline.sync_runs) + (select count(*) from paceline.staged_pages)",
    )
    .fetch_one(&*bench)
    .await
    .unwrap();
    assert_eq!(left, 0);
    let history: (String, i32, i32, i32, i32) = sqlx::query_as(
        "select status, (counts ->> 'fetched')::int, (counts ->> 'saved')::int, (counts ->> 'failed')::int, last_page
           from paceline.sync_history where id = $1",
    )
    .bind(lease.job.0)
    .fetch_one(&*bench)
    .await
    .unwrap();
    assert_eq!(history, ("completed".to_owned(), 3, 2, 1, 1));
    let progress: (String, i16, bool) = sqlx::query_as(
        "select status, percent, finished_at is not null from public.sync_progress where id = $1",
    )
    .bind(lease.job.0)
    .fetch_one(&*bench)
    .await
    .unwrap();
    assert_eq!(progress, ("completed".to_owned(), 100, true));
}

#[tokio::test]
async fn outcomes_are_settled_together_and_a_stale_one_among_them_spoils_nothing() {
    let bench = Bench::new().await;
    for name in ["ann", "bob", "cem"] {
        bench.queued(name).await;
    }
    let worker = WorkerId::fresh();
    let leases: Vec<Lease> =
        bench.claim(worker).await.iter().map(|claimed| lease_of(claimed, worker)).collect();
    let stale = Lease { epoch: leases[1].epoch + 1, ..leases[1] };
    let batch = [
        (leases[0], Outcome::Completed),
        (stale, Outcome::Completed),
        (leases[2], Outcome::Released),
    ];
    let mut held = sync_outcomes::settle(&bench, &batch).await.unwrap().held;
    held.sort_unstable();
    assert_eq!(held, [leases[0].job, leases[2].job]);
    let mut states = Vec::new();
    for lease in &leases {
        states.push(bench.state(lease.job).await);
    }
    assert_eq!(states, ["completed", "running", "queued"]);
}

#[tokio::test]
async fn a_failed_job_keeps_what_a_retry_needs_and_a_completed_one_does_not() {
    let bench = Bench::new().await;
    for (name, outcome, kept) in [
        ("failed", Outcome::Failed(failure(Code::InvalidData)), 1),
        ("completed", Outcome::Completed, 0),
        ("cancelled", Outcome::Cancelled, 0),
    ] {
        let (_, lease) = bench.running(name).await;
        let mut fenced = Fenced::begin(&bench, lease).await.unwrap();
        stage(&mut fenced, 3).await.unwrap();
        let to = Checkpoint::Fetch { next_page: 2 };
        fenced.commit(advance(to, &Counts::default(), None)).await.unwrap();
        bench.settle(lease, outcome).await;
        let pages: i64 =
            sqlx::query_scalar("select count(*) from paceline.staged_pages where job_id = $1")
                .bind(lease.job.0)
                .fetch_one(&*bench)
                .await
                .unwrap();
        assert_eq!(pages, kept, "{name}");
    }
}
