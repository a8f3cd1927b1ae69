//! What is deleted when, by a real worker; and that what is kept costs the hot path nothing.

use paceline_shared::{
    Provider, WorkerId,
    db::{
        Db, Route, staged_pages, sync_history,
        sync_jobs::{self, Cursor},
    },
};
use paceline_simulator::{Config, Fault, FaultRule};
use paceline_tests::{
    database::TestDb,
    rows::{change, number},
    stack::{ACTIVITIES, SOON, Stack, WorkerSetup},
    truth::WHOLE,
    wait::until,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// Makes rows of any age: `id_of` an id as made then, `finished` jobs that ended then.
const MAKERS: &str = r#"
create function public.id_of(at timestamptz) returns uuid language sql volatile as $$
  select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(random()::text), 1, 3)
          || '8' || substr(md5(random()::text), 1, 15))::uuid
$$;
create function public.finished(jobs integer, state text, ago interval, pages integer) returns void language sql as $$
  insert into paceline.sync_history
    (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase, checkpoint, attempt,
     max_retries, crashes, payload, payload_version, lease_epoch, counts, phase_times, error_count, retries, last_page,
     created_at, started_at, last_activity_at, finished_at)
  select public.id_of(t.at), gen_random_uuid(), gen_random_uuid(), 'strava', 0, 'sync', 'activities', 3, '[,]', state,
         'fetch', '{"phase": "fetch", "next_page": 1}', 1, 5, 0, '{}', 1, 1, '{}', '{}', 0, 0, pages, t.at, t.at, t.at, t.at
    from generate_series(1, jobs), (select clock_timestamp() - ago as at) t
$$;
create function public.shown(jobs integer, state text, ago interval) returns void language sql as $$
  insert into public.sync_progress
    (id, uid, external_id, provider, job_type, status, percent, created_at, finished_at)
  select public.id_of(t.at - interval '1 minute'), gen_random_uuid(), 'nobody', 'strava', 'activities', state,
         case state when 'completed' then 100 else 7 end, t.at,
         case when state in ('completed', 'failed', 'cancelled') then t.at end
    from generate_series(1, jobs), (select clock_timestamp() - ago as at) t
$$;
"#;

/// An old month with a partition of its own, and rows of every kind: what shall go has a page, a user, a
/// table of its own above; what shall stay is a little younger than the limit.
const OLD_AND_YOUNG: &str = "
do $$ declare month date := (date_trunc('month', clock_timestamp() at time zone 'UTC') - interval '6 months')::date; begin
  execute format('create table paceline.sync_history_%s partition of paceline.sync_history for values from (%L) to (%L)',
    to_char(month, 'YYYYMM'), month || ' 00:00:00+00', (month + interval '1 month')::date || ' 00:00:00+00');
  perform public.finished(2500, 'completed', clock_timestamp() - (month + interval '3 days') at time zone 'UTC', 0);
end $$;
select public.finished(1200, 'completed', interval '100 days', 0);
select public.finished(30, 'failed', interval '100 days', 0);
select public.finished(40, 'completed', interval '80 days', 0);
select public.finished(120, 'failed', interval '8 days', 2);
select public.finished(5, 'failed', interval '6 days', 2);
insert into paceline.staged_pages select h.id, p, 1, '\\x00' from paceline.sync_history h, generate_series(1, last_page) p;
insert into paceline.staged_pages values (gen_random_uuid(), 1, 1, '\\x00');

select public.shown(1500, 'completed', interval '25 hours');
select public.shown(700, 'cancelled', interval '25 hours');
select public.shown(3, 'failed', interval '91 days');
select public.shown(6, 'completed', interval '23 hours');
select public.shown(7, 'failed', interval '89 days');
select public.shown(8, 'running', interval '91 days');

insert into paceline.sync_attempts (id, job_id, user_id, provider, job_type, attempt, phase, code, message, at)
  select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'strava', 'activities', 1, 'fetch', 'network_error', '',
         clock_timestamp() - case when n <= 1500 then interval '91 days' else interval '89 days' end
    from generate_series(1, 1511) n;
insert into paceline.record_failures (id, job_id, page, position, code, message, record, at)
  select public.id_of(t.at), gen_random_uuid(), 1, n, 'unreadable', '', '', t.at
    from generate_series(1, 1012) n,
         lateral (select clock_timestamp() - case when n <= 1000 then interval '91 days' else interval '89 days' end as at) t;
insert into paceline.breaker_counts (lane, bucket) values ('strava', clock_timestamp() - interval '2 hours'), ('garmin', clock_timestamp());
insert into paceline.budget_reservations (scope, window_s, window_start, worker, calls) values
  ('old', 900, clock_timestamp() - interval '2 hours', gen_random_uuid(), 1), ('new', 900, clock_timestamp(), gen_random_uuid(), 1);
