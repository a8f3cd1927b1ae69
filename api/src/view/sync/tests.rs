//! Syncs in every situation, and what their user sees.

use super::*;
use paceline_shared::{
    UserId,
    failure::{Code, Failure},
};
use serde_json::{Value, json};
use sqlx::{postgres::types::PgRange, types::Json};

fn at(minute: u32, second: u32) -> DateTime<Utc> {
    format!("2026-11-20T10:{minute:02}:{second:02}Z").parse().unwrap()
}

pub(crate) fn queued() -> Sync {
    Sync {
        id: JobId::fresh(),
        user: UserId::fresh(),
        provider: Provider::Strava,
        job_type: JobType::Activities,
        range: PgRange { start: Bound::Unbounded, end: Bound::Unbounded },
        state: JobState::Queued,
        phase: Phase::Fetch,
        retrying: false,
        attempt: 0,
        max_retries: 5,
        batch_size: Some(50),
        waiting_for: None,
        waiting_until: None,
        estimated_total: None,
        counts: Json(Counts::default()),
        phase_times: json!({}),
        error_count: 0,
        last_error: None,
        last_page: 0,
        created_at: at(0, 0),
        started_at: None,
        updated_at: at(0, 0),
        finished_at: None,
    }
}

/// In a state, with nothing counted.
pub(crate) fn sync(state: JobState, phase: Phase) -> Sync {
    Sync { state, phase, ..queued() }
}

pub(crate) fn fetching() -> Sync {
    Sync {
        state: JobState::Running,
        attempt: 1,
        counts: Json(Counts {
            pages: 2,
            fetched: 400,
            filtered: 10,
            duplicates: 5,
            ..Counts::default()
        }),
        phase_times: json!({"fetch": {"start": at(0, 1)}}),
        last_page: 2,
        started_at: Some(at(0, 1)),
        updated_at: at(0, 20),
        ..queued()
    }
}

pub(crate) fn storing() -> Sync {
    let counts = Counts {
        enriched: 385,
        weather_enriched: 300,
        geocoded: 310,
        enrich_failed: 5,
        enrich_skipped: 80,
        saved: 90,
        updated: 4,
        unchanged: 5,
        failed: 1,
        through: 100,
        ..*fetching().counts
    };
    Sync {
        phase: Phase::Store,
        counts: Json(counts),
        phase_times: json!({
            "fetch": {"start": at(0, 1), "end": at(1, 0)}, "enrich": {"start": at(1, 0), "end": at(2, 0)},
            "store": {"start": at(2, 0)}
        }),
        updated_at: at(2, 10),
        ..fetching()
    }
}

pub(crate) fn failure(code: Code) -> Failure {
    Failure {
        code,
        message: "The provider answered 503.".to_owned(),
        phase: Phase::Store,
        context: json!({"http_status": 503}).as_object().unwrap().clone(),
        at: at(3, 0),
    }
}

fn seen(sync: &Sync) -> Value {
    serde_json::to_value(SyncView::at(sync, at(3, 30))).unwrap()
}

#[test]
fn a_sync_that_nobody_has_begun_shows_nothing_but_what_was_asked() {
    let mut sync = queued();
    let (after, before) = (1_735_689_600, 1_767_225_600);
    let instant = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
    sync.range =
        PgRange { start: Bound::Included(instant(after)), end: Bound::Excluded(instant(before)) };
    let pending = json!({"status": "pending", "processed": 0, "total": null, "errors": 0, "startTime": null, "endTime": null});
    assert_eq!(
        seen(&sync),
        json!({
            "syncId": sync.id, "provider": "strava", "jobType": "activities", "attempt": 0,
            "createdAt": "2026-11-20T10:00:00Z", "updatedAt": "2026-11-20T10:00:00Z",
            "timeRange": {"after": after, "before": before}, "status": "INITIATED",
            "progress": {
                "percent": 0, "totalActivities": null, "processedActivities": 0, "currentPhase": null, "currentBatch": null,
                "steps": {"unit": "page", "done": 0, "total": null},
                "phaseProgress": {"fetching": pending, "enriching": pending, "storing": pending},
                "startTime": null, "estimatedCompletion": null
            }
        })
    );
}

