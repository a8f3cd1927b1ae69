//! Single records that are broken or odd.

use paceline_simulator::StartRange;
use paceline_tests::{stack::Stack, truth};
use serde_json::{Value, json};

/// Patches that make a record which cannot be stored.
const BROKEN: [(&str, &str); 6] = [
    ("a NUL in its name", r#"{"name":"a\u0000b"}"#),
    ("a distance in words", r#"{"distance":"far"}"#),
    ("a sport that is a list", r#"{"sport_type":["Run"],"type":["Run"]}"#),
    ("no start", r#"{"start_date":null}"#),
    ("a start on no calendar", r#"{"start_date":"2023-02-30T10:00:00Z"}"#),
    ("a moving time that is an object", r#"{"moving_time":{"s":5}}"#),
];

#[tokio::test]
async fn a_record_that_cannot_be_stored_fails_alone_with_its_reason() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 260).await;
    let page =
        stack.world().activities(user.athlete, StartRange::default(), 0, usize::MAX).unwrap();
    let id = |n: usize| -> u64 {
        let activity: Value = serde_json::from_str(page.activities[n].get()).unwrap();
        activity["id"].as_u64().unwrap()
    };
    let mut broken = Vec::new();
    for (n, (what, patch)) in BROKEN.iter().enumerate() {
        let id = id(20 + 37 * n);
        stack.world().edit_activity(user.athlete, id, patch).unwrap();
        broken.push((id.to_string(), *what));
    }
    let _worker = stack.worker().await;
    let done = user.sync_all(&json!({})).await;
    let store = done.results.unwrap().store;
    assert_eq!((store.saved, store.failed), (260 - BROKEN.len(), BROKEN.len()));
    assert_eq!(done.progress.processed_activities, 260, "failed ones are through as well");

    let stored: Vec<String> = truth::stored(&stack.db, &user)
        .await
        .into_iter()
        .map(|row| row.provider_record_id)
        .collect();
    assert_eq!(stored.len(), 260 - BROKEN.len());
    for (id, what) in &broken {
        assert!(!stored.contains(id), "{what}");
    }

    // Page after page, in the provider's order, each with its reason.
    let failures = user.client.all(&format!("/api/v1/syncs/{}/failures", done.sync_id), 2).await;
    assert_eq!(failures.len(), BROKEN.len());
    for (id, what) in &broken {
        let failure = failures.iter().find(|failure| failure["providerRecordId"] == json!(id));
        let failure = failure.unwrap_or_else(|| panic!("{what} is not listed: {failures:?}"));
        assert!(!failure["message"].as_str().unwrap().is_empty(), "{what}: {failure}");
        assert!(
            ["unreadable", "refused"].contains(&failure["code"].as_str().unwrap()),
            "{what}: {failure}"
        );
    }
    let place = |failure: &Value| (failure["page"].as_i64(), failure["position"].as_i64());
    assert!(failures.iter().map(place).is_sorted(), "{failures:?}");

    // Mended at the provider, they are stored by the next sync.
    for (id, _) in &broken {
        let mended = r#"{"name":"fine","distance":5.0,"sport_type":"Run","type":"Run","start_date":"2024-05-05T05:05:05Z","moving_time":5}"#;
        stack.world().edit_activity(user.athlete, id.parse().unwrap(), mended).unwrap();
    }
    let store = user.sync_all(&json!({})).await.results.unwrap().store;
    assert_eq!((store.saved, store.skipped, store.failed), (BROKEN.len(), 260 - BROKEN.len(), 0));
}

#[tokio::test]
async fn odd_values_that_mean_something_are_kept_as_they_are() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 12).await;
    let page =
        stack.world().activities(user.athlete, StartRange::default(), 0, usize::MAX).unwrap();
    let patches = [
        r#"{"sport_type":"UnderwaterHockey"}"#,
        r#"{"start_latlng":[],"end_latlng":[]}"#,
        r#"{"start_latlng":null,"end_latlng":null}"#,
        r#"{"upload_id":123456789012345678901,"external_id":"x"}"#,
        r#"{"name":"🏃 عربي 'quote' \"double\" \\ back"}"#,
        r#"{"name":""}"#,
    ];
    for (raw, patch) in page.activities.iter().zip(patches) {
        let activity: Value = serde_json::from_str(raw.get()).unwrap();
        stack.world().edit_activity(user.athlete, activity["id"].as_u64().unwrap(), patch).unwrap();
    }
    let _worker = stack.worker().await;
    assert_eq!(user.sync_all(&json!({})).await.results.unwrap().store.saved, 12);
    stack.assert_true(&user, truth::WHOLE).await;
}
