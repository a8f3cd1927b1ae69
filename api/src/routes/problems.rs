//! `/problems/{name}`: what the `type` of a problem refers to.

use crate::{
    extract::{Json, ProblemName},
    problem::Body,
};
use serde::Serialize;

/// A kind of problem, explained.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct ProblemType {
    /// As problems carry it.
    #[schema(example = "/problems/already-running")]
    r#type: String,
    /// In a few words.
    title: &'static str,
    /// The HTTP status it comes with.
    status: u16,
    /// What it means and what to do about it.
    meaning: &'static str,
}

/// What a kind of problem means and what to do about it.
#[utoipa::path(get, path = "/problems/{name}", operation_id = "showProblem", tag = "operations",
    params(("name" = String, Path, description = "The last part of a problem's type", example = "already-running")),
    responses(
        (status = OK, description = "The kind", body = ProblemType),
        (status = NOT_FOUND, description = "`unknown-problem`", body = Body, content_type = "application/problem+json")))]
pub(super) async fn show(ProblemName(kind): ProblemName) -> Json<ProblemType> {
    let entry = kind.entry();
    Json(ProblemType {
        r#type: kind.reference(),
        title: entry.title,
        status: entry.status.as_u16(),
        meaning: entry.meaning,
    })
}