#[test]
fn while_pages_arrive_nobody_knows_how_many_there_will_be() {
    let view = seen(&fetching());
    assert_eq!(
        (&view["status"], &view["progress"]["currentPhase"]),
        (&json!("FETCHING_ACTIVITIES"), &json!("fetching"))
    );
    assert_eq!(view["progress"]["currentBatch"], 3, "two pages are there, the third is in hand");
    assert_eq!(view["progress"]["totalActivities"], Value::Null);
    assert_eq!(view["progress"]["phaseProgress"]["fetching"]["processed"], 400);
    assert_eq!(view["progress"]["phaseProgress"]["fetching"]["total"], Value::Null);
    assert_eq!(view["progress"]["phaseProgress"]["fetching"]["status"], "in_progress");
    let estimated = Sync { estimated_total: Some(1_000), ..fetching() };
    assert_eq!(seen(&estimated)["progress"]["totalActivities"], 1_000);
}

#[test]
fn each_phase_counts_for_itself() {
    let view = seen(&storing());
    assert_eq!(
        (&view["status"], &view["progress"]["percent"]),
        (&json!("STORING_DATA"), &json!(62))
    );
    assert_eq!(
        view["progress"]["phaseProgress"],
        json!({
            "fetching": {"status": "completed", "processed": 400, "total": 400, "errors": 0, "startTime": at(0, 1), "endTime": at(1, 0)},
            "enriching": {"status": "completed", "processed": 385, "total": 385, "errors": 5, "startTime": at(1, 0), "endTime": at(2, 0)},
            "storing": {"status": "in_progress", "processed": 100, "total": 385, "errors": 1, "startTime": at(2, 0), "endTime": null}
        })
    );
    assert_eq!(
        (&view["progress"]["totalActivities"], &view["progress"]["processedActivities"]),
        (&json!(385), &json!(100))
    );
    assert_eq!(view["progress"]["currentBatch"], 3, "two batches of 50 are through");
    assert!(
        view.get("results").is_none()
            && view.get("error").is_none()
            && view.get("waiting").is_none()
    );
}

#[test]
fn an_end_is_foretold_only_from_a_steady_pace() {
    let steady = storing();
    // 100 of 385 in 10 s: the other 285 take 28.5 s.
    assert_eq!(seen(&steady)["progress"]["estimatedCompletion"], "2026-11-20T10:02:38.500Z");
    let counts = Counts { through: 0, ..*steady.counts };
    for untold in [
        fetching(),
        Sync { phase: Phase::Enrich, ..storing() },
        Sync { state: JobState::Queued, ..storing() },
        Sync { state: JobState::Waiting, ..storing() },
        Sync { state: JobState::Completed, ..storing() },
        Sync { error_count: 1, ..storing() },
        Sync { updated_at: at(2, 1), ..storing() },
        Sync { counts: Json(counts), ..storing() },
        Sync { phase_times: json!("nonsense"), ..storing() },
    ] {
        assert_eq!(seen(&untold)["progress"]["estimatedCompletion"], Value::Null, "{untold:?}");
    }
}

