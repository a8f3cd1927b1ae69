//! What is left of a failed attempt: a report that says all, in groups of one kind.

use paceline_simulator::{Config, Fault, FaultRule};
use paceline_tests::{
    rows::number,
    stack::{ACTIVITIES, SOON, Stack, User, WorkerSetup},
};
use serde_json::{Value, json};
use uuid::Uuid;

#[derive(Debug, sqlx::FromRow)]
struct Report {
    job_id: Uuid,
    user_id: Uuid,
    provider: String,
    job_type: String,
    attempt: i16,
    phase: String,
    code: String,
    message: String,
    context: Value,
    resolved: bool,
    fingerprint: String,
}

async fn reports(stack: &Stack, user: &User) -> Vec<Report> {
    sqlx::query_as(
        "select job_id, user_id, provider, job_type, attempt, phase, code, message, context,
                resolved_at is not null as resolved, fingerprint
           from paceline.sync_attempts where user_id = $1 order by at",
    )
    .bind(user.id.0)
    .fetch_all(&*stack.db)
    .await
    .unwrap()
}

fn refuse_page(athlete: u64, page: u32, code: u16) -> FaultRule {
    FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        athlete: Some(athlete),
        page: Some(page),
        ..FaultRule::new(Fault::Status { code, html: false, day: false })
    }
}

#[tokio::test]
async fn failures_of_one_kind_have_one_fingerprint_and_their_reports_say_all() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let _worker = stack.worker_with(WorkerSetup { http_tries: 2, ..WorkerSetup::default() }).await;
    let mut prints = Vec::new();
    // Ann and Bea meet the same on another page, Cyd something else.
    for (name, page, code) in [("ann", 1, 500), ("bea", 2, 500), ("cyd", 2, 503)] {
        let user = stack.user(name, 210).await;
        let rule = stack.world().add_fault(refuse_page(user.athlete, page, code)).unwrap();
        let id = user.client.start_sync(&json!({ "maxRetries": 1 })).await;
        let failed = user.client.wait_over(id, SOON).await;
        assert_eq!(failed.status, "FAILED", "{name}");
        let found = reports(&stack, &user).await;
        assert_eq!(found.iter().map(|r| r.attempt).collect::<Vec<_>>(), [1, 2]);
        for report in &found {
            assert_eq!((report.job_id, report.user_id), (id, user.id.0));
            assert_eq!(
                (report.provider.as_str(), report.job_type.as_str()),
                ("strava", "activities")
            );
            assert_eq!(
                (report.phase.as_str(), report.code.as_str()),
                ("fetch", "temporary_api_error")
            );
            assert!(!report.message.is_empty() && !report.resolved, "{report:?}");
            let context = &report.context;
            assert_eq!(context["page"], page, "{context}");
            assert_eq!(
                (&context["httpStatus"], &context["tries"]),
                (&json!(code), &json!(2)),
                "{context}"
            );
            assert!(context["endpoint"].as_str().unwrap().contains("activities"), "{context}");
            assert_eq!(report.fingerprint, found[0].fingerprint);
        }
        let kept: Option<String> = sqlx::query_scalar(
            "select last_error ->> 'fingerprint' from paceline.sync_history where id = $1",
        )
        .bind(id)
        .fetch_one(&*stack.db)
        .await
        .unwrap();
        assert_eq!(kept.as_ref(), Some(&found[0].fingerprint));
        assert_eq!(found[0].fingerprint.len(), 16);
        prints.push(found[0].fingerprint.clone());
        // A later attempt that completes resolves what was reported.
        let _gone = stack.world().remove_fault(rule);
        if name == "ann" {
            assert_eq!(user.client.retry_sync(id).await.status, 202);
            user.client.wait_done(id, SOON).await;
            assert!(reports(&stack, &user).await.iter().all(|report| report.resolved));
        }
    }
    assert_eq!(prints[0], prints[1]);
    assert_ne!(prints[0], prints[2], "another status");
}

#[tokio::test]
async fn a_body_over_its_size_is_refused_before_it_fills_the_memory() {
    let mut stack = Stack::in_world(Config { short_page_every: 0, ..Config::default() }).await;
    let options = vec!["--http-body-limit".to_owned(), "20000".to_owned()];
    let _worker = stack.worker_with(WorkerSetup { options, ..WorkerSetup::default() }).await;
    let small = stack.user("ann", 3).await;
    let bare = json!({ "skipWeatherEnrichment": true, "maxRetries": 1 });
    small.sync_all(&bare).await;
    let large = stack.user("bea", 200).await;
    let id = large.client.start_sync(&bare).await;
    let failed = large.client.wait_over(id, SOON).await;
    assert_eq!(failed.status, "FAILED");
    let found = reports(&stack, &large).await;
    assert_eq!(found.len(), 2, "system errors are tried again");
    for report in found {
        assert_eq!(report.code, "memory_limit");
        assert!(report.message.contains("20000 bytes"), "{report:?}");
        assert!(
            report.context["endpoint"].is_string() && report.context["page"] == 1,
            "{report:?}"
        );
    }
    let pages = "select count(*) from paceline.staged_pages where page > 0";
    assert_eq!(number(&stack.db, pages).await, 0, "nothing of it was kept");
}
