//! Every route, on one screen. Registered here they are in the OpenAPI document too.

mod activities;
mod admin;
mod backfills;
mod operations;
mod problems;
mod syncs;

use crate::{app::App, openapi};
use utoipa_axum::{router::OpenApiRouter, routes};

/// The routes with their document.
pub(crate) fn all() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(openapi::frame())
        // syncs
        .routes(routes!(syncs::create, syncs::list))
        .routes(routes!(syncs::show))
        .routes(routes!(syncs::failures))
        .routes(routes!(syncs::retry))
        .routes(routes!(syncs::cancel))
        .routes(routes!(backfills::create))
        // data
        .routes(routes!(activities::list))
        // staff
        .merge(admin::all())
        // operations
        .routes(routes!(operations::home))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::metrics))
        .routes(routes!(operations::openapi))
        .routes(routes!(problems::show))
}
