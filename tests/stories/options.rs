//! What a caller may choose about a sync.

use paceline_simulator::StartRange;
use paceline_tests::{
    rows,
    stack::Stack,
    truth::{self, BARE, Expect, WHOLE},
};
use serde_json::json;

#[tokio::test]
async fn other_sport_types_are_counted_and_left_out() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 300).await;
    let _worker = stack.worker().await;
    let types = stack.world().athlete(user.athlete, StartRange::default()).unwrap().sport_types;
    let (wanted, many) = types.iter().max_by_key(|(_, count)| **count).unwrap();
    assert!(*many < 300, "there are others: {types:?}");
    let done = user.sync_all(&json!({ "activityTypes": [wanted] })).await;
    let results = done.results.unwrap();
    assert_eq!((results.fetch.total_fetched, results.fetch.filtered_count), (300, 300 - many));
    assert_eq!((results.store.saved, results.store.failed), (*many, 0));
    let stored = truth::stored(&stack.db, &user).await;
    assert_eq!(stored.len(), *many);
    assert!(stored.iter().all(|row| row.sport_type == *wanted));

    // What was left out comes with the next sync that wants it.
    let rest = user.sync_all(&json!({})).await.results.unwrap().store;
    assert_eq!((rest.saved, rest.skipped), (300 - many, *many));
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn weather_and_places_are_left_out_when_nobody_wants_them_and_come_later() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 210).await;
    let _worker = stack.worker().await;
    let bare = json!({ "skipWeatherEnrichment": true, "includeGeocoding": false });
    let results = user.sync_all(&bare).await.results.unwrap();
    assert_eq!((results.enrich.weather_enriched, results.enrich.geocoded), (0, 0));
    assert_eq!((results.enrich.failed, results.enrich.skipped), (0, 210));
    stack.assert_true(&user, BARE).await;
    let statuses = "select count(*) from paceline.activities where weather_status = 'skipped' and place_status = 'skipped'";
    assert_eq!(rows::number(&stack.db, statuses).await, 210);
    let weather_calls =
        stack.world().log(0, usize::MAX).iter().filter(|e| e.path.contains("open-meteo")).count();
    assert_eq!(weather_calls, 0);

    let world = stack.world().athlete(user.athlete, StartRange::default()).unwrap();
    let whole = user.sync_all(&json!({})).await.results.unwrap();
    assert_eq!(whole.enrich.weather_enriched, world.locatable);
    let tally = stack.assert_true(&user, WHOLE).await;
    assert_eq!((tally.weather, tally.places), (world.locatable, world.geocodable));
    assert_eq!(
        rows::number(&stack.db, "select max(version)::bigint from paceline.activities").await,
        1
    );

    // And what is known is not forgotten by a sync that did not want it.
    user.sync_all(&bare).await;
    let tally = stack.assert_true(&user, Expect { weather: true, places: false }).await;
    assert_eq!((tally.weather, tally.places), (world.locatable, world.geocodable));
}

#[tokio::test]
async fn small_batches_store_the_same() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 205).await;
    let _worker = stack.worker().await;
    let done = user.sync_all(&json!({ "batchSize": 7 })).await;
    assert_eq!(done.results.unwrap().store.saved, 205);
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn an_athlete_without_activities_is_synced_too() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 0).await;
    let _worker = stack.worker().await;
    let done = user.sync_all(&json!({})).await;
    assert_eq!((done.progress.percent, done.results.unwrap().store.saved), (100, 0));
    assert_eq!(stack.page_requests(user.athlete).len(), 1);
}
