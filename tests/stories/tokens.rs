//! Tokens that end, are refused, or are taken back.

use paceline_simulator::{FULL_SCOPE, Fault, FaultRule, Population, StartRange, Tally};
use paceline_tests::{
    process::Process,
    rows,
    stack::{ACTIVITIES, SOON, Stack, User, WorkerSetup},
    truth::WHOLE,
    wait::until,
};
use serde_json::json;

fn tally(stack: &Stack, user: &User) -> Tally {
    stack.world().athlete(user.athlete, StartRange::default()).unwrap().tokens
}

/// Calls with a token that Strava did not accept.
fn refused_calls(stack: &Stack) -> usize {
    stack.world().log(0, usize::MAX).iter().filter(|entry| entry.status == Some(401)).count()
}

async fn connection_state(stack: &Stack, user: &User) -> String {
    sqlx::query_scalar("select state from paceline.connections where id = $1")
        .bind(user.connection.0)
        .fetch_one(&*stack.db)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_refused_token_is_refreshed_once_and_the_page_asked_for_again() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 250).await;
    stack.world().expire_access_tokens(user.athlete, 0).unwrap();
    let _worker = stack.worker().await;
    let done = user.sync_all(&json!({})).await;
    assert_eq!(done.attempt, 1);
    stack.assert_true(&user, WHOLE).await;
    let tally = tally(&stack, &user);
    assert_eq!((tally.refreshes, tally.rotations, tally.refused_refreshes), (1, 1, 0));
    assert_eq!(refused_calls(&stack), 1, "after that it is known");
}

#[tokio::test]
async fn a_token_that_ends_soon_is_refreshed_before_it_is_refused() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 250).await;
    stack.world().expire_access_tokens(user.athlete, 60).unwrap();
    rows::change(&stack.db, "update paceline.connection_secrets set expires_at = clock_timestamp() + interval '1 minute'").await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    stack.assert_true(&user, WHOLE).await;
    assert_eq!((tally(&stack, &user).rotations, tally(&stack, &user).refused_refreshes), (1, 0));
    assert_eq!(refused_calls(&stack), 0);
}

#[tokio::test]
async fn a_new_pair_is_stored_before_it_is_used() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 50).await;
    stack.world().expire_access_tokens(user.athlete, 60).unwrap();
    rows::change(
        &stack.db,
        "update paceline.connection_secrets set expires_at = clock_timestamp()",
    )
    .await;
    let stall = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        count: Some(1),
        ..FaultRule::new(Fault::Stall { seconds: 60.0 })
    };
    let stall = stack.world().add_fault(stall).unwrap();
    let mut first = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    let stored = "select count(*) from paceline.connection_secrets where token_version = 2 and refresh_by is null";
    assert_eq!(rows::number(&stack.db, stored).await, 1, "at its first use it is there");
    first.kill_9();
    rows::age_leases(&stack.db).await;
    let _second = stack.worker().await;
    user.client.wait_done(id, SOON).await;
    assert_eq!((tally(&stack, &user).rotations, tally(&stack, &user).refused_refreshes), (1, 0));
}

#[tokio::test]
async fn however_many_workers_need_it_a_pair_is_refreshed_once() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 30).await;
    stack.world().expire_access_tokens(user.athlete, 0).unwrap();
    stack.world().set_latency(std::time::Duration::from_millis(150));
    user.client.start_sync(&json!({})).await;
    // A user has one sync at a time; slices of a backfill have places of their own.
    rows::change(
        &stack.db,
        "insert into paceline.sync_jobs (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range,
                                         run_at, sort_at, max_retries, payload, payload_version)
         select gen_random_uuid(), user_id, connection_id, provider, n, kind, job_type, class, time_range,
                run_at, sort_at, max_retries, payload, payload_version
           from paceline.sync_jobs, generate_series(1, 5) n",
    )
    .await;
    let mut workers: Vec<Process> = Vec::new();
    for _ in 0..3 {
        workers.push(stack.worker_with(WorkerSetup { slots: 2, ..WorkerSetup::default() }).await);
    }
    until("all six have completed", SOON, async || {
        rows::number(
            &stack.db,
            "select count(*) from paceline.sync_history where status = 'completed'",
        )
        .await
            == 6
    })
    .await;
    let tally = tally(&stack, &user);
    assert_eq!((tally.refreshes, tally.rotations, tally.refused_refreshes), (1, 1, 0));
    let version = "select token_version from paceline.connection_secrets";
    assert_eq!(rows::number(&stack.db, version).await, 2);
}

