//! `/api/v1/data`: what a dashboard shows. When it is stale, reading it starts the syncs that freshen it.

use super::syncs::wake;
use crate::{
    app::App,
    auth::Caller,
    cursor::page,
    extract::{Bounded, Json, Query, UnixSeconds},
    observe::{acted, request_id},
    openapi::problems,
    problem::Problem,
    view::{
        activity::ActivityView,
        dashboard::{DashboardView, SourceView},
        measurement::MeasurementView,
    },
};
use axum::extract::State;
use futures::future::join_all;
use paceline_shared::{
    JobId, UserId,
    db::{
        self, activities,
        connections::{self, Source},
        measurements,
        sync_jobs::{self, Enqueued, NewSync, WhenLive},
        sync_progress, syncs,
    },
    sync_spec::{Class, SyncOptions},
};
use serde::Deserialize;
use sqlx::postgres::types::PgRange;
use std::{ops::Bound, time::Duration};
use uuid::Uuid;

problems!(ShowProblems: AnotherUser, InvalidRequest);

/// What to show.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DashboardQuery {
    /// Begun or measured at or after; Unix seconds. 30 days ago by default.
    #[param(value_type = Option<i64>, minimum = 0, example = 1_735_689_600)]
    after: Option<UnixSeconds>,
    /// Begun or measured before; Unix seconds. Now by default.
    #[param(value_type = Option<i64>, minimum = 0, example = 1_767_225_600)]
    before: Option<UnixSeconds>,
    /// How old, in seconds, data may be before a refresh is started; 300 by default.
    #[param(value_type = Option<i32>, minimum = 10, maximum = 21_600)]
    stale_after: Option<Bounded<10, 21_600>>,
    /// Seconds to wait for a refresh to end; 0 by default. The data are then those that it brought.
    #[param(value_type = Option<i32>, minimum = 0, maximum = 25)]
    wait: Option<Bounded<0, 25>>,
    /// The most of each kind, 200 by default.
    #[param(value_type = Option<i32>, minimum = 1, maximum = 500)]
    limit: Option<Bounded<1, 500>>,
    /// Whose; only a service role may name somebody else.
    user_id: Option<String>,
}

const STALE_AFTER_S: i16 = 300;
const SHOWN_DAYS: i64 = 30;

/// Shows activities and measured values of a range, newest first.
///
/// When a connected provider was not read for longer than `staleAfter`, one sync for each such connection is started,
/// or the one under way is joined, and `progressId` names them all: watch it with `GET /api/v1/progress/{id}`. What a
/// provider merely passes on from another one that is connected too is left out.
#[utoipa::path(get, path = "/api/v1/data", operation_id = "showData", tag = "data", security(("bearer" = [])), params(DashboardQuery),
    responses((status = OK, description = "What there is", body = DashboardView), ShowProblems))]
pub(super) async fn show(
    State(app): State<App>,
    me: Caller,
    Query(ask): Query<DashboardQuery>,
) -> Result<Json<DashboardView>, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let now = chrono::Utc::now();
    let before = ask.before.map_or(now, UnixSeconds::instant);
    let after =
        ask.after.map_or(before - chrono::TimeDelta::days(SHOWN_DAYS), UnixSeconds::instant);
    if after >= before {
        return Err(Problem::invalid_field("after", "must be earlier than before"));
    }
    let stale_after = ask.stale_after.map_or(STALE_AFTER_S, Bounded::value);
    let limit = ask.limit.map_or(200, |limit| i64::from(limit.value()));
    let sources = connections::sources(&app.db, user, stale_after.into()).await?;
    let refresh = refresh(&app, &me, user, &sources).await?;
    if let Some((_, syncs)) = &refresh {
        let seconds = ask.wait.map_or(0, Bounded::value);
        wait(&app, user, syncs, Duration::from_secs(u64::from(seconds.unsigned_abs()))).await?;
    }
    let live = match &refresh {
        Some((_, syncs)) => !sync_jobs::still_live(&app.db, syncs).await?.is_empty(),
        None => false,
    };
    let sources = if refresh.is_some() {
        connections::sources(&app.db, user, stale_after.into()).await?
    } else {
        sources
    };

    let filter = activities::Filter {
        after: Some(after),
        before: Some(before),
        originals: true,
        ..activities::Filter::default()
    };
    let done = activities::list(&app.db, user, &filter, limit + 1).await?;
    let filter = measurements::Filter {
        after: Some(after),
        before: Some(before),
        originals: true,
        ..measurements::Filter::default()
    };
    let values = measurements::list(&app.db, user, &filter, limit + 1).await?;
    let (done, more_done) = page(done, limit, |row| (row.start_at, row.id));
    let (values, more_values) = page(values, limit, |row| (row.measured_at, row.id));
    Ok(Json(DashboardView {
        after,
        before,
        stale_after_s: stale_after,
        refreshing: live,
        progress_id: refresh.map(|(id, _)| id),
        sources: sources.iter().map(SourceView::from).collect(),
        activities: done.into_iter().map(ActivityView::from).collect(),
        measurements: values.into_iter().map(MeasurementView::from).collect(),
        truncated: more_done.is_some() || more_values.is_some(),
    }))
}

/// Starts or joins a sync for each connection that is stale. `None`: nothing is stale and nothing is under way.
async fn refresh(
    app: &App,
    me: &Caller,
    user: UserId,
    sources: &[Source],
) -> Result<Option<(Uuid, Vec<JobId>)>, Problem> {
    let wanted: Vec<&Source> =
        sources.iter().filter(|source| source.live.is_some() || source.wants_refresh()).collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let (mut syncs, mut fresh) = (Vec::new(), Vec::new());
    let mut tx = db::begin(&app.db).await?;
    for source in wanted {
        let Some(job_type) = source.provider.usual_job_type() else { continue };
        if let Some(live) = source.live {
            syncs.push(live);
            continue;
        }
        let sync = NewSync {
            user,
            connection: source.id,
            provider: source.provider,
            job_type,
            class: Class::Interactive,
            range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
            options: SyncOptions { only_new: true, ..SyncOptions::default() },
            trace: request_id(),
            requested_by: me.on_behalf_of(user),
        };
        match sync_jobs::enqueue(&mut tx, &sync, WhenLive::Refuse).await? {
            Enqueued::New(id) => {
                fresh.push((id, source.provider));
                syncs.push(id);
            }
            Enqueued::Live(id) | Enqueued::Merged(id) => syncs.push(id),
        }
    }
    if syncs.is_empty() {
        return Ok(None);
    }
    let id = sync_progress::group(&mut tx, &syncs, Uuid::now_v7()).await?;
    tx.commit().await.map_err(db::Error::from)?;
    for (sync, provider) in fresh {
        acted("submit", me.user, user, sync, provider);
        wake(app, provider, sync);
    }
    Ok(Some((id, syncs)))
}

/// Until all of them have ended, or the time is over.
pub(super) async fn wait(
    app: &App,
    user: UserId,
    syncs: &[JobId],
    limit: Duration,
) -> Result<(), Problem> {
    if limit.is_zero() {
        return Ok(());
    }
    let waits = syncs.iter().map(|id| async {
        // Before the read: an end between the two is seen.
        let wait = app.live.wait_for(*id);
        if let Some(sync) = syncs::find(&app.db, user, *id).await?
            && !sync.state.is_final()
        {
            wait.ended(limit).await;
        }
        Ok::<_, db::Error>(())
    });
    for waited in join_all(waits).await {
        waited?;
    }
    Ok(())
}