#[test]
fn a_completed_sync_shows_its_results_and_not_the_failures_on_its_way() {
    let sync = Sync {
        state: JobState::Completed,
        phase: Phase::Done,
        error_count: 1,
        last_error: Some(Json(failure(Code::TemporaryApiError))),
        finished_at: Some(at(3, 0)),
        batch_size: None,
        ..storing()
    };
    let view = seen(&sync);
    assert_eq!((&view["status"], &view["progress"]["percent"]), (&json!("COMPLETED"), &json!(100)));
    assert_eq!(
        (&view["progress"]["currentPhase"], &view["progress"]["currentBatch"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(view["progress"]["phaseProgress"]["storing"]["status"], "completed");
    assert_eq!(
        view["results"],
        json!({
            "fetch": {"totalFetched": 400, "filteredCount": 10, "duplicatesSkipped": 5},
            "enrich": {"weatherEnriched": 300, "geocoded": 310, "failed": 5, "skipped": 80},
            "store": {"saved": 90, "updated": 4, "skipped": 5, "failed": 1, "removed": 0}
        })
    );
    assert!(view.get("error").is_none());
}

#[test]
fn a_failed_sync_says_where_why_and_what_to_do() {
    let sync = Sync {
        state: JobState::Failed,
        error_count: 1,
        last_error: Some(Json(failure(Code::AuthenticationError))),
        ..storing()
    };
    let view = seen(&sync);
    assert_eq!(view["status"], "FAILED");
    assert_eq!(view["progress"]["phaseProgress"]["storing"]["status"], "failed");
    assert_eq!(view["progress"]["currentPhase"], "storing");
    assert_eq!(
        view["error"],
        json!({
            "code": "authentication_error", "message": "The provider answered 503.", "phase": "storing",
            "retryable": false, "action": "reconnect", "context": {"httpStatus": 503}, "timestamp": at(3, 0)
        })
    );
}

#[test]
fn a_retry_shows_what_it_waits_for_and_why() {
    let sync = Sync {
        state: JobState::Waiting,
        retrying: true,
        error_count: 1,
        last_error: Some(Json(failure(Code::TemporaryApiError))),
        waiting_for: Some("retry".to_owned()),
        waiting_until: Some(at(4, 0)),
        ..storing()
    };
    let view = seen(&sync);
    assert_eq!(view["status"], "RETRYING");
    assert_eq!(
        view["waiting"],
        json!({
            "reason": "retry", "resetAt": "2026-11-20T10:04:00Z",
            "message": "Something went wrong; the next try is at 10:04 UTC."
        })
    );
    assert_eq!(
        (&view["error"]["retryable"], &view["error"]["action"]),
        (&json!(true), &json!("retry"))
    );
}

#[test]
fn a_sync_that_was_cancelled_before_it_began_failed_in_no_phase() {
    let view = seen(&Sync { state: JobState::Cancelled, finished_at: Some(at(1, 0)), ..queued() });
    assert_eq!(view["status"], "CANCELLED");
    assert_eq!(view["progress"]["phaseProgress"]["fetching"]["status"], "pending");
    assert!(view.get("results").is_none());
}

#[test]
fn a_sync_that_nobody_may_take_says_so_though_it_is_queued() {
    let sync = Sync {
        waiting_for: Some("quota_exceeded".to_owned()),
        waiting_until: Some(at(15, 0)),
        ..queued()
    };
    let view = seen(&sync);
    assert_eq!(view["status"], "INITIATED");
    assert_eq!(
        view["waiting"],
        json!({
            "reason": "quota_exceeded", "resetAt": "2026-11-20T10:15:00Z",
            "message": "Strava allows more at 10:15 UTC."
        })
    );
    let paused =
        seen(&Sync { waiting_for: Some("paused".to_owned()), waiting_until: None, ..queued() });
    assert_eq!(
        paused["waiting"],
        json!({"reason": "paused", "resetAt": null, "message": "Syncs with Strava are paused for now."})
    );
}

#[test]
fn steps_are_counted_in_the_providers_own_unit() {
    let with = |provider, pages, pages_left| {
        let mut sync = fetching();
        sync.provider = provider;
        sync.counts = Json(Counts { pages, pages_left, ..Counts::default() });
        seen(&sync)["progress"]["steps"].clone()
    };
    assert_eq!(
        with(Provider::Fitbit, 3, Some(9)),
        json!({"unit": "chunk", "done": 3, "total": 12})
    );
    assert_eq!(
        with(Provider::Garmin, 7, Some(0)),
        json!({"unit": "window", "done": 7, "total": 7})
    );
    assert_eq!(
        with(Provider::Withings, 2, None),
        json!({"unit": "page", "done": 2, "total": null})
    );
    assert_eq!(seen(&storing())["progress"]["steps"]["total"], 2, "what was read is all there was");
}