#[tokio::test]
async fn a_user_who_took_his_consent_back_is_asked_to_reconnect_and_then_goes_on() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 450).await;
    let stall = FaultRule {
        path: Some(ACTIVITIES.to_owned()),
        page: Some(2),
        count: Some(1),
        ..FaultRule::new(Fault::Stall { seconds: 0.5 })
    };
    let stall = stack.world().add_fault(stall).unwrap();
    let _worker = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    stack.struck(stall, 1).await;
    stack.world().revoke(user.athlete).unwrap();
    let failed = user.client.wait_over(id, SOON).await;
    let error = failed.error.unwrap();
    assert_eq!((failed.status.as_str(), error.code.as_str()), ("FAILED", "authentication_error"));
    assert_eq!(
        (error.action.as_str(), error.retryable, error.phase.as_str()),
        ("reconnect", false, "fetching")
    );
    assert_eq!(connection_state(&stack, &user).await, "needs_reauth");
    let text = format!("{error:?}");
    assert!(!text.to_lowercase().contains("bearer"), "{text}");

    for refused in [user.client.ask_sync(&json!({})).await, user.client.retry_sync(id).await] {
        let problem = refused.problem();
        assert_eq!((problem.status, problem.kind.as_str()), (409, "/problems/needs-reauth"));
        assert_eq!(problem.action.as_deref(), Some("reconnect"));
    }

    let again = stack.connect(user.id, user.athlete, FULL_SCOPE).await;
    assert_eq!(again, user.connection, "the link is the same");
    assert_eq!(connection_state(&stack, &user).await, "active");
    assert_eq!(user.client.retry_sync(id).await.status, 202);
    user.client.wait_done(id, SOON).await;
    stack.assert_true(&user, WHOLE).await;
    let first_page = stack.page_requests(user.athlete).iter().filter(|e| e.page == Some(1)).count();
    assert_eq!(first_page, 1, "the retry went on from its checkpoint");
}

#[tokio::test]
async fn a_user_who_withheld_the_activities_is_told_so() {
    let mut stack = Stack::new().await;
    let population = Population { activities: 20, years: 1, ..Population::default() };
    let user = stack.user_with("ann", &population, "read").await;
    assert_eq!(connection_state(&stack, &user).await, "limited");
    let _worker = stack.worker().await;
    let id = user.client.start_sync(&json!({})).await;
    let failed = user.client.wait_over(id, SOON).await;
    let error = failed.error.unwrap();
    assert_eq!((failed.status.as_str(), error.code.as_str()), ("FAILED", "permission_denied"));
    assert_eq!((error.action.as_str(), error.retryable), ("grant_access", false));
    assert!(stack.page_requests(user.athlete).is_empty(), "what was not granted is not asked for");
}

#[tokio::test]
async fn no_token_shows_in_any_log_or_table_in_the_clear() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 20).await;
    stack.world().expire_access_tokens(user.athlete, 0).unwrap();
    let worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    stack.world().revoke(user.athlete).unwrap();
    let id = user.client.start_sync(&json!({})).await;
    user.client.wait_over(id, SOON).await;
    let pair = stack.world().grant(user.athlete, FULL_SCOPE).unwrap();
    // Tokens of the simulated Strava all look alike: this is how they would show.
    let shape = |text: &str| {
        text.len() == pair.access_token.len() && text.bytes().all(|b| b.is_ascii_hexdigit())
    };
    assert!(shape(&pair.access_token), "{pair:?}");
    for log in [worker.log(), stack.api.log()] {
        assert!(!log.contains("a-secret-of-the-application"));
        assert!(!log.split(|c: char| !c.is_ascii_alphanumeric()).any(shape), "{log}");
    }
}
