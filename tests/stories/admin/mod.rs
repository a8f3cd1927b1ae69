//! What staff see and do, through the front door.

mod bulk;
mod jobs;
mod once;
mod rate;
mod steer;

use paceline_api::auth::Role;
use paceline_shared::db::Db;
use paceline_tests::{client::Client, stack::Stack};
use serde_json::Value;

fn admin(stack: &Stack) -> Client {
    stack.staff("ada", Role::Admin)
}

/// The items of a list, of an answer that is one.
async fn items(client: &Client, path: &str) -> Vec<Value> {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.body["items"].as_array().expect("items").clone()
}

/// So many users, each connected and each with a failed sync; of the first `twice` of them with two.
async fn failed_syncs(db: &Db, users: i32, twice: i32) {
    sqlx::query(
        "with people as (
           insert into paceline.users (id, external_id)
           select gen_random_uuid(), 'runner-' || n from generate_series(1, $1) n returning id, external_id),
         links as (
           insert into paceline.connections (id, user_id, provider, provider_account_id)
           select gen_random_uuid(), id, 'strava', external_id from people returning id, user_id, provider_account_id),
         jobs as (
           select l.*, nth, row_number() over (order by nth, provider_account_id) as n
             from links l cross join generate_series(1, 2) nth
            where nth = 1 or split_part(provider_account_id, '-', 2)::int <= $2)
         insert into paceline.sync_history
           (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, status, phase, checkpoint,
            attempt, max_retries, crashes, payload, payload_version, lease_epoch, counts, phase_times, error_count,
            last_error, retries, last_page, created_at, started_at, finished_at, requested_by)
         select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint - 1000000 + n), 12, '0')
                  || '7' || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid,
                user_id, id, 'strava', 0, 'sync', 'activities', 3, '(,)', 'failed', 'fetch',
                '{\"phase\": \"fetch\", \"next_page\": 3}', 6, 5, 0,
                '{\"batchSize\": 200, \"maxRetries\": 5, \"skipWeatherEnrichment\": false, \"includeGeocoding\": true}',
                1, 6, '{}', '{}', 6,
                jsonb_build_object('code', case when n % 2 = 0 then 'network_error' else 'temporary_api_error' end,
                  'message', 'page ' || n || ' did not come', 'phase', 'fetch', 'context', '{}'::jsonb,
                  'at', '2026-01-01T00:00:00Z', 'fingerprint', 'kind-' || n % 2),
                5, 2, clock_timestamp(), clock_timestamp(), clock_timestamp(), 'backend'
           from jobs",
    )
    .bind(users)
    .bind(twice)
    .execute(db)
    .await
    .expect("failed syncs");
}

/// The operation when it is over.
async fn over(client: &Client, operation: &Value) -> Value {
    let id = operation["operationId"].as_str().expect("an id");
    paceline_tests::wait::eventually(
        "the operation ends",
        paceline_tests::stack::SOON,
        async || {
            let now = client.get(&format!("/api/v1/admin/operations/{id}")).await.body;
            now["finishedAt"].is_string().then_some(now)
        },
    )
    .await
}
