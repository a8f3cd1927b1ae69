//! Trouble at any request: an error is never an empty answer.

use paceline_simulator::{Config, Fault, FaultRule, Provider};
use paceline_tests::{
    rows,
    stack::{ACTIVITIES, SOON, Stack, WorkerSetup},
    truth::{BARE, WHOLE},
};
use serde_json::json;
use std::time::Duration;

/// Every way in which one answer can go wrong and the next be right.
fn passing_trouble() -> Vec<(&'static str, Fault)> {
    let status = |code, html| Fault::Status { code, html, day: false };
    vec![
        ("500", status(500, false)),
        ("502 with HTML", status(502, true)),
        ("503", status(503, false)),
        ("200 with HTML", Fault::Html),
        ("half the JSON", Fault::Truncate),
        ("closed in the middle", Fault::Close),
        ("reset", Fault::Reset),
        ("reset after it was carried out", Fault::LoseAnswer),
        ("stalled, then reset", Fault::Stall { seconds: 0.3 }),
    ]
}

#[tokio::test]
async fn trouble_at_any_page_request_neither_ends_a_sync_early_nor_loses_anything() {
    // Pages of 200, 10 and the empty one that ends it: the first, one in the middle, the last.
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let _worker = stack.worker_with(WorkerSetup { slots: 8, ..WorkerSetup::default() }).await;
    let mut syncs = Vec::new();
    for (name, fault) in passing_trouble() {
        for page in 1..=3 {
            let user = stack.user(&format!("{name}, page {page}"), 210).await;
            let rule = FaultRule {
                path: Some(ACTIVITIES.to_owned()),
                athlete: Some(user.athlete),
                page: Some(page),
                count: Some(1),
                ..FaultRule::new(fault.clone())
            };
            let rule = stack.world().add_fault(rule).unwrap();
            let bare = json!({ "skipWeatherEnrichment": true, "includeGeocoding": false });
            syncs.push((
                format!("{name}, page {page}"),
                rule,
                user.client.start_sync(&bare).await,
                user,
            ));
        }
    }
    for (name, rule, id, user) in syncs {
        let done = user.client.wait_done(id, SOON * 2).await;
        stack.struck(rule, 1).await;
        assert_eq!((done.attempt, done.results.unwrap().fetch.total_fetched), (1, 210), "{name}");
        assert_eq!(stack.assert_true(&user, BARE).await.records, 210, "{name}");
    }
    assert_eq!(rows::number(&stack.db, "select count(*) from paceline.sync_attempts").await, 0);
    assert_eq!(
        rows::number(
            &stack.db,
            "select count(*) from paceline.activities where deleted_at is not null"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn trouble_at_any_weather_request_leaves_no_record_without_its_weather() {
    let mut stack = Stack::new().await;
    let _worker = stack.worker().await;
    for (turn, (name, fault)) in passing_trouble().into_iter().enumerate() {
        let user = stack.user(name, 60).await;
        let rule = FaultRule {
            provider: Some(Provider::OpenMeteo),
            // The first request, or one further on.
            nth: Some(1 + turn as u64 % 2),
            count: Some(1),
            ..FaultRule::new(fault)
        };
        let rule = stack.world().add_fault(rule).unwrap();
        user.sync_all(&json!({})).await;
        stack.assert_true(&user, WHOLE).await;
        let _spent = stack.world().remove_fault(rule);
    }
}

#[tokio::test]
async fn trouble_that_outlives_the_retries_of_a_call_costs_an_attempt_and_no_page() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let user = stack.user("ann", 410).await;
    let rule = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(2),
        count: Some(5),
        ..FaultRule::new(Fault::Status { code: 500, html: false, day: false })
    };
    stack.world().add_fault(rule).unwrap();
    let _worker = stack.worker_with(WorkerSetup { http_tries: 3, ..WorkerSetup::default() }).await;
    let id = user.client.start_sync(&json!({})).await;
    let done = user.client.wait_done(id, SOON).await;
    assert_eq!(done.attempt, 2);
    stack.assert_true(&user, WHOLE).await;
    let first_page = stack.page_requests(user.athlete).iter().filter(|e| e.page == Some(1)).count();
    assert_eq!(first_page, 1, "what was staged is not fetched again");
    let report: (String, String, i16, bool) = sqlx::query_as(
        "select code, phase, attempt, resolved_at is not null from paceline.sync_attempts",
    )
    .fetch_one(&*stack.db)
    .await
    .unwrap();
    assert_eq!(report, ("temporary_api_error".to_owned(), "fetch".to_owned(), 1, true));
}

#[tokio::test]
async fn an_answer_that_never_comes_is_not_waited_for_for_ever() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let user = stack.user("ann", 210).await;
    let rule = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(2),
        count: Some(1),
        ..FaultRule::new(Fault::Stall { seconds: 120.0 })
    };
    stack.world().add_fault(rule).unwrap();
    let setup = WorkerSetup { http_idle_timeout: Duration::from_secs(2), ..WorkerSetup::default() };
    let _worker = stack.worker_with(setup).await;
    user.sync_all(&json!({})).await;
    stack.assert_true(&user, WHOLE).await;
}

#[tokio::test]
async fn a_flaky_world_changes_nothing_but_the_time_it_takes() {
    let mut stack = Stack::new().await;
    let mut syncs = Vec::new();
    for n in 0..3 {
        let user = stack.user(&format!("user-{n}"), 450).await;
        let id = user.client.start_sync(&json!({ "maxRetries": 20 })).await;
        syncs.push((user, id));
    }
    stack.world().make_flaky(0.1).unwrap();
    let (_one, _two) = (stack.worker().await, stack.worker().await);
    for (user, id) in syncs {
        user.client.wait_done(id, SOON * 2).await;
        stack
            .assert_true(&user, paceline_tests::truth::Expect { weather: false, places: true })
            .await;
    }
}
