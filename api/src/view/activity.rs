//! An activity as its user reads it. Units stand in the names.

use chrono::{DateTime, NaiveDateTime, Utc};
use paceline_shared::{
    JobId, Provider,
    activity::{EnrichmentStatus, Position},
    db::activities::Row,
};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// An activity.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Activity)]
pub(crate) struct ActivityView {
    /// Our id.
    pub(crate) id: Uuid,
    /// From where.
    pub(crate) provider: Provider,
    /// The provider's id.
    pub(crate) provider_record_id: String,
    /// The sync that last wrote it.
    pub(crate) sync_id: JobId,
    /// Its title.
    pub(crate) name: String,
    /// The sport, in the provider's word.
    #[schema(example = "TrailRun")]
    pub(crate) sport_type: String,
    /// Metres.
    pub(crate) distance_m: Option<f64>,
    /// Seconds in motion.
    pub(crate) moving_time_s: Option<i32>,
    /// Seconds from start to end.
    pub(crate) elapsed_time_s: Option<i32>,
    /// Metres climbed.
    pub(crate) elevation_gain_m: Option<f32>,
    /// Metres per second.
    pub(crate) average_speed_mps: Option<f32>,
    /// Metres per second.
    pub(crate) max_speed_mps: Option<f32>,
    /// Beats per minute.
    pub(crate) average_heart_rate_bpm: Option<f32>,
    /// Beats per minute.
    pub(crate) max_heart_rate_bpm: Option<f32>,
    /// The instant it began.
    pub(crate) start_at: DateTime<Utc>,
    /// What the clock on the wall said: no zone, on purpose.
    #[schema(value_type = String, example = "2026-05-03T07:30:00")]
    pub(crate) start_local: NaiveDateTime,
    /// IANA zone, where it is known.
    #[schema(example = "Europe/Berlin")]
    pub(crate) zone: Option<String>,
    /// Seconds east of UTC at the start, daylight saving included.
    pub(crate) utc_offset_s: Option<i32>,
    /// Joules used.
    pub(crate) energy_j: Option<f64>,
    /// Steps made.
    pub(crate) steps: Option<i32>,
    /// Where the provider itself has it from, if it says so.
    pub(crate) origin_provider: Option<String>,
    /// Where it began.
    pub(crate) start: Option<PositionView>,
    /// Where it ended.
    pub(crate) end: Option<PositionView>,
    /// The named place nearest to its start.
    pub(crate) place: PlaceView,
    /// The weather in the hour in which it began.
    pub(crate) weather: WeatherView,
    /// Where each derived value came from.
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

/// A point on Earth in degrees, WGS 84.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = Position)]
pub(crate) struct PositionView {
    /// North.
    #[schema(minimum = -90, maximum = 90)]
    pub(crate) lat: f64,
    /// East.
    #[schema(minimum = -180, maximum = 180)]
    pub(crate) lon: f64,
}

/// A named place. All but the status is null unless it is `enriched`.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Place)]
pub(crate) struct PlaceView {
    /// What became of it.
    pub(crate) status: EnrichmentStatus,
    /// Town or city.
    pub(crate) city: Option<String>,
    /// First administrative level.
    pub(crate) state: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "DE")]
    pub(crate) country: Option<String>,
    /// Metres from the start to the place's centre.
    pub(crate) distance_m: Option<f32>,
}

/// The weather. All but the status is null unless it is `enriched`.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Weather)]
pub(crate) struct WeatherView {
    /// What became of it.
    pub(crate) status: EnrichmentStatus,
    /// °C.
    pub(crate) temperature_c: Option<f32>,
    /// °C, as felt.
    pub(crate) feels_like_c: Option<f32>,
    /// Relative, 0 to 100.
    pub(crate) humidity_pct: Option<f32>,
    /// hPa.
    pub(crate) pressure_hpa: Option<f32>,
    /// Metres per second.
    pub(crate) wind_speed_mps: Option<f32>,
    /// Degrees, where it blows from.
    pub(crate) wind_direction_deg: Option<f32>,
    /// In a word.
    #[schema(example = "partly_cloudy")]
    pub(crate) condition: Option<String>,
    /// Metres.
    pub(crate) visibility_m: Option<f32>,
    /// 0 and up.
    pub(crate) uv_index: Option<f32>,
}

