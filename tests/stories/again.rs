//! Syncs after the first: nothing twice, edits, late uploads.

use paceline_simulator::StartRange;
use paceline_tests::{
    stack::{Stack, User},
    truth::{self, WHOLE},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

async fn versions(stack: &Stack, user: &User) -> BTreeMap<String, (i32, uuid::Uuid)> {
    let rows = truth::stored(&stack.db, user).await;
    rows.into_iter().map(|row| (row.provider_record_id, (row.version, row.sync_job_id))).collect()
}

fn ids(stack: &Stack, user: &User) -> Vec<u64> {
    let page =
        stack.world().activities(user.athlete, StartRange::default(), 0, usize::MAX).unwrap();
    let read =
        |raw: &serde_json::value::RawValue| -> Value { serde_json::from_str(raw.get()).unwrap() };
    page.activities.iter().map(|raw| read(raw)["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_second_sync_of_the_same_range_stores_nothing_new() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 320).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let before = versions(&stack, &user).await;
    let weather_calls =
        stack.world().log(0, usize::MAX).iter().filter(|e| e.path.contains("open-meteo")).count();

    let again = user.sync_all(&json!({})).await;
    let store = again.results.unwrap().store;
    assert_eq!((store.saved, store.updated, store.skipped, store.failed), (0, 0, 320, 0));
    assert_eq!(versions(&stack, &user).await, before);
    stack.assert_true(&user, WHOLE).await;
    let calls_now =
        stack.world().log(0, usize::MAX).iter().filter(|e| e.path.contains("open-meteo")).count();
    assert_eq!(calls_now, weather_calls, "the weather is known already");
}

#[tokio::test]
async fn an_edit_raises_the_version_and_a_late_upload_appears() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 250).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let before = versions(&stack, &user).await;

    let ids = ids(&stack, &user);
    let edited = [ids[3], ids[120]];
    for (id, patch) in
        [(ids[3], r#"{"name":"Morning, renamed"}"#), (ids[120], r#"{"distance":12345.6}"#)]
    {
        stack.world().edit_activity(user.athlete, id, patch).unwrap();
    }
    let long_ago = chrono::Utc::now() - chrono::Duration::days(400);
    stack.world().add_activity(user.athlete, long_ago, Some(r#"{"name":"Late"}"#)).unwrap();

    let again = user.sync_all(&json!({})).await;
    let store = again.results.unwrap().store;
    assert_eq!((store.saved, store.updated, store.skipped), (1, 2, 248));
    assert_eq!(stack.assert_true(&user, WHOLE).await.records, 251);
    for (id, (version, sync)) in versions(&stack, &user).await {
        let is_edited = edited.iter().any(|edited| edited.to_string() == id);
        match before.get(&id) {
            None => assert_eq!((version, sync), (1, again.sync_id), "{id}: the late one"),
            Some(_) if is_edited => assert_eq!((version, sync), (2, again.sync_id), "{id}"),
            Some(old) => assert_eq!((version, sync), *old, "{id} was not touched"),
        }
    }
}

#[tokio::test]
async fn an_activity_that_moved_loses_the_weather_and_place_of_where_it_was() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 30).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let rows = truth::stored(&stack.db, &user).await;
    let moved = rows.iter().find(|row| row.start_lat.is_some()).unwrap();
    let id: u64 = moved.provider_record_id.parse().unwrap();
    // To Quito.
    let patch = r#"{"start_latlng":[-0.22,-78.51],"end_latlng":[-0.22,-78.51]}"#;
    stack.world().edit_activity(user.athlete, id, patch).unwrap();
    user.sync_all(&json!({})).await;
    stack.assert_true(&user, WHOLE).await;
    let rows = truth::stored(&stack.db, &user).await;
    let now = rows.iter().find(|row| row.provider_record_id == moved.provider_record_id).unwrap();
    assert_eq!((now.country.as_deref(), now.version), (Some("EC"), 2));

    let gone = r#"{"start_latlng":[],"end_latlng":null}"#;
    stack.world().edit_activity(user.athlete, id, gone).unwrap();
    user.sync_all(&json!({})).await;
    stack.assert_true(&user, WHOLE).await;
    let rows = truth::stored(&stack.db, &user).await;
    let now = rows.iter().find(|row| row.provider_record_id == moved.provider_record_id).unwrap();
    assert_eq!(
        (now.weather_status.as_str(), &now.country, now.version),
        ("not_locatable", &None, 3)
    );
}

#[tokio::test]
async fn two_users_at_once_get_each_their_own_records() {
    let mut stack = Stack::new().await;
    let ann = stack.user("ann", 60).await;
    let bob = stack.user("bob", 40).await;
    let _worker = stack.worker().await;
    let (a, b) = tokio::join!(async { ann.client.start_sync(&json!({})).await }, async {
        bob.client.start_sync(&json!({})).await
    });
    ann.client.wait_done(a, paceline_tests::stack::SOON).await;
    bob.client.wait_done(b, paceline_tests::stack::SOON).await;
    assert_eq!(stack.assert_true(&ann, WHOLE).await.records, 60);
    assert_eq!(stack.assert_true(&bob, WHOLE).await.records, 40);
}
