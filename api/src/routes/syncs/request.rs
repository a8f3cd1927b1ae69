//! What a caller asks for in `POST /api/v1/syncs`, and whether it makes sense.

use crate::{
    extract::{Bounded, Object, UnixSeconds},
    problem::{FieldError, Problem},
};
use chrono::{DateTime, Utc};
use paceline_shared::{JobType, Provider, sync_spec::SyncOptions};
use serde::{Deserialize, Serialize};
use sqlx::postgres::types::PgRange;
use std::ops::Bound;

/// A sync to start.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "provider": "strava", "jobType": "activities",
    "timeRange": { "after": 1_735_689_600, "before": 1_767_225_600 },
    "options": { "batchSize": 100, "includeGeocoding": true, "activityTypes": ["Run", "Ride"] }
}))]
pub(crate) struct SyncRequest {
    /// From where.
    pub(super) provider: Provider,
    /// What; not every provider has every type.
    job_type: JobType,
    /// For whom, as the token's subject. Only a service role may name somebody else.
    pub(super) user_id: Option<String>,
    /// Only activities that began within; the whole history when it is left out.
    #[schema(value_type = Option<TimeRange>)]
    time_range: Option<Object<TimeRange>>,
    /// How.
    #[schema(value_type = Option<Options>)]
    options: Option<Object<Options>>,
}

/// A range of start times in Unix seconds. A side that is left out is open.
#[derive(Debug, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeRange {
    /// At or after.
    #[schema(value_type = Option<i64>, minimum = 0, example = 1_735_689_600)]
    after: Option<UnixSeconds>,
    /// Before.
    #[schema(value_type = Option<i64>, minimum = 0, example = 1_767_225_600)]
    before: Option<UnixSeconds>,
}

/// How a sync is done. What is left out has its default.
#[derive(Debug, Default, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SyncOptions)]
pub(crate) struct Options {
    /// Records per enrich and store batch; 200 by default.
    #[schema(value_type = Option<i32>, minimum = 1, maximum = 200)]
    batch_size: Option<Bounded<1, 200>>,
    /// Failed attempts that are retried; 5 by default.
    #[schema(value_type = Option<i32>, minimum = 0, maximum = 20)]
    max_retries: Option<Bounded<0, 20>>,
    /// Seconds that one attempt may take; left out, the worker's own limit counts.
    #[schema(value_type = Option<i32>, minimum = 30, maximum = 21_600)]
    timeout_seconds: Option<Bounded<30, 21_600>>,
    /// Leaves the weather out; false by default.
    skip_weather_enrichment: Option<bool>,
    /// Adds city, state and country; true by default.
    include_geocoding: Option<bool>,
    /// Reads only what was not read before, and the days in which the provider's records may still change; false by
    /// default.
    only_new: Option<bool>,
    /// Keeps only these of the provider's sport types; left out or empty keeps all.
    #[schema(max_items = 100, example = json!(["Run", "Ride"]))]
    activity_types: Option<Vec<String>>,
}

/// What makes sense of it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) job_type: JobType,
    pub(super) range: PgRange<DateTime<Utc>>,
    pub(super) options: SyncOptions,
}

/// The most sport types in one request.
const TYPES_LIMIT: usize = 100;
/// The longest name of a sport type, in bytes.
const TYPE_LIMIT: usize = 100;

impl SyncRequest {
    /// Checks what no single field can know; names every fault.
    pub(super) fn checked(self) -> Result<Asked, Problem> {
        let mut errors = Vec::new();
        check_job_type(self.provider, self.job_type, &mut errors);
        let (after, before) =
            self.time_range.map_or((None, None), |Object(range)| (range.after, range.before));
        if let (Some(after), Some(before)) = (after, before)
            && after >= before
        {
            errors.push(FieldError::new("timeRange", "after must be earlier than before"));
        }
        let options = checked_options(self.options, &mut errors);
        if !errors.is_empty() {
            return Err(Problem::invalid(errors));
        }
        let range = PgRange {
            start: after.map_or(Bound::Unbounded, |at| Bound::Included(at.instant())),
            end: before.map_or(Bound::Unbounded, |at| Bound::Excluded(at.instant())),
        };
        Ok(Asked { job_type: self.job_type, range, options })
    }
}

/// Not every provider has every type.
pub(in crate::routes) fn check_job_type(
    provider: Provider,
    job_type: JobType,
    errors: &mut Vec<FieldError>,
) {
    if !provider.job_types().contains(&job_type) {
        let message = format!("{} has no {job_type} to sync in this version", provider.title());
        errors.push(FieldError::new("jobType", message));
    }
}

