//! Sealed pairs and the refresh lease.

use super::*;
use paceline_shared::db::connection_secrets as secrets;
use secrecy::ExposeSecret;

#[tokio::test]
async fn of_many_workers_one_may_refresh_and_its_pair_replaces_what_it_saw() {
    let bench = Bench::new().await;
    let id = bench.person("ann").await.connection;
    let seen = secrets::open(&*bench, &bench.keys, id).await.unwrap().unwrap();
    let asks =
        (0..16).map(|_| secrets::lease_refresh(&*bench, id, seen.version, WorkerId::fresh()));
    let answers = futures::future::join_all(asks).await;
    assert_eq!(answers.into_iter().filter(|taken| *taken.as_ref().unwrap()).count(), 1);
    let fresh = tokens("second", Utc::now() + chrono::Duration::hours(6));
    let store = async || {
        secrets::store_refreshed(&*bench, &bench.keys, id, seen.version, &fresh).await.unwrap()
    };
    assert!(store().await);
    assert!(!store().await, "the pair it replaces is gone");
    let stored = secrets::open(&*bench, &bench.keys, id).await.unwrap().unwrap();
    assert_eq!(stored.tokens.access.expose_secret(), "second");
    assert_eq!(stored.version, seen.version + 1);
    let late = secrets::lease_refresh(&*bench, id, seen.version, WorkerId::fresh()).await.unwrap();
    assert!(!late, "who saw the old pair has nothing to refresh");
}

#[tokio::test]
async fn a_refresh_lease_ends_by_itself_when_its_holder_is_lost() {
    let bench = Bench::new().await;
    let id = bench.person("ann").await.connection;
    let lease = async || secrets::lease_refresh(&*bench, id, 1, WorkerId::fresh()).await.unwrap();
    assert!(lease().await);
    assert!(!lease().await);
    sqlx::query("update paceline.connection_secrets set refresh_until = clock_timestamp()")
        .execute(&*bench)
        .await
        .unwrap();
    assert!(lease().await);
}

#[tokio::test]
async fn no_token_lies_open_in_the_database() {
    let bench = Bench::new().await;
    bench.person("ann").await;
    let clear: i64 = sqlx::query_scalar(
        "select count(*) from paceline.connection_secrets where position('first'::bytea in sealed) > 0",
    )
    .fetch_one(&*bench)
    .await
    .unwrap();
    assert_eq!(clear, 0);
}

#[tokio::test]
async fn a_sealed_pair_does_not_open_in_anothers_row() {
    let bench = Bench::new().await;
    let (ann, bob) = (bench.person("ann").await, bench.person("bob").await);
    sqlx::query(
        "update paceline.connection_secrets set sealed = (select sealed from paceline.connection_secrets where connection_id = $1)
          where connection_id = $2",
    )
    .bind(ann.connection.0)
    .bind(bob.connection.0)
    .execute(&*bench)
    .await
    .unwrap();
    assert!(secrets::open(&*bench, &bench.keys, bob.connection).await.is_err());
    assert!(secrets::open(&*bench, &bench.keys, ann.connection).await.is_ok());
}

async fn connection_state(bench: &Bench, id: ConnectionId) -> String {
    sqlx::query_scalar("select state from paceline.connections where id = $1")
        .bind(id.0)
        .fetch_one(&**bench)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_refusal_of_a_pair_that_was_replaced_meanwhile_says_nothing_of_the_connection() {
    let bench = Bench::new().await;
    let id = bench.person("ann").await.connection;
    let seen = secrets::open(&*bench, &bench.keys, id).await.unwrap().unwrap().version;
    // The user connects again while the provider is still busy refusing the old pair.
    bench.person("ann").await;
    assert!(!connections::set_state(&*bench, id, State::NeedsReauth, seen).await.unwrap());
    assert_eq!(connection_state(&bench, id).await, "active");
    assert!(connections::set_state(&*bench, id, State::NeedsReauth, seen + 1).await.unwrap());
    assert_eq!(connection_state(&bench, id).await, "needs_reauth");
}

#[tokio::test]
async fn what_the_provider_said_to_an_older_pair_says_nothing_of_the_newer_one() {
    let bench = Bench::new().await;
    for state in [State::Limited, State::ProviderGone] {
        let name = format!("{state:?}");
        let id = bench.person(&name).await.connection;
        bench.person(&name).await;
        assert!(!connections::set_state(&*bench, id, state, 1).await.unwrap());
        assert_eq!(connection_state(&bench, id).await, "active");
        assert!(connections::set_state(&*bench, id, state, 2).await.unwrap());
        assert_ne!(connection_state(&bench, id).await, "active");
    }
}

#[tokio::test]
async fn a_refreshed_pair_brings_back_a_connection_that_was_given_up() {
    let bench = Bench::new().await;
    let id = bench.person("ann").await.connection;
    let fresh = tokens("second", Utc::now() + chrono::Duration::hours(6));
    let store = async |seen| {
        secrets::store_refreshed(&*bench, &bench.keys, id, seen, &fresh).await.unwrap()
    };
    assert!(connections::set_state(&*bench, id, State::NeedsReauth, 1).await.unwrap());
    assert!(!store(7).await, "it replaces nothing that is there");
    assert_eq!(connection_state(&bench, id).await, "needs_reauth");
    assert!(store(1).await);
    assert_eq!(connection_state(&bench, id).await, "active");
}

#[tokio::test]
async fn a_refreshed_pair_opens_nothing_that_its_user_withheld_or_took_back() {
    let bench = Bench::new().await;
    for state in [State::Limited, State::Revoked, State::ProviderGone] {
        let id = bench.person(&format!("{state:?}")).await.connection;
        connections::set_state(&*bench, id, state, 1).await.unwrap();
        let before = connection_state(&bench, id).await;
        let fresh = tokens("second", Utc::now() + chrono::Duration::hours(6));
        assert!(secrets::store_refreshed(&*bench, &bench.keys, id, 1, &fresh).await.unwrap());
        assert_eq!(connection_state(&bench, id).await, before);
    }
}
