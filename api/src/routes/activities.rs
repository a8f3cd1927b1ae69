//! `/api/v1/activities`: what was stored.

use crate::{
    app::App,
    auth::Caller,
    cursor::{Cursor, page},
    extract::{Bounded, Json, Query, UnixSeconds},
    openapi::problems,
    problem::Problem,
    view::activity::ActivityView,
};
use axum::extract::State;
use paceline_shared::{
    Provider,
    db::activities::{self, Filter},
};
use serde::{Deserialize, Serialize};

problems!(ListProblems: AnotherUser, InvalidRequest, InvalidCursor);

/// The longest name of a sport type, in bytes.
const TYPE_LIMIT: usize = 100;

/// What an activity can bring along.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Include {
    /// What the provider sent, whole.
    Payload,
}

/// Which activities to list.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this provider's.
    provider: Option<Provider>,
    /// Only this sport type, in the provider's word.
    #[param(example = "Run", max_length = 100)]
    sport_type: Option<String>,
    /// Begun at or after; Unix seconds.
    #[param(value_type = Option<i64>, minimum = 0, example = 1_735_689_600)]
    after: Option<UnixSeconds>,
    /// Begun before; Unix seconds.
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

/// A page of activities.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ActivityPage {
    /// The activities, newest start first.
    items: Vec<ActivityView>,
    /// Where the next page begins; null on the last.
    next_cursor: Option<String>,
}

/// Lists activities, newest start first.
#[utoipa::path(get, path = "/api/v1/activities", operation_id = "listActivities", tag = "data", security(("bearer" = [])), params(ListQuery),
    responses((status = OK, description = "A page", body = ActivityPage), ListProblems))]
pub(super) async fn list(
    State(app): State<App>,
    me: Caller,
    Query(ask): Query<ListQuery>,
) -> Result<Json<ActivityPage>, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    if let (Some(after), Some(before)) = (ask.after, ask.before)
        && after >= before
    {
        return Err(Problem::invalid_field("after", "must be earlier than before"));
    }
    if ask.sport_type.as_ref().is_some_and(|t| t.len() > TYPE_LIMIT || t.contains(char::is_control))
    {
        let message = format!("must be at most {TYPE_LIMIT} bytes without control characters");
        return Err(Problem::invalid_field("sportType", message));
    }
    let filter = Filter {
        provider: ask.provider,
        sport_type: ask.sport_type,
        after: ask.after.map(UnixSeconds::instant),
        before: ask.before.map(UnixSeconds::instant),
        cursor: ask.cursor.as_deref().map(Cursor::from_text).transpose()?,
        payload: ask.include == Some(Include::Payload),
        originals: false,
    };
    let limit = ask.limit.map_or(50, |limit| i64::from(limit.value()));
    let rows = activities::list(&app.db, user, &filter, limit + 1).await?;
    let (rows, next_cursor) = page(rows, limit, |row| (row.start_at, row.id));
    Ok(Json(ActivityPage { items: rows.into_iter().map(Into::into).collect(), next_cursor }))
}