insert into paceline.budgets (scope, window_s, call_limit, window_start, updated_at)
  select scope, 86400, 100, clock_timestamp() - ago, clock_timestamp() - ago
    from (select 'fitbit:all:' || gen_random_uuid(), interval '3 days' from generate_series(1, 1200)
          union all select 'fitbit:all:' || gen_random_uuid(), interval '25 hours' from generate_series(1, 15)
          union all select 'strava:old', interval '30 days') t(scope, ago);
insert into paceline.budgets (scope, window_s, call_limit, updated_at)
  values ('fitbit:all:' || gen_random_uuid(), 900, 100, clock_timestamp() - interval '2 days'),
         ('fitbit:all:' || gen_random_uuid(), 900, 100, clock_timestamp());
insert into paceline.idempotency_keys
  select gen_random_uuid(), 'r', n::text, '', 202, '{}', clock_timestamp() + case when n <= 1100 then interval '-1 hour' else interval '1 hour' end
    from generate_series(1, 1113) n;
insert into paceline.admin_audit (id, at, actor, role, act, target)
  select public.id_of(t.at), t.at, 'ann', 'admin', 'job.retry', 'job'
    from generate_series(1, 1014) n,
         lateral (select clock_timestamp() - case when n <= 1000 then interval '401 days' else interval '399 days' end as at) t;
";

/// Rows that are there, by what they are.
async fn census(db: &Db) -> Vec<(String, i64)> {
    sqlx::query_as(
        "select what, rows from (values
           ('jobs of the old month', (select count(*) from paceline.sync_history where finished_at < clock_timestamp() - interval '120 days')),
           ('jobs beside any month', (select count(*) from paceline.sync_history
              where finished_at between clock_timestamp() - interval '120 days' and clock_timestamp() - interval '90 days')),
           ('younger jobs', (select count(*) from paceline.sync_history where finished_at > clock_timestamp() - interval '90 days')),
           ('pages', (select count(*) from paceline.staged_pages)),
           ('jobs without their pages', (select count(*) from paceline.sync_history where pages_pruned_at is not null)),
           ('progress', (select count(*) from public.sync_progress where status in ('completed', 'cancelled'))),
           ('progress of failed', (select count(*) from public.sync_progress where status = 'failed')),
           ('progress of live', (select count(*) from public.sync_progress where status = 'running')),
           ('reports', (select count(*) from paceline.sync_attempts)),
           ('records', (select count(*) from paceline.record_failures)),
           ('breaker', (select count(*) from paceline.breaker_counts)),
           ('reservations', (select count(*) from paceline.budget_reservations)),
           ('windows of users', (select count(*) from paceline.budgets where scope like 'fitbit:%')),
           ('windows of applications', (select count(*) from paceline.budgets where scope = 'strava:old')),
           ('keys', (select count(*) from paceline.idempotency_keys)),
           ('audit', (select count(*) from paceline.admin_audit))) as t(what, rows)",
    )
    .fetch_all(db)
    .await
    .unwrap()
}

#[tokio::test]
async fn what_is_old_goes_and_nothing_younger_is_touched() {
    let mut stack = Stack::new().await;
    change(&stack.db, MAKERS).await;
    change(&stack.db, OLD_AND_YOUNG).await;
    let before = census(&stack.db).await;
    assert!(
        before.iter().all(|(what, rows)| (*rows == 0) == (what == "jobs without their pages")),
        "{before:?}"
    );
    let options = vec!["--tidy-every".to_owned(), "50ms".to_owned()];
    let setup = || WorkerSetup { options: options.clone(), ..WorkerSetup::default() };
    let (worker, _other) = (stack.worker_with(setup()).await, stack.worker_with(setup()).await);
    let left = [
        ("jobs of the old month", 0),
        ("jobs beside any month", 0),
        ("younger jobs", 165),
        ("pages", 11),
        ("jobs without their pages", 120),
        ("progress", 6),
        ("progress of failed", 7),
        ("progress of live", 8),
        ("reports", 11),
        ("records", 12),
        ("breaker", 1),
        ("reservations", 1),
        ("windows of users", 16),
        ("windows of applications", 1),
        ("keys", 13),
        ("audit", 14),
    ]
    .map(|(what, rows)| (what.to_owned(), rows));
    let mut last = Vec::new();
    let deadline = Instant::now() + SOON;
    while last != left && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
        last = census(&stack.db).await;
    }
    assert_eq!(last, left);
    // Some rounds later it is still so.
    let rounds = "select count(*) from paceline.duties where duty = 'housekeeping'";
    until("another round", SOON, async || number(&stack.db, rounds).await == 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(census(&stack.db).await, left);
    let months =
        "select count(*) from pg_inherits where inhparent = 'paceline.sync_history'::regclass";
    assert_eq!(number(&stack.db, months).await, 4, "the default and three months from now on");
    drop(worker);
}

