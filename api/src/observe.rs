//! What surrounds every request: its id, its span, its metrics, its time limit, and the net under a
//! handler that panics. It knows no route.

use crate::{
    config::RenderMetrics,
    problem::{Kind, Problem},
};
use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderName, HeaderValue, Method},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use paceline_shared::{
    JobId, Provider, UserId,
    db::Db,
    measures::{DATABASE, Measure, PROCESS, declare, report_memory, report_pools},
};
use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};
use tracing::Instrument;
use uuid::Uuid;

/// The longest that an ordinary request may take; more than the longest `wait`.
pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(30);

const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");

tokio::task_local! {
    static REQUEST_ID: Uuid;
}

/// The id of the request that is being answered.
pub(crate) fn request_id() -> Option<Uuid> {
    REQUEST_ID.try_with(|id| *id).ok()
}

/// Everything that the API measures beside [`DATABASE`] and [`PROCESS`].
pub const METRICS: &[Measure] = &[
    Measure::counter(
        "paceline_http_requests_total",
        &["route", "method", "status"],
        "Requests answered, by route template, method and status.",
    ),
    Measure::seconds(
        "paceline_http_request_seconds",
        &["route", "method", "status"],
        "Time from request to answer, by route template, method and status.",
    ),
    Measure::counter(
        "paceline_http_requests_limited_total",
        &[],
        "Requests refused because their caller makes too many.",
    ),
];

/// Says what the metrics mean; once a process.
pub(crate) fn declare_metrics() {
    for measures in [DATABASE, PROCESS, METRICS] {
        declare(measures);
    }
}

/// Renders metrics with what is true at that moment: connections and memory.
pub(crate) fn with_gauges(render: RenderMetrics, pools: Vec<Db>) -> RenderMetrics {
    Arc::new(move || {
        report_pools(&pools);
        report_memory();
        render()
    })
}

/// Outermost: id, span, metrics, panics.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    // A proxy in front may have named the request already.
    let id = request
        .headers()
        .get(&REQUEST_ID_HEADER)
        .and_then(|value| Uuid::try_parse_ascii(value.as_bytes()).ok())
        .unwrap_or_else(Uuid::now_v7);
    let method = method_label(request.method());
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unknown".to_owned(), |path| path.as_str().to_owned());
    // Workers write the request's id, as that of the trace, on every line of what it asked for.
    let span = tracing::info_span!(
        "request",
        request.id = %id,
        trace.id = %id,
        http.method = method,
        http.route = route
    );

    let began = Instant::now();
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind();
    let answer = async {
        let mut response = answer.await.unwrap_or_else(|_panic| {
            tracing::error!("the handler panicked");
            Problem::new(Kind::Internal).into_response()
        });
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            response.headers_mut().insert(REQUEST_ID_HEADER, value);
        }
        let (status, took) = (response.status(), began.elapsed());
        tracing::debug!(
            http.status = status.as_u16(),
            duration_ms = took.as_secs_f64() * 1e3,
            "answered"
        );
        let labels = [
            ("route", route.clone()),
            ("method", method.to_owned()),
            ("status", status.as_u16().to_string()),
        ];
        metrics::counter!("paceline_http_requests_total", &labels).increment(1);
        metrics::histogram!("paceline_http_request_seconds", &labels).record(took);
        response
    };
    REQUEST_ID.scope(id, answer.instrument(span)).await
}

/// Says who did what to which sync of whom, as an event of its own: the field `action` finds them.
pub(crate) fn acted(
    action: &'static str,
    by: UserId,
    user: UserId,
    sync: JobId,
    provider: Provider,
) {
    tracing::info!(action, by = %by, user.id = %user, sync.id = %sync, %provider, "{action} of a sync");
}

/// Ends a request that takes longer than [`TIME_LIMIT`].
pub(crate) async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIME_LIMIT, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => {
            tracing::warn!(limit_s = TIME_LIMIT.as_secs(), "a request was given up");
            Problem::new(Kind::TimedOut).into_response()
        }
    }
}

/// A caller may invent methods; a metric must not have a series for each.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, http::StatusCode, middleware::from_fn, routing::get};
    use tower::ServiceExt;

    async fn answered(router: Router) -> (StatusCode, Vec<u8>) {
        let request = Request::get("/").body(Body::empty()).unwrap();
        let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
        (parts.status, axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    #[tokio::test]
    async fn a_handler_that_panics_answers_a_problem_and_tells_nothing() {
        async fn broken() -> StatusCode {
            panic!("secret")
        }
        let router = Router::new().route("/", get(broken)).layer(from_fn(observe));
        let (status, body) = answered(router).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains("/problems/internal") && !body.contains("secret"), "{body}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_takes_too_long_is_given_up() {
        let router = Router::new()
            .route("/", get(std::future::pending::<StatusCode>))
            .layer(from_fn(limit_time));
        let began = tokio::time::Instant::now();
        let (status, body) = answered(router).await;
        assert_eq!((status, began.elapsed()), (StatusCode::SERVICE_UNAVAILABLE, TIME_LIMIT));
        assert!(String::from_utf8(body).unwrap().contains("/problems/timed-out"));
    }
}
