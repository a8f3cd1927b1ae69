//! A day or a night as its user reads it. Units stand in the names.

use chrono::{DateTime, NaiveDate, Utc};
use paceline_shared::{JobId, Provider, db::daily_summaries::Row, record::DayKind};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// A day's totals, or a night. What the provider does not tell is null, never 0.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = DailySummary)]
pub(crate) struct DailySummaryView {
    /// Our id.
    pub(crate) id: Uuid,
    /// From where.
    pub(crate) provider: Provider,
    /// The provider's id.
    pub(crate) provider_record_id: String,
    /// The sync that last wrote it.
    pub(crate) sync_id: JobId,
    /// What it sums up.
    pub(crate) kind: DayKind,
    /// The day on the user's calendar; a night belongs to the day on which it ended.
    #[schema(value_type = String, format = Date, example = "2026-05-03")]
    pub(crate) day: NaiveDate,
    /// When it began, where that is known.
    pub(crate) start_at: Option<DateTime<Utc>>,
    /// When it ended, where that is known.
    pub(crate) end_at: Option<DateTime<Utc>>,
    /// IANA zone, where it is known.
    #[schema(example = "Europe/Berlin")]
    pub(crate) zone: Option<String>,
    /// Seconds east of UTC then, daylight saving included.
    pub(crate) utc_offset_s: Option<i32>,
    /// Steps.
    pub(crate) steps: Option<i32>,
    /// Metres.
    pub(crate) distance_m: Option<f64>,
    /// Floors climbed.
    pub(crate) floors: Option<i32>,
    /// Joules beyond rest.
    pub(crate) active_energy_j: Option<f64>,
    /// Joules, rest included.
    pub(crate) total_energy_j: Option<f64>,
    /// Seconds of light or any activity.
    pub(crate) active_s: Option<i32>,
    /// Seconds of moderate and vigorous activity.
    pub(crate) intense_s: Option<i32>,
    /// Beats per minute.
    pub(crate) resting_heart_rate_bpm: Option<f32>,
    /// Beats per minute.
    pub(crate) average_heart_rate_bpm: Option<f32>,
    /// Beats per minute.
    pub(crate) max_heart_rate_bpm: Option<f32>,
    /// On the provider's scale.
    pub(crate) average_stress: Option<f32>,
    /// Seconds.
    pub(crate) asleep_s: Option<i32>,
    /// Seconds awake in bed.
    pub(crate) awake_s: Option<i32>,
    /// Seconds of light sleep.
    pub(crate) light_s: Option<i32>,
    /// Seconds of deep sleep.
    pub(crate) deep_s: Option<i32>,
    /// Seconds of dreaming sleep.
    pub(crate) rem_s: Option<i32>,
    /// On the provider's scale.
    pub(crate) sleep_score: Option<f32>,
    /// Whether it was a nap.
    pub(crate) is_nap: Option<bool>,
    /// Device, algorithm.
    #[schema(value_type = Object)]
    pub(crate) provenance: Value,
    /// What the provider sent, whole; only with `include=payload`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    pub(crate) payload: Option<Value>,
    /// Rises with every change of content.
    pub(crate) version: i32,
    /// When it was last written.
    pub(crate) updated_at: DateTime<Utc>,
}

impl From<Row> for DailySummaryView {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            provider: row.provider,
            provider_record_id: row.provider_record_id,
            sync_id: row.sync_job_id,
            kind: row.kind,
            day: row.day,
            start_at: row.start_at,
            end_at: row.end_at,
            zone: row.zone,
            utc_offset_s: row.utc_offset_s,
            steps: row.steps,
            distance_m: row.distance_m,
            floors: row.floors,
            active_energy_j: row.active_energy_j,
            total_energy_j: row.total_energy_j,
            active_s: row.active_s,
            intense_s: row.intense_s,
            resting_heart_rate_bpm: row.resting_heart_rate_bpm,
            average_heart_rate_bpm: row.average_heart_rate_bpm,
            max_heart_rate_bpm: row.max_heart_rate_bpm,
            average_stress: row.average_stress,
            asleep_s: row.asleep_s,
            awake_s: row.awake_s,
            light_s: row.light_s,
            deep_s: row.deep_s,
            rem_s: row.rem_s,
            sleep_score: row.sleep_score,
            is_nap: row.is_nap,
            provenance: row.provenance,
            payload: row.payload,
            version: row.version,
            updated_at: row.updated_at,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A night.
    pub(crate) fn row() -> Row {
        Row {
            id: Uuid::now_v7(),
            provider: Provider::Garmin,
            provider_record_id: "x15372f1-5d7866b4".to_owned(),
            sync_job_id: JobId::fresh(),
            kind: DayKind::Sleep,
            day: "2026-05-03".parse().unwrap(),
            start_at: Some("2026-05-02T21:10:00Z".parse().unwrap()),
            end_at: Some("2026-05-03T05:10:00Z".parse().unwrap()),
            zone: None,
            utc_offset_s: Some(7_200),
            steps: None,
            distance_m: None,
            floors: None,
            active_energy_j: None,
            total_energy_j: None,
            active_s: None,
            intense_s: None,
            resting_heart_rate_bpm: Some(51.5),
            average_heart_rate_bpm: None,
            max_heart_rate_bpm: None,
            average_stress: None,
            asleep_s: Some(27_000),
            awake_s: Some(1_800),
            light_s: Some(15_000),
            deep_s: Some(5_000),
            rem_s: Some(7_000),
            sleep_score: Some(83.0),
            is_nap: Some(false),
            provenance: json!({}),
            payload: None,
            version: 1,
            updated_at: "2026-05-03T08:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn what_is_not_told_is_null_and_never_zero() {
        let view = serde_json::to_value(DailySummaryView::from(row())).unwrap();
        assert_eq!((&view["kind"], &view["day"]), (&json!("sleep"), &json!("2026-05-03")));
        assert_eq!((&view["steps"], &view["distanceM"]), (&Value::Null, &Value::Null));
        assert_eq!(view["restingHeartRateBpm"], 51.5);
        assert_eq!(view["startAt"], "2026-05-02T21:10:00Z");
        assert!(view.get("payload").is_none());
    }
}
