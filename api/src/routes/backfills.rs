//! `/api/v1/backfills`: a long history in slices, each a sync of its own.

use super::syncs::{
    request::{Options, check_job_type, checked_options},
    usable_connection,
};
use crate::{
    app::App,
    auth::Caller,
    extract::{Bounded, IdempotencyKey, Json, Object, UnixSeconds},
    idempotency::{self, Answer},
    observe::request_id,
    openapi::problems,
    problem::{FieldError, Problem},
};
use axum::extract::State;
use chrono::{DateTime, Utc};
use paceline_shared::{
    JobId, JobType, Provider,
    db::{
        self,
        sync_jobs::{self, NewSync, SliceOutcome},
    },
    notify,
    slices::{MAX_SLICES, SLICE_DAYS, Slice, Slices},
    sync_spec::{Class, SyncOptions},
};
use serde::{Deserialize, Serialize};
use sqlx::postgres::types::PgRange;
use std::ops::Bound;

problems!(CreateProblems: AnotherUser, UnsupportedMediaType, BodyTooLarge, BrokenBody, InvalidRequest,
    IdempotencyKeyReused, NotConnected, NeedsReauth, ProviderGone);

/// Days of a slice when nothing is said.
const USUAL_DAYS: i16 = 30;
/// So many ids stand in an answer; `GET /api/v1/syncs` lists all.
const IDS_SHOWN: usize = 100;

/// A history to bring in.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "provider": "strava", "jobType": "activities",
    "timeRange": { "after": 1_420_070_400, "before": 1_767_225_600 }, "sliceDays": 30
}))]
pub(crate) struct BackfillRequest {
    /// From where.
    provider: Provider,
    /// What; not every provider has every type.
    job_type: JobType,
    /// For whom, as the token's subject. Only a service role may name somebody else.
    user_id: Option<String>,
    /// Activities that began within.
    #[schema(value_type = BackfillRange)]
    time_range: Object<BackfillRange>,
    /// Days in a slice, 30 by default. Slices begin at whole multiples of it since 1970-01-01, UTC.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 366)]
    slice_days: Option<Bounded<1, 366>>,
    /// How each slice is done.
    #[schema(value_type = Option<Options>)]
    options: Option<Object<Options>>,
}

/// A range of start times in Unix seconds.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackfillRange {
    /// At or after.
    #[schema(value_type = i64, minimum = 0, example = 1_420_070_400)]
    after: UnixSeconds,
    /// Before; the end of the slice that holds today when it is left out or lies in the future.
    #[schema(value_type = Option<i64>, minimum = 0, example = 1_767_225_600)]
    before: Option<UnixSeconds>,
}

/// What became of a backfill.
#[derive(Debug, Default, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Backfill)]
pub(crate) struct BackfillView {
    /// Slices of the range.
    slices: usize,
    /// Those for which a sync was queued.
    queued: usize,
    /// Those that a sync under way brings already, with the options that it has.
    joined: usize,
    /// Those whose former sync is being cancelled at this moment: ask for them again in some seconds.
    stopping: usize,
    /// The syncs of the slices, newest slice first: the first hundred. Each is shown, watched, retried and
    /// cancelled as any sync.
    sync_ids: Vec<JobId>,
}

impl From<&[SliceOutcome]> for BackfillView {
    fn from(outcomes: &[SliceOutcome]) -> Self {
        let mut view = Self { slices: outcomes.len(), ..Self::default() };
        for outcome in outcomes {
            match outcome {
                SliceOutcome::Queued(_) => view.queued += 1,
                SliceOutcome::Joined(_) => view.joined += 1,
                SliceOutcome::Stopping(_) => view.stopping += 1,
            }
        }
        view.sync_ids = outcomes.iter().take(IDS_SHOWN).map(|slice| slice.job()).collect();
        view
    }
}

/// What makes sense of a request.
#[derive(Debug)]
struct Asked {
    job_type: JobType,
    slices: Slices,
    options: SyncOptions,
}

impl BackfillRequest {
    /// Checks what no single field can know; names every fault.
    fn checked(self, now: DateTime<Utc>) -> Result<Asked, Problem> {
        let mut errors = Vec::new();
        check_job_type(self.provider, self.job_type, &mut errors);
        let Object(BackfillRange { after, before }) = self.time_range;
        let days = self.slice_days.map_or(USUAL_DAYS, Bounded::value).unsigned_abs();
        debug_assert!(SLICE_DAYS.contains(&days));
        let slices = Slices::of(after.instant(), before.map(UnixSeconds::instant), now, days);
        if before.is_some_and(|before| after >= before) {
            errors.push(FieldError::new("timeRange", "after must be earlier than before"));
        } else if after.instant() >= now {
            errors.push(FieldError::new("timeRange.after", "must be in the past"));
        } else if slices.count() > MAX_SLICES {
            let message = format!(
                "would be {} slices, and {MAX_SLICES} is the most: take more sliceDays or a shorter timeRange",
                slices.count()
            );
            errors.push(FieldError::new("sliceDays", message));
        }
        let options = checked_options(self.options, &mut errors);
        if errors.is_empty() {
            Ok(Asked { job_type: self.job_type, slices, options })
        } else {
            Err(Problem::invalid(errors))
        }
    }
}

