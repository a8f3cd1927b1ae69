//! `/api/v1/measurements`: what was measured of the body.

use super::activities::Include;
use crate::{
    app::App,
    auth::Caller,
    cursor::{Cursor, Measured, page},
    extract::{Bounded, Json, Query, UnixSeconds},
    openapi::problems,
    problem::Problem,
    view::measurement::MeasurementView,
};
use axum::extract::State;
use paceline_shared::{
    Provider,
    db::measurements::{self, Filter},
    record::Measure,
};
use serde::{Deserialize, Serialize};

problems!(ListProblems: AnotherUser, InvalidRequest, InvalidCursor);

/// Which values to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this provider's.
    provider: Option<Provider>,
    /// Only of this type.
    r#type: Option<Measure>,
    /// Measured at or after; Unix seconds.
    #[param(value_type = Option<i64>, minimum = 0, example = 1_735_689_600)]
    after: Option<UnixSeconds>,
    /// Measured before; Unix seconds.
    #[param(value_type = Option<i64>, minimum = 0, example = 1_767_225_600)]
    before: Option<UnixSeconds>,
    /// How many, 50 by default.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 200)]
    limit: Option<Bounded<1, 200>>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// What else to bring.
    #[param(inline)]
    include: Option<Include>,
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

/// A page of measured values.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MeasurementPage {
    /// The values, newest first.
    items: Vec<MeasurementView>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Lists measured values, newest first.
#[utoipa::path(get, path = "/api/v1/measurements", operation_id = "listMeasurements", tag = "data", security(("bearer" = [])), params(ListQuery),
    responses((status = OK, description = "A page", body = MeasurementPage), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    me: Caller,
    Query(ask): Query<ListQuery>,
) -> Result<Json<MeasurementPage>, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    if let (Some(after), Some(before)) = (ask.after, ask.before)
        && after >= before
    {
        return Err(Problem::invalid_field("after", "must be earlier than before"));
    }
    let cursor = ask.cursor.as_deref().map(Measured::from_text).transpose()?;
    let filter = Filter {
        provider: ask.provider,
        measure: ask.r#type,
        after: ask.after.map(UnixSeconds::instant),
        before: ask.before.map(UnixSeconds::instant),
        cursor: cursor.map(|Measured(at, id)| (at, id)),
        payload: ask.include == Some(Include::Payload),
        originals: false,
    };
    let limit = ask.limit.map_or(50, |limit| i64::from(limit.value()));
    let rows = measurements::list(&app.db, user, &filter, limit + 1).await?;
    let (rows, next_cursor) = page(rows, limit, |row| Measured(row.measured_at, row.id));
    Ok(Json(MeasurementPage { items: rows.into_iter().map(Into::into).collect(), next_cursor }))
}
