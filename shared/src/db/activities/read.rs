//! Activities as their user reads them, and what is stored of a connection as an operator counts it.

use crate::{
    ConnectionId, JobId, Provider, UserId,
    activity::EnrichmentStatus,
    db::{Db, Error},
};
use chrono::{DateTime, NaiveDateTime, Utc};
use uuid::Uuid;

/// An activity as its user reads it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns, each with its comment in the migration")]
pub struct Row {
    pub id: Uuid,
    pub provider: Provider,
    pub provider_record_id: String,
    pub sync_job_id: JobId,
    pub name: String,
    pub sport_type: String,
    pub distance_m: Option<f64>,
    pub moving_time_s: Option<i32>,
    pub elapsed_time_s: Option<i32>,
    pub elevation_gain_m: Option<f32>,
    pub average_speed_mps: Option<f32>,
    pub max_speed_mps: Option<f32>,
    pub average_heart_rate_bpm: Option<f32>,
    pub max_heart_rate_bpm: Option<f32>,
    pub start_at: DateTime<Utc>,
    pub start_local: NaiveDateTime,
    pub zone: Option<String>,
    pub utc_offset_s: Option<i32>,
    pub energy_j: Option<f64>,
    pub steps: Option<i32>,
    pub origin_provider: Option<String>,
    pub start_lat: Option<f64>,
    pub start_lon: Option<f64>,
    pub end_lat: Option<f64>,
    pub end_lon: Option<f64>,
    pub place_status: EnrichmentStatus,
    pub city: Option<String>,
    pub state: Option<String>,
    pub country: Option<String>,
    pub place_distance_m: Option<f32>,
    pub weather_status: EnrichmentStatus,
    pub temperature_c: Option<f32>,
    pub feels_like_c: Option<f32>,
    pub humidity_pct: Option<f32>,
    pub pressure_hpa: Option<f32>,
    pub wind_speed_mps: Option<f32>,
    pub wind_direction_deg: Option<f32>,
    pub condition: Option<String>,
    pub visibility_m: Option<f32>,
    pub uv_index: Option<f32>,
    pub provenance: serde_json::Value,
    /// Only where it was asked for.
    pub payload: Option<serde_json::Value>,
    pub version: i32,
    pub updated_at: DateTime<Utc>,
}

/// Which activities to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this provider's.
    pub provider: Option<Provider>,
    /// Only this sport type, in the provider's word.
    pub sport_type: Option<String>,
    /// Begun at or after.
    pub after: Option<DateTime<Utc>>,
    /// Begun before.
    pub before: Option<DateTime<Utc>>,
    /// The last one of the page before: its start and id.
    pub cursor: Option<(DateTime<Utc>, Uuid)>,
    /// Whether to bring the provider's payload.
    pub payload: bool,
    /// Whether to leave out what a provider has from another one, where that one's own record is here too.
    pub originals: bool,
}

/// A user's activities, newest start first, tombstones left out.
pub async fn list(db: &Db, user: UserId, filter: &Filter, limit: i64) -> Result<Vec<Row>, Error> {
    let (cursor_at, cursor_id) = filter.cursor.unzip();
    Ok(sqlx::query_as!(
        Row,
        r#"select id, provider as "provider: Provider", provider_record_id, sync_job_id as "sync_job_id: JobId", name,
                  sport_type, distance_m, moving_time_s, elapsed_time_s, elevation_gain_m, average_speed_mps,
                  max_speed_mps, average_heart_rate_bpm, max_heart_rate_bpm, start_at, start_local, zone, utc_offset_s,
                  energy_j, steps, origin_provider, start_lat, start_lon, end_lat, end_lon, place_status as "place_status: EnrichmentStatus", city, state,
                  country, place_distance_m, weather_status as "weather_status: EnrichmentStatus", temperature_c,
                  feels_like_c, humidity_pct, pressure_hpa, wind_speed_mps, wind_direction_deg, condition, visibility_m,
                  uv_index, provenance, case when $8 then payload end as payload, version, updated_at
             from paceline.activities a
            where user_id = $1 and deleted_at is null
              and (not $10 or origin_record_id is null or not exists (
                select from paceline.activities o
                 where o.user_id = a.user_id and o.provider = a.origin_provider and o.provider <> a.provider
                   and o.origin_record_id = a.origin_record_id and o.deleted_at is null))
              and ($2::text is null or provider = $2) and ($3::text is null or sport_type = $3)
              and start_at >= coalesce($4, '-infinity'::timestamptz) and start_at < coalesce($5, 'infinity'::timestamptz)
              and ($6::timestamptz is null or (start_at, id) < ($6, $7))
            order by start_at desc, id desc limit $9"#,
        user.0,
        filter.provider.map(Provider::as_str),
        filter.sport_type,
        filter.after,
        filter.before,
        cursor_at,
        cursor_id,
        filter.payload,
        limit,
        filter.originals
    )
    .fetch_all(db)
    .await?)
}

/// What is stored of one connection, tombstones left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Records.
    pub records: i64,
    /// Of these, with weather.
    pub weather_enriched: i64,
    /// Of these, with the name of a place.
    pub geocoded: i64,
}

/// Counts what is stored of a connection: what an operator holds against the provider's own figures.
pub async fn stored(db: &Db, connection: ConnectionId) -> Result<Stored, Error> {
    Ok(sqlx::query_as!(
        Stored,
        r#"select count(*) as "records!",
                  count(*) filter (where weather_status = 'enriched') as "weather_enriched!",
                  count(*) filter (where place_status = 'enriched') as "geocoded!"
             from paceline.activities where connection_id = $1 and deleted_at is null"#,
        connection.0
    )
    .fetch_one(db)
    .await?)
}

/// Those of the provider's `record_ids` that are not stored, or only as tombstones.
pub async fn missing(
    db: &Db,
    connection: ConnectionId,
    record_ids: &[String],
) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar!(
        r#"select asked.id as "id!" from unnest($2::text[]) as asked(id)
            where not exists (select from paceline.activities
                               where connection_id = $1 and provider_record_id = asked.id and deleted_at is null)"#,
        connection.0,
        record_ids
    )
    .fetch_all(db)
    .await?)
}
