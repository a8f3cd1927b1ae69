//! The worker's private port: is it alive, can it work, what does it count. Nothing else is served here.

use axum::{Router, extract::State, http::StatusCode, routing::get};
use paceline_shared::db;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Renders the process's metrics.
pub type Render = Arc<dyn Fn() -> String + Send + Sync>;

#[derive(Clone)]
struct Health {
    db: db::Db,
    render: Render,
    drain: CancellationToken,
}

/// Serves until `end`, in a task of its own. While `drain` is cancelled it is alive and not ready.
pub fn serve(
    listener: TcpListener,
    db: db::Db,
    render: Render,
    drain: CancellationToken,
    end: CancellationToken,
) {
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(async |State(health): State<Health>| (health.render)()))
        .with_state(Health { db, render, drain });
    tokio::spawn(async move {
        let served =
            axum::serve(listener, routes).with_graceful_shutdown(end.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the health port ended");
        }
    });
}

async fn ready(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.drain.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n");
    }
    match db::is_migrated(&health.db).await {
        Ok(true) => (StatusCode::OK, "ready\n"),
        Ok(false) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database is not migrated: run paceline migrate\n",
        ),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database is not reachable\n"),
    }
}
