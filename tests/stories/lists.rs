//! Lists, filters, cursors, waiting for an answer, answers that are given once.

use paceline_tests::stack::{SOON, Stack, User};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

#[tokio::test]
async fn syncs_are_listed_page_by_page_newest_first() {
    let mut stack = Stack::new().await;
    let ann = stack.user("ann", 3).await;
    let bob = stack.user("bob", 3).await;
    let _worker = stack.worker().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(json!(ann.sync_all(&json!({})).await.sync_id));
    }
    bob.sync_all(&json!({})).await;
    ids.reverse();
    for limit in [1, 3, 7, 50] {
        let listed = ann.client.all("/api/v1/syncs", limit).await;
        let listed: Vec<&Value> = listed.iter().map(|sync| &sync["syncId"]).collect();
        assert_eq!(listed, ids.iter().collect::<Vec<_>>(), "in pages of {limit}");
    }
    let completed = ann.client.get("/api/v1/syncs?status=COMPLETED&provider=strava").await;
    assert_eq!(completed.body["items"].as_array().unwrap().len(), 7);
    let failed = ann.client.get("/api/v1/syncs?status=FAILED").await;
    assert_eq!(failed.body["items"], json!([]));
    let shown = ann.client.get(&format!("/api/v1/syncs/{}", ids[0].as_str().unwrap())).await;
    assert_eq!(shown.body, completed.body["items"][0], "the list shows what the sync shows");
}

#[tokio::test]
async fn activities_are_listed_page_by_page_and_by_every_filter() {
    let mut stack = Stack::new().await;
    let ann = stack.user("ann", 130).await;
    let bob = stack.user("bob", 10).await;
    let _worker = stack.worker().await;
    ann.sync_all(&json!({})).await;
    bob.sync_all(&json!({})).await;
    let all = ann.client.all("/api/v1/activities", 40).await;
    let ids: BTreeSet<&str> = all.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!((all.len(), ids.len()), (130, 130));
    let start = |item: &Value| -> chrono::DateTime<chrono::Utc> {
        item["startAt"].as_str().unwrap().parse().unwrap()
    };
    assert!(all.iter().map(start).rev().is_sorted(), "newest first");
    assert_eq!(ann.client.all("/api/v1/activities", 1).await, all, "whatever the page's size");
    assert!(all.iter().all(|item| item["payload"].is_null()));

    let sport = all[0]["sportType"].as_str().unwrap();
    let of_sport: Vec<_> =
        all.iter().filter(|item| item["sportType"] == json!(sport)).cloned().collect();
    assert_eq!(
        ann.client.all(&format!("/api/v1/activities?sportType={sport}"), 50).await,
        of_sport
    );
    let (from, to) = (start(&all[90]).timestamp(), start(&all[30]).timestamp());
    let within: Vec<_> =
        all.iter().filter(|item| (from..to).contains(&start(item).timestamp())).cloned().collect();
    assert_eq!(
        ann.client.all(&format!("/api/v1/activities?after={from}&before={to}"), 50).await,
        within
    );
    let with_payload = ann.client.get("/api/v1/activities?include=payload&limit=1").await;
    assert_eq!(
        with_payload.body["items"][0]["payload"]["id"].to_string(),
        with_payload.body["items"][0]["providerRecordId"].as_str().unwrap()
    );
    assert_eq!(bob.client.all("/api/v1/activities", 50).await.len(), 10, "his own only");
}

