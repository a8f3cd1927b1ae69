//! What operators and machines ask: is it up, is it ready, how does it do, what can it do.

use crate::{
    app::App,
    extract::Json,
    problem::{Kind, Problem},
};
use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderValue, header},
    response::IntoResponse,
};
use paceline_shared::db;
use serde::Serialize;

/// How this process is.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Health {
    /// `ok` or `ready`.
    status: &'static str,
}

/// Where to go from here.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Home {
    /// `paceline`.
    name: &'static str,
    /// This version.
    version: &'static str,
    /// Paths worth knowing.
    links: Links,
}

/// Paths.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct Links {
    /// The OpenAPI document.
    openapi: &'static str,
    /// Syncs.
    syncs: &'static str,
    /// Activities.
    activities: &'static str,
}

/// What this is and where to read on.
#[utoipa::path(get, path = "/", tag = "operations",
    responses((status = OK, description = "Links", body = Home)))]
pub(super) async fn home() -> Json<Home> {
    Json(Home {
        name: "paceline",
        version: env!("CARGO_PKG_VERSION"),
        links: Links {
            openapi: "/openapi.json",
            syncs: "/api/v1/syncs",
            activities: "/api/v1/activities",
        },
    })
}

/// Whether the process answers. Asks nobody else: a restart mends no database.
#[utoipa::path(get, path = "/healthz", tag = "operations",
    responses((status = OK, description = "It answers", body = Health)))]
pub(super) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Whether it should get traffic: the database can be reached and has this version's schema.
#[utoipa::path(get, path = "/readyz", tag = "operations",
    responses(
        (status = OK, description = "Ready", body = Health),
        (status = SERVICE_UNAVAILABLE, description = "Not ready", body = crate::problem::Body, content_type = "application/problem+json")))]
pub(super) async fn readyz(State(app): State<App>) -> Result<Json<Health>, Problem> {
    match db::is_migrated(&app.db).await {
        Ok(true) => Ok(Json(Health { status: "ready" })),
        Ok(false) => Err(Problem::new(Kind::NotReady)
            .detail("The database lacks migrations that this version needs.")),
        Err(error) => {
            tracing::warn!(reason = error.reason(), "{error}");
            Err(Problem::new(Kind::NotReady).detail("The database cannot be reached."))
        }
    }
}

/// Metrics in Prometheus's text format.
#[utoipa::path(get, path = "/metrics", tag = "operations",
    responses((status = OK, description = "Metrics", body = String, content_type = "text/plain")))]
pub(super) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], (app.render_metrics)())
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "operations",
    responses((status = OK, description = "OpenAPI 3.1", body = Object, content_type = "application/json")))]
pub(super) async fn openapi(State(app): State<App>) -> impl IntoResponse {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], Bytes::clone(&app.openapi))
}