/// The options with their defaults, and what is wrong with them.
pub(in crate::routes) fn checked_options(
    asked: Option<Object<Options>>,
    errors: &mut Vec<FieldError>,
) -> SyncOptions {
    let options = asked.map_or_else(SyncOptions::default, |Object(options)| options.into());
    if options.activity_types.len() > TYPES_LIMIT {
        let message = format!("must be at most {TYPES_LIMIT} names");
        errors.push(FieldError::new("options.activityTypes", message));
    }
    for (n, name) in options.activity_types.iter().enumerate() {
        if name.is_empty() || name.len() > TYPE_LIMIT || name.contains(char::is_control) {
            let field = format!("options.activityTypes[{n}]");
            let message = format!("must be 1 to {TYPE_LIMIT} bytes without control characters");
            errors.push(FieldError::new(field, message));
            break;
        }
    }
    options
}

impl From<Options> for SyncOptions {
    fn from(asked: Options) -> Self {
        let usual = Self::default();
        let batch_size = asked.batch_size.and_then(|size| size.value().try_into().ok());
        Self {
            batch_size: batch_size.unwrap_or(usual.batch_size),
            max_retries: asked.max_retries.map_or(usual.max_retries, Bounded::value),
            timeout_seconds: asked.timeout_seconds.map(|s| s.value().unsigned_abs().into()),
            skip_weather_enrichment: asked
                .skip_weather_enrichment
                .unwrap_or(usual.skip_weather_enrichment),
            include_geocoding: asked.include_geocoding.unwrap_or(usual.include_geocoding),
            only_new: asked.only_new.unwrap_or(usual.only_new),
            activity_types: asked.activity_types.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use paceline_shared::sync_spec::{MAX_BATCH_SIZE, MAX_RETRIES, TIMEOUT_SECONDS};
    use serde_json::{Value, json};

    fn asked(changes: &Value) -> Result<Asked, Problem> {
        let mut request = json!({"provider": "strava", "jobType": "activities"});
        request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value::<SyncRequest>(request).unwrap().checked()
    }

    fn instant(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let new = asked(&json!({"options": {"onlyNew": true}})).unwrap();
        assert!(new.options.only_new);
        let whole = asked(&json!({})).unwrap();
        assert_eq!((whole.range.start, whole.range.end), (Bound::Unbounded, Bound::Unbounded));
        assert_eq!(whole.options, SyncOptions::default());
        let nulls = asked(&json!({"timeRange": null, "options": null, "userId": null})).unwrap();
        assert_eq!(nulls.options, SyncOptions::default());
        let open = asked(&json!({"timeRange": {"after": 100}})).unwrap();
        assert_eq!(
            (open.range.start, open.range.end),
            (Bound::Included(instant(100)), Bound::Unbounded)
        );
    }

    #[test]
    fn the_bounds_are_those_of_the_pipeline() {
        let most =
            asked(&json!({"options": {"batchSize": MAX_BATCH_SIZE, "maxRetries": MAX_RETRIES}}))
                .unwrap();
        assert_eq!(
            (most.options.batch_size, most.options.max_retries),
            (MAX_BATCH_SIZE, MAX_RETRIES)
        );
        let (shortest, longest) = TIMEOUT_SECONDS.into_inner();
        for limit in [shortest, longest] {
            let asked = asked(&json!({"options": {"timeoutSeconds": limit}})).unwrap();
            assert_eq!(asked.options.timeout_seconds, Some(limit));
        }
        for options in [
            json!({"batchSize": MAX_BATCH_SIZE + 1}),
            json!({"maxRetries": MAX_RETRIES + 1}),
            json!({"timeoutSeconds": shortest - 1}),
            json!({"timeoutSeconds": longest + 1}),
        ] {
            serde_json::from_value::<Options>(options).unwrap_err();
        }
    }

    #[test]
    fn a_range_that_holds_nothing_is_refused() {
        for range in [json!({"after": 200, "before": 100}), json!({"after": 100, "before": 100})] {
            asked(&json!({"timeRange": range})).unwrap_err();
        }
        asked(&json!({"timeRange": {"after": 100, "before": 101}})).unwrap();
    }

    #[test]
    fn all_faults_are_named_at_once() {
        let problem = asked(&json!({
            "provider": "fitbit", "jobType": "health", "timeRange": {"after": 2, "before": 1},
            "options": {"activityTypes": ["Run", "a\u{0}b"]}
        }))
        .unwrap_err();
        let body = problem_fields(&problem);
        assert_eq!(body, ["jobType", "timeRange", "options.activityTypes[1]"]);
    }

    fn problem_fields(problem: &Problem) -> Vec<&str> {
        problem.errors().iter().map(|error| error.field.as_str()).collect()
    }
}
