//! Every route, on one screen. Registered here they are in the OpenAPI document too.

mod activities;
mod admin;
mod backfills;
mod connections;
mod daily_summaries;
mod dashboard;
mod measurements;
mod oauth;
mod operations;
mod problems;
mod progress;
mod single_sync;
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
        // connections
        .routes(routes!(connections::authorize))
        .routes(routes!(connections::list))
        .routes(routes!(connections::show, connections::delete))
        .routes(routes!(oauth::callback))
        .routes(routes!(oauth::status))
        .routes(routes!(oauth::now))
        .routes(routes!(oauth::style))
        .routes(routes!(oauth::script))
        // data
        .routes(routes!(activities::list))
        .routes(routes!(measurements::list))
        .routes(routes!(daily_summaries::list))
        .routes(routes!(dashboard::show))
        .routes(routes!(progress::show))
        // single sync
        .routes(routes!(single_sync::start))
        .routes(routes!(single_sync::status))
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