#[tokio::test]
async fn a_cursor_belongs_to_its_list() {
    let mut stack = Stack::new().await;
    let ann = stack.user("ann", 5).await;
    let _worker = stack.worker().await;
    ann.sync_all(&json!({})).await;
    ann.sync_all(&json!({})).await;
    let syncs = ann.client.get("/api/v1/syncs?limit=1").await;
    let cursor = syncs.body["nextCursor"].as_str().unwrap().to_owned();
    for wrong in
        [format!("/api/v1/activities?cursor={cursor}"), "/api/v1/syncs?cursor=nonsense".to_owned()]
    {
        let problem = ann.client.get(&wrong).await.problem();
        assert_eq!(
            (problem.status, problem.kind.as_str()),
            (400, "/problems/invalid-cursor"),
            "{wrong}"
        );
    }
    for wrong in
        ["limit=0", "limit=201", "limit=many", "colour=red", "provider=polar", "status=DONE"]
    {
        let problem = ann.client.get(&format!("/api/v1/syncs?{wrong}")).await.problem();
        assert_eq!(
            (problem.status, problem.kind.as_str()),
            (422, "/problems/invalid-request"),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_wait_ends_as_soon_as_the_sync_does_and_not_much_after_its_time() {
    let mut stack = Stack::new().await;
    let ann = stack.user("ann", 5).await;
    let id = ann.client.start_sync(&json!({})).await;
    let began = Instant::now();
    let sync = ann.client.get(&format!("/api/v1/syncs/{id}?wait=1")).await.sync(200);
    assert_eq!(sync.status, "INITIATED", "nobody works");
    assert!((900..4000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());

    let watch = async {
        let sync = ann.client.get(&format!("/api/v1/syncs/{id}?wait=25")).await.sync(200);
        (sync, Instant::now())
    };
    let work = async {
        let worker = stack.worker().await;
        ann.client.wait_done(id, SOON).await;
        (worker, Instant::now())
    };
    let ((sync, woken), (_worker, done)) = tokio::join!(watch, work);
    assert_eq!(sync.status, "COMPLETED");
    let late = woken.saturating_duration_since(done);
    assert!(late < Duration::from_secs(3), "{late:?} after the end");
    let problem = ann.client.get(&format!("/api/v1/syncs/{id}?wait=26")).await.problem();
    assert_eq!(problem.status, 422);
}

#[tokio::test]
async fn an_idempotency_key_is_answered_once_and_the_same_again() {
    let stack = Stack::new().await;
    let ann = stack.user("ann", 5).await;
    let bob = stack.user("bob", 5).await;
    let body = json!({ "provider": "strava", "jobType": "activities" });
    let ask = async |client: &paceline_tests::client::Client, key: &str, body: &Value| {
        let request =
            client.request(Method::POST, "/api/v1/syncs").header("Idempotency-Key", key).json(body);
        client.send(request).await
    };
    let first = ask(&ann.client, "one", &body).await;
    let id = first.sync(202).sync_id;
    assert_eq!(first.headers["location"], format!("/api/v1/syncs/{id}"));
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let again = ask(&ann.client, "one", &body).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    let other =
        json!({ "provider": "strava", "jobType": "activities", "options": { "batchSize": 5 } });
    let problem = ask(&ann.client, "one", &other).await.problem();
    assert_eq!((problem.status, problem.kind.as_str()), (422, "/problems/idempotency-key-reused"));
    let problem = ask(&ann.client, "two", &body).await.problem();
    assert_eq!(
        (problem.status, problem.sync_id),
        (409, Some(id)),
        "another key is another request"
    );
    assert_eq!(ask(&bob.client, "one", &body).await.status, 202, "keys are each user's own");
    for wrong in ["", &"x".repeat(256)] {
        assert_eq!(ask(&ann.client, wrong, &body).await.problem().status, 422, "{wrong:?}");
    }
    let many = futures::future::join_all((0..10).map(|_| ask(&ann.client, "one", &body))).await;
    assert!(many.iter().all(|answer| answer.status == 202 && answer.body == first.body));
}

/// Stores values and days of a user as a sync would: seven weighings, two of them at one instant, and seven nights.
async fn store_values(stack: &Stack, user: &User) {
    for statement in [
        "insert into paceline.measurements
           (id, user_id, connection_id, provider, stream, provider_record_id, type, sync_job_id, value, unit, measured_at,
            measured_local, payload, content_hash)
         select gen_random_uuid(), $1, $2, 'withings', 'measures', n::text,
                case when n % 2 = 0 then 'weight' else 'body_fat' end, gen_random_uuid(), 70 + n * 0.250, 'kg',
                timestamptz '2026-05-01 06:00Z' + (n / 2) * interval '1 hour', timestamp '2026-05-01 08:00',
                '{\"grpid\": 1}', ''
           from generate_series(1, 7) n",
        "insert into paceline.daily_summaries
           (id, user_id, connection_id, provider, stream, provider_record_id, sync_job_id, kind, day, steps, asleep_s, payload,
            content_hash)
         select gen_random_uuid(), $1, $2, 'garmin', 'days', n::text, gen_random_uuid(),
                case when n % 2 = 0 then 'activity' else 'sleep' end, date '2026-05-01' + n / 2, n * 100,
                case when n % 2 = 1 then 27000 end, '{}', ''
           from generate_series(1, 7) n",
        // What the provider no longer has is not listed.
        "insert into paceline.measurements
           (id, user_id, connection_id, provider, stream, provider_record_id, type, sync_job_id, value, unit, measured_at,
            measured_local, payload, content_hash, deleted_at)
         select gen_random_uuid(), $1, $2, 'withings', 'measures', 'gone', 'weight', gen_random_uuid(), 1, 'kg',
                now(), now(), '{}', '', now()",
    ] {
        sqlx::query(statement)
            .bind(user.id.0)
            .bind(user.connection.0)
            .execute(&*stack.db)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn values_and_days_are_listed_page_by_page_and_by_every_filter() {
    let stack = Stack::new().await;
    let (ann, bob) = (stack.user("ann", 0).await, stack.user("bob", 0).await);
    store_values(&stack, &ann).await;
    let count = async |path: &str| {
        let answer = ann.client.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.body["items"].as_array().unwrap().len()
    };
    for path in ["/api/v1/measurements", "/api/v1/daily-summaries"] {
        let whole = ann.client.all(path, 50).await;
        assert_eq!(whole.len(), 7, "{path}");
        for limit in [1, 2, 3, 7] {
            assert_eq!(ann.client.all(path, limit).await, whole, "{path} in pages of {limit}");
        }
        assert!(bob.client.all(path, 50).await.is_empty(), "{path}");
        assert!(whole[0].get("payload").is_none());
        let with = ann.client.get(&format!("{path}?include=payload&limit=1")).await;
        assert!(with.body["items"][0]["payload"].is_object(), "{path}");
    }
    for (path, expected) in [
        ("/api/v1/measurements?type=weight", 3),
        ("/api/v1/measurements?type=height", 0),
        ("/api/v1/measurements?provider=withings", 7),
        ("/api/v1/measurements?provider=garmin", 0),
        // 07:00 and 08:00 of 1 May 2026.
        ("/api/v1/measurements?after=1777618800&before=1777622400", 2),
        ("/api/v1/daily-summaries?kind=sleep", 4),
        ("/api/v1/daily-summaries?provider=withings", 0),
        ("/api/v1/daily-summaries?from=2026-05-02&to=2026-05-04", 4),
        ("/api/v1/daily-summaries?from=2026-05-02&kind=activity", 3),
    ] {
        assert_eq!(count(path).await, expected, "{path}");
    }
    let exact = ann.client.get("/api/v1/measurements?type=weight&limit=1").await;
    assert!(exact.text.contains("\"value\":71.500,"), "{}", exact.text);
    let night = ann.client.get("/api/v1/daily-summaries?kind=sleep&limit=1").await;
    let night = &night.body["items"][0];
    assert_eq!((&night["day"], &night["asleepS"]), (&json!("2026-05-04"), &json!(27_000)));
    assert_eq!(night["distanceM"], Value::Null, "what is not told is null");
}
