//! Looking for jobs where no index leads: pages that end before the range does, and counts that count once.

use super::*;
use paceline_shared::{
    db::admin_jobs::{self, Filter, LOOKED_AT, Range, Side},
    job_state::JobState,
};

/// So many failed syncs, the first the oldest, each of a user of its own; and as many that went well.
async fn ended(bench: &Bench, jobs: i64) {
    sqlx::query(
        "with people as (
           insert into paceline.users (id, external_id)
           select gen_random_uuid(), 'runner-' || n from generate_series(1, $1) n returning id, external_id)
         insert into paceline.sync_history
           (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase, checkpoint,
            attempt, max_retries, crashes, payload, payload_version, lease_epoch, counts, phase_times, error_count,
            last_error, retries, last_page, created_at, finished_at)
         select (lpad(to_hex(1700000000000 + n * 2 + (state = 'failed')::int), 12, '0') || '7000800000000000'
                  || lpad(to_hex(n), 4, '0'))::uuid,
                p.id, p.id, case when n = 3 then 'garmin' else 'strava' end, 0, 'sync', 'activities', 3, '(,)', state,
                'fetch', '{}', 6, 5, 0, '{}', 1, 6, '{}', '{}', 6,
                jsonb_build_object('code', 'network_error', 'message', 'page ' || n || ' did not come', 'fingerprint', 'f'),
                5, 2, clock_timestamp(), clock_timestamp()
           from people p, lateral (select split_part(p.external_id, '-', 2)::bigint) x(n),
                unnest(array['failed', 'completed']) state",
    )
    .bind(jobs)
    .execute(&**bench)
    .await
    .unwrap();
    sqlx::query("vacuum analyze paceline.sync_history").execute(&**bench).await.unwrap();
}

fn text(text: &str) -> Filter {
    Filter { text: Some(text.to_owned()), ..Filter::default() }
}

async fn page(bench: &Bench, filter: &Filter, within: Range) -> admin_jobs::Page {
    let mut tx = admin_jobs::search(bench).await.unwrap();
    admin_jobs::page(&mut tx, filter, within, 51).await.unwrap()
}

async fn count(bench: &Bench, filter: &Filter) -> i64 {
    let mut tx = admin_jobs::search(bench).await.unwrap();
    admin_jobs::count(&mut tx, filter, Side::Ended, Range::ALL).await.unwrap()
}

#[tokio::test]
async fn a_text_far_back_is_found_page_by_page_and_no_page_looks_at_more_than_it_may() {
    let bench = Bench::new().await;
    let more = 500;
    ended(&bench, LOOKED_AT + more).await;
    // Failed, and neither a user's name nor an id.
    let old = text("page 3 did");
    let first = page(&bench, &old, Range::ALL).await;
    assert!(first.jobs.is_empty(), "{:?}", first.jobs);
    let searched_to = first.searched_to.expect("there is more to search");
    let behind: i64 = sqlx::query_scalar(
        "select count(*) from paceline.sync_history where status = 'failed' and id < $1",
    )
    .bind(searched_to.0)
    .fetch_one(&*bench)
    .await
    .unwrap();
    assert_eq!(behind, more, "the rest");
    let second = page(&bench, &old, Range::older_than(searched_to)).await;
    assert_eq!((second.jobs.len(), second.searched_to), (1, None));
    assert_eq!(second.jobs[0].provider, "garmin");
    // With a provider the window holds only its jobs.
    let filter = Filter { provider: Some(Provider::Garmin), ..old };
    let found = page(&bench, &filter, Range::ALL).await;
    assert_eq!((found.jobs.len(), found.searched_to), (1, None));
    // What an index leads to needs no window.
    let failed = Filter {
        state: Some(JobState::Failed),
        provider: Some(Provider::Garmin),
        ..Filter::default()
    };
    assert_eq!(page(&bench, &failed, Range::ALL).await.searched_to, None);
    assert_eq!(count(&bench, &text("page 3 did")).await, 1, "a count goes through all of them");
}

#[tokio::test]
async fn what_a_text_finds_in_several_places_counts_once() {
    let bench = Bench::new().await;
    ended(&bench, 120).await;
    // A user whose name stands in the messages of others, and in his own.
    sqlx::query("update paceline.users set external_id = 'page 1' where external_id = 'runner-1'")
        .execute(&*bench)
        .await
        .unwrap();
    // Failed: 1, 10 to 19, 100 to 120. His: the failed one, counted already, and the one that went well.
    let filter = text("page 1");
    assert_eq!(count(&bench, &filter).await, 32 + 1);
    assert_eq!(page(&bench, &filter, Range::ALL).await.jobs.len(), 33);
    let failed = Filter { state: Some(JobState::Failed), ..filter };
    assert_eq!(count(&bench, &failed).await, 32);
    // All ids begin so; and it is in no message.
    assert_eq!(count(&bench, &text("018bcf")).await, 240);
    let by_name = Filter { text: Some("runner-2".to_owned()), ..Filter::default() };
    assert_eq!(count(&bench, &by_name).await, 2 * 11, "2 and 20 to 29, each with both");
}