/// Brings in a long history, in slices.
///
/// Each slice is a sync of its own, newest first, behind everything that somebody waits for; a user's own
/// sync runs beside them. A slice that is under way already is not queued twice. With an `Idempotency-Key` a
/// request may be repeated: it is answered the same for a day.
#[utoipa::path(post, path = "/api/v1/backfills", operation_id = "createBackfill", tag = "syncs", security(("bearer" = [])),
    params(IdempotencyKey),
    request_body = BackfillRequest,
    responses(
        (status = ACCEPTED, description = "Queued", body = BackfillView,
            headers(("Idempotency-Replayed" = String, description = "`true` when this was answered before"))),
        CreateProblems))]
pub(super) async fn create(
    State(app): State<App>,
    me: Caller,
    key: IdempotencyKey,
    Json(ask): Json<BackfillRequest>,
) -> Result<Answer, Problem> {
    let user = me.acting_for(&app, ask.user_id.as_deref()).await?;
    let once = idempotency::Request::new(key, me.user, "POST /api/v1/backfills", &ask)?;
    let provider = ask.provider;
    let Asked { job_type, slices, options } = ask.checked(Utc::now())?;

    let mut tx = db::begin(&app.db).await?;
    if let Some(answer) = once.answered(&mut tx).await? {
        return Ok(answer);
    }
    let connection = usable_connection(&mut tx, user, provider).await?.id;
    let slices: Vec<Slice> = slices.newest_first().collect();
    let sync = NewSync {
        user,
        connection,
        provider,
        job_type,
        class: Class::Backfill,
        range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
        options,
        trace: request_id(),
        requested_by: me.on_behalf_of(user),
    };
    let outcomes = sync_jobs::enqueue_slices(&mut tx, &sync, &slices).await?;
    let view = BackfillView::from(outcomes.as_slice());
    let answer = once.accepted(&mut tx, &view).await?;
    tx.commit().await.map_err(db::Error::from)?;
    tracing::info!(
        provider = provider.as_str(),
        slices = view.slices,
        queued = view.queued,
        "a backfill is queued"
    );
    app.notifier.say(notify::JOBS, &provider);
    for outcome in &outcomes {
        if let SliceOutcome::Queued(job) = outcome {
            app.notifier.say(notify::LIVE, job);
        }
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn asked(changes: &Value) -> Result<Asked, Problem> {
        let mut request = json!({
            "provider": "strava", "jobType": "activities",
            "timeRange": {"after": 1_420_070_400, "before": 1_767_225_600}
        });
        request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let now = "2026-03-01T12:00:00Z".parse().unwrap();
        serde_json::from_value::<BackfillRequest>(request).unwrap().checked(now)
    }

    fn faults(changes: &Value) -> Vec<(String, String)> {
        let problem = asked(changes).unwrap_err();
        problem.errors().iter().map(|e| (e.field.clone(), e.message.clone())).collect()
    }

    #[test]
    fn eleven_years_are_a_hundred_and_thirty_five_slices_of_thirty_days() {
        let asked = asked(&json!({})).unwrap();
        assert_eq!(asked.slices.count(), 135);
        assert_eq!(asked.options, SyncOptions::default());
    }

    #[test]
    fn more_slices_than_one_request_may_make_are_refused_with_what_to_do() {
        let decades = json!({"after": 0, "before": 1_767_225_600});
        let [(field, message)] = &*faults(&json!({"timeRange": decades, "sliceDays": 1})) else {
            panic!("one fault");
        };
        assert_eq!(field, "sliceDays");
        assert!(message.contains("20454 slices") && message.contains("sliceDays"), "{message}");
        assert_eq!(
            asked(&json!({"timeRange": decades, "sliceDays": 5})).unwrap().slices.count(),
            4091
        );
    }

    #[test]
    fn a_range_that_holds_nothing_is_refused() {
        let empty = json!({"timeRange": {"after": 100, "before": 100}});
        assert_eq!(faults(&empty)[0].0, "timeRange");
        let future = json!({"timeRange": {"after": 4_000_000_000_i64}});
        assert_eq!(faults(&future)[0].0, "timeRange.after");
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let wrong = json!({"provider": "fitbit", "jobType": "health", "timeRange": {"after": 2, "before": 1}, "options": {"activityTypes": [""]}});
        let fields: Vec<String> = faults(&wrong).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["jobType", "timeRange", "options.activityTypes[0]"]);
    }
}
