//! Notifications that do not arrive: it is found out, what depends on them is polled for meanwhile, and
//! they are used again as soon as they do.

use paceline_simulator::{Config, Fault, FaultRule};
use paceline_tests::{
    client::Client,
    database::TestDb,
    process::Process,
    proxy::Proxy,
    rows,
    stack::{ACTIVITIES, SOON, Stack},
    wait::until,
};
use serde_json::json;
use std::time::{Duration, Instant};

/// Within which a process knows that it does not hear.
const NOTICED: Duration = Duration::from_secs(10);

/// Whether a process says that notifications reach it.
async fn hears(process: &Process) -> bool {
    let client = Client::new(format!("http://{}", process.address()), None);
    let text = client.get("/metrics").await.text;
    text.lines().any(|line| line == "paceline_notify_listening 1")
}

async fn row_says(stack: &Stack, listening: bool) {
    until("the worker's row says so", SOON, async || {
        let rows = sqlx::query_scalar::<_, bool>("select listening from paceline.workers");
        rows.fetch_one(&*stack.db).await.is_ok_and(|says| says == listening)
    })
    .await;
}

#[tokio::test]
async fn a_listener_that_fell_silent_is_noticed_and_replaced() {
    let db = TestDb::new().await;
    let proxy = Proxy::start(db.url()).await;
    let way = vec!["--database-url".to_owned(), proxy.url()];
    let mut stack = Stack::over(db, Config::default(), way).await;
    let worker = stack.worker().await;
    until("both hear", NOTICED, async || hears(&worker).await && hears(&stack.api).await).await;
    row_says(&stack, true).await;

    let listeners: Vec<_> = proxy.links().into_iter().filter(|link| link.listens()).collect();
    assert_eq!(listeners.len(), 2, "one a process");
    for link in &listeners {
        link.silence();
    }
    let began = Instant::now();
    until("both know that they do not hear", NOTICED, async || {
        !hears(&worker).await && !hears(&stack.api).await
    })
    .await;
    assert!(began.elapsed() > Duration::from_secs(4), "one late echo is no reason");
    until("both hear again", NOTICED, async || hears(&worker).await && hears(&stack.api).await)
        .await;
    row_says(&stack, true).await;
    let user = stack.user("ann", 5).await;
    user.sync_all(&json!({})).await;
}

#[tokio::test]
async fn where_notifications_never_arrive_work_and_cancels_are_found_by_looking_more_often() {
    let db = TestDb::new().await;
    // Whoever listens in another database is told nothing, and no error either.
    let elsewhere = TestDb::new().await;
    let way =
        ["--database-url", db.url(), "--database-pooler", "--database-direct-url", elsewhere.url()];
    let way = way.map(str::to_owned).to_vec();
    let mut stack = Stack::over(db, Config::default(), way).await;
    let worker = stack.worker().await;
    row_says(&stack, false).await;
    let user = stack.user("ann", 450).await;
    let mut waits = Vec::new();
    for _ in 0..5 {
        user.sync_all(&json!({ "skipWeatherEnrichment": true })).await;
        let wait: f64 = sqlx::query_scalar(
            "select extract(epoch from started_at - created_at)::float8 from paceline.sync_history
              order by created_at desc limit 1",
        )
        .fetch_one(&*stack.db)
        .await
        .unwrap();
        waits.push(wait);
    }
    waits.sort_by(f64::total_cmp);
    assert!(waits[2] < 0.5, "a quarter of the usual pause: {waits:?}");

    let hang = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(2),
        ..FaultRule::new(Fault::Stall { seconds: 60.0 })
    };
    let hang = stack.world().add_fault(hang).unwrap();
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(hang, 1).await;
    let began = Instant::now();
    user.client.cancel_sync(id).await;
    until("its worker has let go", SOON, async || {
        rows::run(&stack.db, id).await.is_some_and(|run| run.state == "cancelled")
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(!hears(&worker).await && !hears(&stack.api).await, "and nobody was misled");
}
