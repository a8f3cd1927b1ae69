//! A user's way to a consent page and back: one code, kept sealed, opened once, gone at the end.

use super::*;
use paceline_shared::{
    AuthorizationId,
    db::authorizations::{
        self, Authorization, NewAuthorization, Opened, Outcome as End, Returned, begin,
    },
};
use secrecy::{ExposeSecret, SecretString};

pub(super) const STATE: &str = "a-state-that-nobody-guesses";
pub(super) const CODE: &str = "a-code-of-the-provider";
const VERIFIER: &str = "a-verifier-of-ours";

/// A user who was sent away and has a minute to come back.
pub(super) async fn sent_away(
    bench: &Bench,
    user: UserId,
    provider: Provider,
    state: &str,
) -> AuthorizationId {
    let new = NewAuthorization {
        user,
        provider,
        state: &state.into(),
        verifier: Some(&VERIFIER.into()),
        redirect_uri: "http://127.0.0.1/oauth/callback",
        return_to: Some("http://127.0.0.1/app"),
        scopes: &["activity:read_all".to_owned()],
        code_lives: Duration::from_secs(30),
        lives: Duration::from_mins(1),
    };
    begin(&**bench, &bench.keys, &new).await.expect("an authorization")
}

pub(super) async fn came_back(bench: &Bench, id: AuthorizationId) -> Returned {
    let mut tx = bench.begin().await.unwrap();
    let code = SecretString::from(CODE);
    let returned =
        authorizations::returned(&mut tx, &bench.keys, id, &code, Some("read")).await.unwrap();
    tx.commit().await.unwrap();
    returned
}

pub(super) async fn found(bench: &Bench, id: AuthorizationId) -> Authorization {
    authorizations::find(&**bench, id).await.unwrap().expect("an authorization")
}

/// Moves all its times into the past.
pub(super) async fn age(bench: &Bench, id: AuthorizationId, by: Duration) {
    sqlx::query(
        "update paceline.authorizations set expires_at = expires_at - t, code_expires_at = code_expires_at - t,
                sent_at = sent_at - t, ended_at = ended_at - t
           from (select make_interval(secs => $2) as t) t where id = $1",
    )
    .bind(id.0)
    .bind(by.as_secs_f64())
    .execute(&**bench)
    .await
    .expect("ageing an authorization");
}

async fn sealed(bench: &Bench, id: AuthorizationId) -> i64 {
    sqlx::query_scalar(
        "select num_nonnulls(sealed_code, sealed_verifier)::bigint from paceline.authorizations where id = $1",
    )
    .bind(id.0)
    .fetch_one(&**bench)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_code_is_kept_once_and_opens_for_the_worker_alone() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    let id = sent_away(&bench, ann.user, Provider::Strava, STATE).await;
    let by_state = authorizations::by_state(&*bench, &STATE.into()).await.unwrap().unwrap();
    assert_eq!((by_state.id, by_state.user, by_state.outcome), (id, ann.user, None));
    assert!(authorizations::by_state(&*bench, &"another".into()).await.unwrap().is_none());
    assert!(matches!(
        authorizations::open_code(&*bench, &bench.keys, id).await,
        Ok(Opened::Absent)
    ));
    assert_eq!(came_back(&bench, id).await, Returned::Kept);
    assert_eq!(came_back(&bench, id).await, Returned::Before, "a page that is loaded again");
    let Ok(Opened::Code(code)) = authorizations::open_code(&*bench, &bench.keys, id).await else {
        panic!("there is a code")
    };
    assert_eq!(code.code.expose_secret(), CODE);
    assert_eq!(code.verifier.as_ref().unwrap().expose_secret(), VERIFIER);
    assert_eq!((code.accepted.as_deref(), code.sent_for), (Some("read"), None));
    assert!(code.left > Duration::from_secs(20) && code.left <= Duration::from_secs(30));
    assert!(!format!("{code:?}").contains(CODE) && !format!("{code:?}").contains(VERIFIER));
    let row: String = sqlx::query_scalar("select a::text from paceline.authorizations a")
        .fetch_one(&*bench)
        .await
        .unwrap();
    for secret in [STATE, CODE, VERIFIER] {
        let hex = secret.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        assert!(!row.contains(secret) && !row.contains(&hex), "{secret} lies open");
    }
}

#[tokio::test]
async fn who_comes_back_too_late_brings_nothing() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    let id = sent_away(&bench, ann.user, Provider::Strava, STATE).await;
    age(&bench, id, Duration::from_mins(2)).await;
    assert_eq!(came_back(&bench, id).await, Returned::Late);
    assert!(found(&bench, id).await.expired);
    assert_eq!(authorizations::expire(&*bench, 10).await.unwrap(), 1);
    assert_eq!(found(&bench, id).await.outcome, Some(End::CodeExpired));
    assert_eq!(sealed(&bench, id).await, 0);
}

#[tokio::test]
async fn a_code_is_sent_by_one_and_not_after_its_time() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    let id = sent_away(&bench, ann.user, Provider::Strava, STATE).await;
    came_back(&bench, id).await;
    assert!(authorizations::take_code(&*bench, id).await.unwrap());
    assert!(!authorizations::take_code(&*bench, id).await.unwrap(), "somebody has it");
    authorizations::give_code_back(&*bench, id).await.unwrap();
    assert!(authorizations::take_code(&*bench, id).await.unwrap());
    authorizations::give_code_back(&*bench, id).await.unwrap();
    age(&bench, id, Duration::from_secs(31)).await;
    assert!(!authorizations::take_code(&*bench, id).await.unwrap(), "it has run out");
    assert!(found(&bench, id).await.code_expired);
}

#[tokio::test]
async fn it_ends_once_and_takes_its_secrets_along() {
    let bench = Bench::new().await;
    let ann = bench.person("ann").await;
    let id = sent_away(&bench, ann.user, Provider::Strava, STATE).await;
    came_back(&bench, id).await;
    assert_eq!(sealed(&bench, id).await, 2);
    let end = async |outcome| {
        authorizations::end(&*bench, id, outcome, Some("so"), Some(ann.connection)).await.unwrap()
    };
    assert!(end(End::Limited).await);
    assert!(!end(End::Failed).await);
    let row = found(&bench, id).await;
    assert_eq!((row.outcome, row.connection), (Some(End::Limited), Some(ann.connection)));
    assert_eq!(sealed(&bench, id).await, 0);
    assert!(matches!(
        authorizations::open_code(&*bench, &bench.keys, id).await,
        Ok(Opened::Ended(End::Limited))
    ));
    let day = Duration::from_hours(24);
    assert_eq!(authorizations::forget_old(&*bench, day, 10).await.unwrap(), 0);
    age(&bench, id, day * 2).await;
    assert_eq!(authorizations::forget_old(&*bench, day, 10).await.unwrap(), 1);
}
