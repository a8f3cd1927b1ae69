//! Idempotency keys under concurrency.

use super::*;
use paceline_shared::db::idempotency_keys::{self, Known};

async fn ask(bench: &Bench, person: Person, key: &str, body: &[u8]) -> (i16, bool) {
    let mut tx = bench.begin().await.unwrap();
    let known =
        idempotency_keys::look_up(&mut tx, person.user, "POST /x", key, body).await.unwrap();
    let answer = match known {
        Known::New => {
            let response = serde_json::json!({ "made": true });
            idempotency_keys::remember(&mut tx, person.user, "POST /x", key, body, 202, &response)
                .await
                .unwrap();
            (202, true)
        }
        Known::Answered { status, .. } => (status, false),
        Known::Mismatch => (422, false),
    };
    tx.commit().await.unwrap();
    answer
}

#[tokio::test]
async fn of_equal_requests_at_once_one_acts_and_the_others_repeat_its_answer() {
    let bench = Bench::new().await;
    let person = bench.person("ann").await;
    let answers =
        futures::future::join_all((0..10).map(|_| ask(&bench, person, "k", b"body"))).await;
    assert!(answers.iter().all(|(status, _)| *status == 202), "{answers:?}");
    assert_eq!(answers.iter().filter(|(_, acted)| *acted).count(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_body_and_one_user() {
    let bench = Bench::new().await;
    let (ann, bob) = (bench.person("ann").await, bench.person("bob").await);
    assert_eq!(ask(&bench, ann, "k", b"body").await, (202, true));
    assert_eq!(ask(&bench, ann, "k", b"other").await, (422, false));
    assert_eq!(ask(&bench, bob, "k", b"other").await, (202, true));
}

#[tokio::test]
async fn a_key_is_free_again_after_its_day() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    ask(&bench, ann, "old", b"body").await;
    sqlx::query("update paceline.idempotency_keys set expires_at = clock_timestamp()")
        .execute(&*bench)
        .await
        .unwrap();
    assert_eq!(ask(&bench, ann, "old", b"other").await, (202, true));
    ask(&bench, ann, "young", b"body").await;
    sqlx::query(
        "update paceline.idempotency_keys set expires_at = clock_timestamp() where key = 'old'",
    )
    .execute(&*bench)
    .await
    .unwrap();
    assert_eq!(idempotency_keys::forget_expired(&bench).await.unwrap(), 1);
    assert_eq!(ask(&bench, ann, "young", b"body").await, (202, false));
}
