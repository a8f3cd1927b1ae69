//! Disconnecting an account: the provider hears of it, our tokens go, and the records if that is wished.

use paceline_simulator::{FULL_SCOPE, StartRange};
use paceline_tests::{
    client::Client,
    rows,
    stack::{SOON, Stack, User},
    truth,
    wait::until,
};
use reqwest::Method;
use serde_json::{Value, json};

async fn connections(client: &Client) -> Vec<Value> {
    let answer = client.get("/api/v1/connections").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["items"].as_array().unwrap().clone()
}

async fn disconnect(user: &User) {
    let path = format!("/api/v1/connections/{}", user.connection);
    let gone = user.client.send(user.client.request(Method::DELETE, &path)).await;
    assert_eq!(gone.status, 202, "{}", gone.text);
}

#[tokio::test]
async fn a_disconnected_account_is_quiet_at_once_and_keeps_its_history() {
    let mut stack = Stack::new().await;
    let user = stack.user("ann", 20).await;
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    let ann = &user.client;
    let path = format!("/api/v1/connections/{}", user.connection);
    for _ in 0..2 {
        let gone = ann.send(ann.request(Method::DELETE, &path)).await;
        assert_eq!(gone.status, 202, "{}", gone.text);
        assert_eq!(
            (&gone.body["state"], &gone.body["action"]),
            (&json!("revoked"), &json!("connect"))
        );
    }
    assert_eq!(ann.ask_sync(&json!({})).await.problem().kind, "/problems/not-connected");
    assert!(connections(ann).await.is_empty());
    assert_eq!(ann.get(&path).await.body["state"], "revoked");
    let with = ann.get("/api/v1/connections?disconnected=true").await;
    assert_eq!(with.body["items"].as_array().unwrap().len(), 1);
    until("our tokens are gone", SOON, async || {
        rows::number(&stack.db, "select count(*) from paceline.connection_secrets").await == 0
    })
    .await;
    assert_eq!(ann.all("/api/v1/activities", 50).await.len(), 20, "the history stays");
    let said = "select (select count(*) from paceline.sync_jobs where kind = 'deauthorize')
                     + (select count(*) from paceline.sync_history where kind = 'deauthorize')";
    assert_eq!(rows::number(&stack.db, said).await, 1, "the provider is told once");
    let log = stack.api.log();
    assert!(log.contains("an account is disconnected"), "{log}");
}

#[tokio::test]
async fn a_disconnected_account_takes_its_records_along_when_that_is_wished() {
    let mut stack = Stack::new().await;
    let (user, other) = (stack.user("ann", 20).await, stack.user("bob", 5).await);
    let _worker = stack.worker().await;
    user.sync_all(&json!({})).await;
    other.sync_all(&json!({})).await;
    let path = format!("/api/v1/connections/{}?records=delete", user.connection);
    let gone = user.client.send(user.client.request(Method::DELETE, &path)).await;
    assert_eq!(gone.status, 202, "{}", gone.text);
    until("the records are gone", SOON, async || {
        user.client.all("/api/v1/activities", 50).await.is_empty()
    })
    .await;
    assert_eq!(other.client.all("/api/v1/activities", 50).await.len(), 5);
    truth::compare(&stack.db, stack.world(), &other, StartRange::default(), truth::WHOLE).await;
}

#[tokio::test]
async fn a_late_goodbye_ends_nothing_for_the_user_who_has_the_account_by_then() {
    let mut stack = Stack::new().await;
    let ann = stack.user("ann", 20).await;
    disconnect(&ann).await;
    // No worker ran meanwhile: the provider has not heard of it.
    let bob = stack.user("bob", 0).await;
    let connection = stack.connect(bob.id, ann.athlete, FULL_SCOPE).await;
    let calls = stack.world().counts().total;
    let _worker = stack.worker().await;
    until("her tokens are gone", SOON, async || {
        let hers = "select count(*) from paceline.connection_secrets s join paceline.connections c on c.id = s.connection_id
                     where c.state = 'revoked'";
        rows::number(&stack.db, hers).await == 0
    })
    .await;
    assert_eq!(stack.world().counts().total, calls, "the provider is not told");
    let done = "select count(*) from paceline.sync_history where kind = 'deauthorize' and status = 'completed'";
    until("the good-bye is said", SOON, async || rows::number(&stack.db, done).await == 1).await;
    let bob = User { connection, athlete: ann.athlete, ..bob };
    bob.sync_all(&json!({})).await;
    assert_eq!(bob.client.all("/api/v1/activities", 50).await.len(), 20);
}
