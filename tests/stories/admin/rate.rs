//! A limit on callers too, and the claim that has the role.

use super::*;
use paceline_api::auth::local;
use paceline_tests::client::Client;

#[tokio::test]
async fn who_calls_too_fast_is_told_when_to_come_again_and_others_notice_nothing() {
    let stack = Stack::new().await;
    let api = stack.another_api("strict", &["--allow-local-issuer", "--rate-limit", "1"]).await;
    let client = |token| Client::new(format!("http://{}", api.address()), Some(token));
    let ann = client(stack.token("ann", None));
    for left in (0..5).rev() {
        let answer = ann.get("/api/v1/syncs").await;
        assert_eq!(answer.status, 200);
        let header = answer.headers["ratelimit"].to_str().unwrap().to_owned();
        assert!(header.starts_with(&format!("\"user\";r={left};")), "{header}");
    }
    let refused = ann.get("/api/v1/syncs").await;
    assert_eq!(refused.problem().kind, "/problems/too-many-requests");
    assert_eq!(
        (refused.status.as_u16(), refused.headers["retry-after"].to_str().unwrap()),
        (429, "1")
    );
    assert_eq!(client(stack.token("bob", None)).get("/api/v1/syncs").await.status, 200);
    let service = client(stack.token("backend", Some("service_role")));
    for _ in 0..40 {
        assert_eq!(service.get("/api/v1/syncs").await.status, 200, "ten times as much");
    }
    assert_eq!(client(String::new()).get("/healthz").await.status, 200);
}

#[tokio::test]
async fn the_role_is_looked_for_where_the_configuration_says() {
    let stack = Stack::new().await;
    let api = stack.another_api("claims", &["--allow-local-issuer", "--admin-claim", "role"]).await;
    let client = |token| Client::new(format!("http://{}", api.address()), Some(token));
    let path = "/api/v1/admin/workers";
    assert_eq!(client(stack.token("vic", Some("viewer"))).get(path).await.status, 200);
    let usual = stack.staff("vic", Role::Viewer);
    let token = usual.token().unwrap().to_owned();
    assert_eq!(client(token).get(path).await.status, 403, "{} counts no more", local::ROLE_CLAIM);
    assert_eq!(usual.get(path).await.status, 200);
}
