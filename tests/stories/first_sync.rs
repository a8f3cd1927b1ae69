//! A first sync: everything the provider holds, nothing else, and true progress on the way.

use paceline_simulator::StartRange;
use paceline_tests::{
    client::Sync,
    stack::{SOON, Stack},
    truth::WHOLE,
    wait::eventually,
};
use serde_json::json;

#[tokio::test]
async fn a_first_sync_stores_exactly_what_the_provider_holds() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 650).await;
    let _worker = stack.worker().await;
    let done = user.sync_all(&json!({})).await;

    let world = stack.world().athlete(user.athlete, StartRange::default()).unwrap();
    let tally = stack.assert_true(&user, WHOLE).await;
    assert_eq!(tally.records, 650);
    assert_eq!((tally.weather, tally.places), (world.locatable, world.geocodable));
    assert!(world.locatable < 650 && world.geocodable > 0, "there is something to tell apart");

    assert_eq!((done.status.as_str(), done.attempt, done.progress.percent), ("COMPLETED", 1, 100));
    assert_eq!(
        (done.progress.total_activities, done.progress.processed_activities),
        (Some(650), 650)
    );
    assert!(done.waiting.is_none() && done.error.is_none(), "{done:?}");
    let results = done.results.unwrap();
    assert_eq!(results.fetch.total_fetched, 650);
    assert_eq!((results.fetch.filtered_count, results.fetch.duplicates_skipped), (0, 0));
    assert_eq!(
        (results.enrich.weather_enriched, results.enrich.geocoded),
        (tally.weather, tally.places)
    );
    assert_eq!((results.enrich.failed, results.enrich.skipped), (0, 650 - world.locatable));
    assert_eq!((results.store.saved, results.store.updated), (650, 0));
    assert_eq!((results.store.skipped, results.store.failed), (0, 0));
    for phase in ["fetching", "enriching", "storing"] {
        let view = &done.progress.phase_progress[phase];
        assert_eq!(
            (&view["status"], &view["processed"]),
            (&json!("completed"), &json!(650)),
            "{phase}"
        );
        assert!(view["startTime"].is_string() && view["endTime"].is_string(), "{phase}: {view}");
    }

    assert_eq!(
        stack.page_requests(user.athlete).len(),
        world.pages_of_200 + 1,
        "one empty page ends it"
    );
    assert_eq!(stack.repeated_pages(user.athlete), 0);
    let version: (i64, i64) =
        sqlx::query_as("select count(*), count(*) filter (where version = 1 and sync_job_id = $1) from paceline.activities")
            .bind(done.sync_id)
            .fetch_one(&*stack.db)
            .await
            .unwrap();
    assert_eq!(version, (650, 650));
}

#[tokio::test]
async fn progress_never_goes_backwards_and_its_row_ends_as_completed() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 500).await;
    let id = user.client.start_sync(&json!({ "batchSize": 10 })).await;
    let queued = user.client.sync(id).await;
    assert_eq!((queued.status.as_str(), queued.progress.percent), ("INITIATED", 0));

    let _worker = stack.worker().await;
    let mut seen: Vec<(Sync, i16, i64)> = Vec::new();
    eventually("the sync ends", SOON, async || {
        let (percent, rev): (i16, i64) =
            sqlx::query_as("select percent, rev from public.sync_progress where id = $1")
                .bind(id)
                .fetch_one(&*stack.db)
                .await
                .unwrap();
        let sync = user.client.sync(id).await;
        let is_over = sync.is_over();
        seen.push((sync, percent, rev));
        is_over.then_some(())
    })
    .await;

    for pair in seen.windows(2) {
        let [(before, row_before, rev_before), (after, row_after, rev_after)] = pair else {
            continue;
        };
        assert!(before.progress.percent <= after.progress.percent, "{before:?} then {after:?}");
        assert!(row_before <= row_after && rev_before <= rev_after, "{pair:?}");
        assert!(before.progress.processed_activities <= after.progress.processed_activities);
    }
    let mut words: Vec<&str> = seen.iter().map(|(sync, ..)| sync.status.as_str()).collect();
    words.dedup();
    let order =
        ["INITIATED", "FETCHING_ACTIVITIES", "ENRICHING_WEATHER", "STORING_DATA", "COMPLETED"];
    let places: Vec<_> =
        words.iter().map(|word| order.iter().position(|known| known == word)).collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{words:?}");
    assert!(words.contains(&"STORING_DATA"), "fifty batches can be seen: {words:?}");

    let row: (String, i16, bool, bool) = sqlx::query_as(
        "select status, percent, finished_at is not null, waiting is null and error is null
           from public.sync_progress where id = $1",
    )
    .bind(id)
    .fetch_one(&*stack.db)
    .await
    .unwrap();
    assert_eq!(row, ("completed".to_owned(), 100, true, true));
}

#[tokio::test]
async fn a_range_is_read_exactly_with_both_its_borders() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 300).await;
    let _worker = stack.worker().await;
    let starts: Vec<i64> = stack
        .world()
        .activities(user.athlete, StartRange::default(), 0, 300)
        .unwrap()
        .activities
        .iter()
        .map(|raw| {
            let activity: serde_json::Value = serde_json::from_str(raw.get()).unwrap();
            activity["start_date"]
                .as_str()
                .unwrap()
                .parse::<chrono::DateTime<chrono::Utc>>()
                .unwrap()
        })
        .map(|start| start.timestamp())
        .collect();
    // At or after the first border, before the second.
    let (after, before) = (starts[100], starts[200]);
    let body = json!({ "provider": "strava", "jobType": "activities",
        "timeRange": { "after": after, "before": before },
        "options": { "skipWeatherEnrichment": true } });
    let id = user.client.post("/api/v1/syncs", &body).await.sync(202).sync_id;
    user.client.wait_done(id, SOON).await;
    let stored: Vec<i64> = sqlx::query_scalar(
        "select extract(epoch from start_at)::bigint from paceline.activities order by start_at, provider_record_id",
    )
    .fetch_all(&*stack.db)
    .await
    .unwrap();
    let expected: Vec<i64> =
        starts.into_iter().filter(|start| (after..before).contains(start)).collect();
    assert_eq!(stored, expected);
}