impl From<Row> for ActivityView {
    fn from(row: Row) -> Self {
        let position = |lat: Option<f64>, lon: Option<f64>| {
            let Position { lat, lon } = Position::on_earth(lat?, lon?)?;
            Some(PositionView { lat, lon })
        };
        Self {
            start: position(row.start_lat, row.start_lon),
            end: position(row.end_lat, row.end_lon),
            place: PlaceView {
                status: row.place_status,
                city: row.city,
                state: row.state,
                country: row.country,
                distance_m: row.place_distance_m,
            },
            weather: WeatherView {
                status: row.weather_status,
                temperature_c: row.temperature_c,
                feels_like_c: row.feels_like_c,
                humidity_pct: row.humidity_pct,
                pressure_hpa: row.pressure_hpa,
                wind_speed_mps: row.wind_speed_mps,
                wind_direction_deg: row.wind_direction_deg,
                condition: row.condition,
                visibility_m: row.visibility_m,
                uv_index: row.uv_index,
            },
            id: row.id,
            provider: row.provider,
            provider_record_id: row.provider_record_id,
            sync_id: row.sync_job_id,
            name: row.name,
            sport_type: row.sport_type,
            distance_m: row.distance_m,
            moving_time_s: row.moving_time_s,
            elapsed_time_s: row.elapsed_time_s,
            elevation_gain_m: row.elevation_gain_m,
            average_speed_mps: row.average_speed_mps,
            max_speed_mps: row.max_speed_mps,
            average_heart_rate_bpm: row.average_heart_rate_bpm,
            max_heart_rate_bpm: row.max_heart_rate_bpm,
            start_at: row.start_at,
            start_local: row.start_local,
            zone: row.zone,
            utc_offset_s: row.utc_offset_s,
            energy_j: row.energy_j,
            steps: row.steps,
            origin_provider: row.origin_provider,
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

    /// With everything there.
    pub(crate) fn row() -> Row {
        Row {
            id: Uuid::now_v7(),
            provider: Provider::Strava,
            provider_record_id: "12345678901234567890".to_owned(),
            sync_job_id: JobId::fresh(),
            name: "Morning".to_owned(),
            sport_type: "Run".to_owned(),
            distance_m: Some(10_012.5),
            moving_time_s: Some(3_000),
            elapsed_time_s: Some(3_100),
            elevation_gain_m: Some(80.5),
            average_speed_mps: Some(3.3),
            max_speed_mps: Some(5.1),
            average_heart_rate_bpm: Some(140.5),
            max_heart_rate_bpm: Some(171.0),
            start_at: "2026-05-03T05:30:00Z".parse().unwrap(),
            start_local: "2026-05-03T07:30:00".parse().unwrap(),
            zone: Some("Europe/Berlin".to_owned()),
            utc_offset_s: Some(7_200),
            energy_j: Some(2_092_000.0),
            steps: None,
            origin_provider: Some("garmin".to_owned()),
            start_lat: Some(52.52),
            start_lon: Some(13.40),
            end_lat: None,
            end_lon: None,
            place_status: EnrichmentStatus::Enriched,
            city: Some("Berlin".to_owned()),
            state: Some("Land Berlin".to_owned()),
            country: Some("DE".to_owned()),
            place_distance_m: Some(812.5),
            weather_status: EnrichmentStatus::Pending,
            temperature_c: None,
            feels_like_c: None,
            humidity_pct: None,
            pressure_hpa: None,
            wind_speed_mps: None,
            wind_direction_deg: None,
            condition: None,
            visibility_m: None,
            uv_index: None,
            provenance: json!({"place": "GeoNames"}),
            payload: None,
            version: 2,
            updated_at: "2026-05-03T08:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn times_positions_and_figures_come_out_as_they_are() {
        let text = serde_json::to_string(&ActivityView::from(row())).unwrap();
        assert!(text.contains("\"averageSpeedMps\":3.3,"), "not 3.299999952316284: {text}");
        let view: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(view["startAt"], "2026-05-03T05:30:00Z");
        assert_eq!(view["startLocal"], "2026-05-03T07:30:00", "a time on the wall has no zone");
        assert_eq!(
            (&view["start"], &view["end"]),
            (&json!({"lat": 52.52, "lon": 13.40}), &Value::Null)
        );
        assert_eq!(view["place"]["distanceM"], 812.5);
        assert_eq!(
            (&view["weather"]["status"], &view["weather"]["temperatureC"]),
            (&json!("pending"), &Value::Null)
        );
        assert!(view.get("payload").is_none());
        let with = Row { payload: Some(json!({"id": 1})), ..row() };
        assert_eq!(
            serde_json::to_value(ActivityView::from(with)).unwrap()["payload"],
            json!({"id": 1})
        );
    }
}
