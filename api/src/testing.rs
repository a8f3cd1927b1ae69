//! What tests of this crate share: an app without a database, tokens, and requests.

use crate::{
    app::{App, router},
    auth::{Role, local},
    config::{Config, Issuer},
    connect::tests::consent,
};
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
};
use paceline_shared::{Provider, UserId, sealing::Keyring};
use serde_json::Value;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use url::Url;

/// Small, so that a test can go over it.
pub(crate) const BODY_LIMIT: usize = 2_000;
/// The subject whose user is known without a database.
pub(crate) const SUBJECT: &str = "somebody";

/// An app whose database is not there.
pub(crate) struct TestApp {
    router: Router,
    secret: local::Secret,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answered {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    /// The problem's name; fails unless the answer is a problem in every respect.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.headers[header::CONTENT_TYPE], "application/problem+json");
        let body = self.json();
        assert_eq!(body["status"], self.status.as_u16());
        let id = self.headers["x-request-id"].to_str().unwrap();
        assert_eq!(body["instance"], format!("urn:uuid:{id}"));
        assert!(body["title"].is_string() && body["detail"].is_string(), "{body}");
        body["type"].as_str().unwrap().strip_prefix("/problems/").unwrap().to_owned()
    }

    /// The fields at fault.
    pub(crate) fn fields(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let body = self.json();
        body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| (text(&e["field"]), text(&e["message"])))
            .collect()
    }
}

impl TestApp {
    pub(crate) fn new() -> Self {
        Self::with_rate(None)
    }

    /// One that lets each user make so many calls a second.
    pub(crate) fn limited(per_second: u32) -> Self {
        Self::with_rate(std::num::NonZeroU32::new(per_second))
    }

    fn with_rate(rate_limit: Option<std::num::NonZeroU32>) -> Self {
        let secret = local::Secret::generate().unwrap();
        let mut config = Config::new(
            ([127, 0, 0, 1], 0).into(),
            paceline_shared::db::Address::direct("postgres://nobody@127.0.0.1:1/none"),
        );
        config.issuers = vec![Issuer::Local(secret.clone())];
        config.allow_local_issuer = true;
        config.rate_limit = rate_limit;
        config.public_url = Url::parse("https://sync.example.org").ok();
        config.return_urls = vec!["https://app.example.org/settings".parse().unwrap()];
        config.consent = vec![consent(Provider::Strava, false), consent(Provider::Fitbit, true)];
        config.keys = Some(Keyring::generate("a").unwrap().parse().unwrap());
        config.render_metrics = std::sync::Arc::new(|| "some_metric 1\n".to_owned());
        let app =
            App::new(&config, ([127, 0, 0, 1], 8080).into(), &CancellationToken::new()).unwrap();
        app.subjects.remember(SUBJECT.to_owned(), UserId::fresh());
        Self { router: router(app, BODY_LIMIT), secret }
    }

    /// The header of a user, or of a service.
    pub(crate) fn bearer(&self, role: Option<&str>) -> String {
        let token = local::issue(&self.secret, SUBJECT, role, Duration::from_mins(1)).unwrap();
        format!("Bearer {token}")
    }

    /// The header of somebody with a role for the administration, or without.
    pub(crate) fn staff(&self, role: Option<Role>) -> String {
        let life = Duration::from_mins(1);
        let token = local::issue_for_staff(&self.secret, SUBJECT, None, role, life).unwrap();
        format!("Bearer {token}")
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answered {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Answered { status: parts.status, headers: parts.headers, bytes }
    }

    /// As the known user, without a body.
    pub(crate) async fn call(&self, method: &str, path: &str) -> Answered {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, self.bearer(None));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// As the known user, with a body of JSON.
    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answered {
        let request = Request::post(path)
            .header(header::AUTHORIZATION, self.bearer(None))
            .header(header::CONTENT_TYPE, "application/json");
        self.send(request.body(body.into()).unwrap()).await
    }
}
