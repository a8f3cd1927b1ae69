//! What handlers share, and the router with all that surrounds it.

use crate::{
    auth::{Subjects, Verifier},
    config::{Config, RenderMetrics},
    connect::Connecting,
    live::Live,
    observe,
    problem::{Kind, Problem},
    rate, routes,
    server::Error,
};
use axum::{
    Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    http::{Extensions, HeaderMap, StatusCode, Version, header},
    middleware::{from_fn, from_fn_with_state},
};
use paceline_shared::{db, notify::Notifier};
use std::{net::SocketAddr, ops::Deref, sync::Arc};
use tokio_util::sync::CancellationToken;
use tower_http::compression::{
    CompressionLayer,
    predicate::{Predicate, SizeAbove},
};

/// Smaller answers are not worth compressing, in bytes.
const COMPRESS_ABOVE: u16 = 1024;

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) db: db::Db,
    pub(crate) notifier: Notifier,
    pub(crate) verifier: Verifier,
    pub(crate) subjects: Subjects,
    pub(crate) live: Arc<Live>,
    pub(crate) service_role: String,
    pub(crate) limits: rate::Limits,
    pub(crate) connecting: Connecting,
    pub(crate) render_metrics: RenderMetrics,
    pub(crate) openapi: Bytes,
}

impl Deref for App {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl App {
    /// Opens nothing yet: a process starts, and stays up, while Postgres is away.
    pub(crate) fn new(
        config: &Config,
        address: SocketAddr,
        closing: &CancellationToken,
    ) -> Result<Self, Error> {
        let verifier = Verifier::new(config.issuers.clone(), config.allow_local_issuer)?
            .with_role_claim(config.admin_claim.as_str());
        let connecting = Connecting::new(config, address)?;
        let db = config.database.connect("paceline-api", config.pool_size)?;
        let render_metrics = observe::with_gauges(config.render_metrics.clone(), vec![db.clone()]);
        Ok(Self(Arc::new(Shared {
            notifier: Notifier::start(db.clone()),
            db,
            verifier,
            subjects: Subjects::default(),
            live: Live::new(closing.child_token()),
            service_role: config.service_role.clone(),
            limits: rate::Limits::new(config.rate_limit),
            connecting,
            render_metrics,
            openapi: Bytes::from(crate::openapi()),
        })))
    }
}

/// The routes, and around them from the outside in: observation, compression, time limit, body
/// limit, limit of calls.
pub(crate) fn router(app: App, body_limit: usize) -> Router {
    let (routes, _document) = routes::all().split_for_parts();
    routes
        .fallback(async || Problem::new(Kind::UnknownRoute))
        .method_not_allowed_fallback(async || Problem::new(Kind::MethodNotAllowed))
        .layer(from_fn_with_state(app.clone(), rate::limit))
        .layer(DefaultBodyLimit::max(body_limit))
        .layer(from_fn(observe::limit_time))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(COMPRESS_ABOVE).and(is_json)))
        .layer(from_fn(observe::observe))
        .with_state(app)
}

/// JSON only: compressing a stream would hold its events back.
fn is_json(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/") && value.contains("json"))
}

#[cfg(test)]
mod tests;
