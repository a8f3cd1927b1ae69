//! `/api/v1/daily-summaries`: days' totals and nights.

use super::activities::Include;
use crate::{
    app::App,
    auth::Caller,
    cursor::{Cursor, page},
    extract::{Bounded, Day, Json, Query},
    openapi::problems,
    problem::Problem,
    view::daily_summary::DailySummaryView,
};
use axum::extract::State;
use paceline_shared::{
    Provider,
    db::daily_summaries::{self, Filter},
    record::DayKind,
};
use serde::{Deserialize, Serialize};

problems!(ListProblems: AnotherUser, InvalidRequest, InvalidCursor);

/// Which days and nights to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this provider's.
    provider: Option<Provider>,
    /// Only days' activity, or only nights.
    kind: Option<DayKind>,
    /// From this day on.
    #[param(value_type = Option<String>, format = Date, example = "2026-05-01")]
    from: Option<Day>,
    /// Up to this day, itself left out.
    #[param(value_type = Option<String>, format = Date, example = "2026-06-01")]
    to: Option<Day>,
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

/// A page of days and nights.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DailySummaryPage {
    /// The days and nights, newest first.
    items: Vec<DailySummaryView>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Lists days' totals and nights, newest first.
#[utoipa::path(get, path = "/api/v1/daily-summaries", operation_id = "listDailySummaries", tag = "data", security(("bearer" = [])), params(ListQuery),
    responses((status = OK, description = "A page", body = DailySummaryPage), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    me: Caller,
    Query(ask): Query<ListQuery>,
) -> Result<Json<DailySummaryPage>, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    if let (Some(from), Some(to)) = (ask.from, ask.to)
        && from >= to
    {
        return Err(Problem::invalid_field("from", "must be earlier than to"));
    }
    let filter = Filter {
        provider: ask.provider,
        kind: ask.kind,
        from: ask.from.map(|Day(day)| day),
        to: ask.to.map(|Day(day)| day),
        cursor: ask.cursor.as_deref().map(Cursor::from_text).transpose()?,
        payload: ask.include == Some(Include::Payload),
    };
    let limit = ask.limit.map_or(50, |limit| i64::from(limit.value()));
    let rows = daily_summaries::list(&app.db, user, &filter, limit + 1).await?;
    let (rows, next_cursor) = page(rows, limit, |row| (row.day, row.id));
    Ok(Json(DailySummaryPage { items: rows.into_iter().map(Into::into).collect(), next_cursor }))
}