#[tokio::test]
async fn a_retry_after_the_pages_were_deleted_begins_anew() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let user = stack.user("ann", 410).await;
    let rule = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(2),
        ..FaultRule::new(Fault::Status { code: 500, html: false, day: false })
    };
    let rule = stack.world().add_fault(rule).unwrap();
    let _worker = stack.worker_with(WorkerSetup { http_tries: 1, ..WorkerSetup::default() }).await;
    let id = user.client.start_sync(&json!({ "maxRetries": 0 })).await;
    let failed = user.client.wait_over(id, SOON).await;
    assert_eq!(failed.status, "FAILED");
    let pages = "select count(*) from paceline.staged_pages where page > 0";
    assert_eq!(number(&stack.db, pages).await, 1);
    assert_eq!(staged_pages::prune(&stack.db, Duration::from_hours(1), 50).await.unwrap(), 0);
    assert_eq!(number(&stack.db, pages).await, 1, "it failed a moment ago");
    assert_eq!(staged_pages::prune(&stack.db, Duration::ZERO, 50).await.unwrap(), 1);
    assert_eq!(number(&stack.db, pages).await, 0);
    let _gone = stack.world().remove_fault(rule);
    assert_eq!(user.client.retry_sync(id).await.status, 202);
    user.client.wait_done(id, SOON).await;
    assert_eq!(stack.assert_true(&user, WHOLE).await.records, 410);
    let first = stack.page_requests(user.athlete).iter().filter(|e| e.page == Some(1)).count();
    assert_eq!(first, 2, "what was deleted is fetched again");
}

#[tokio::test]
async fn a_month_in_use_is_dropped_later_and_nobody_waits_for_it() {
    let db = TestDb::new().await;
    change(&db, MAKERS).await;
    change(&db, OLD_AND_YOUNG).await;
    let mut reader = db.begin().await.unwrap();
    let seen: i64 = sqlx::query_scalar("select count(*) from paceline.sync_history")
        .fetch_one(&mut *reader)
        .await
        .unwrap();
    let began = Instant::now();
    let keep = Duration::from_hours(24 * 90);
    assert_eq!(sync_history::drop_old_partitions(&db, keep).await.unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // Nobody is stuck behind the attempt.
    assert_eq!(number(&db, "select count(*) from paceline.sync_history").await, seen);
    reader.commit().await.unwrap();
    assert_eq!(sync_history::drop_old_partitions(&db, keep).await.unwrap(), 1);
    assert_eq!(number(&db, "select count(*) from paceline.sync_history").await, seen - 2500);
}

/// Forty claims of one job each.
async fn claim_forty(db: &Db) {
    for _ in 0..40 {
        let claim = sync_jobs::claim(db, WorkerId::fresh(), Provider::Strava, 1, Cursor::START);
        assert_eq!(claim.await.unwrap().jobs.len(), 1);
    }
}

#[tokio::test]
async fn two_hundred_thousand_finished_jobs_cost_a_claim_nothing() {
    let db = TestDb::new().await;
    change(&db, MAKERS).await;
    change(
        &db,
        "insert into paceline.sync_jobs
           (id, user_id, connection_id, provider, kind, job_type, class, time_range, run_at, sort_at, max_retries, payload, payload_version)
         select public.id_of(clock_timestamp()), gen_random_uuid(), gen_random_uuid(), 'strava', 'sync', 'activities', 3, '[,]',
                clock_timestamp(), clock_timestamp() - n * interval '1 second', 5, '{}', 1 from generate_series(1, 20000) n;
         insert into public.sync_progress (id, uid, external_id, provider, job_type)
           select id, user_id, 'nobody', provider, job_type from paceline.sync_jobs",
    )
    .await;
    change(&db, "vacuum analyze").await;
    change(&db, "select public.finished(150000, 'completed', interval '1 hour', 0)").await;
    change(&db, "select public.finished(50000, 'failed', interval '40 days', 0)").await;
    change(&db, "vacuum analyze").await;

    let scans = "select coalesce(sum(seq_scan), 0)::bigint from pg_stat_user_tables
                  where relname like 'sync\\_history%' or relname in ('sync_jobs', 'sync_progress')";
    let claims =
        "select idx_scan::bigint from pg_stat_user_indexes where indexrelname = 'sync_jobs_ready'";
    let (scans_before, claims_before) = (number(&db, scans).await, number(&db, claims).await);
    // A connection of its own: its statistics are written when it ends.
    let own = Db::new(db.url(), Route::Direct, "claims", 1).unwrap();
    claim_forty(&own).await;
    own.close().await;
    until("the statistics of forty claims", SOON, async || {
        number(&db, claims).await >= claims_before + 40
    })
    .await;
    // Other connections may tell of scans of theirs meanwhile, but not of one for each claim.
    let scanned = number(&db, scans).await - scans_before;
    assert!(scanned < 40, "a claim reads a table from end to end: {scanned} scans");
}
