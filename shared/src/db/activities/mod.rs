//! `activities`: canonical records of all providers. Here is how a batch is stored, in one statement; how records are read
//! is in `read`, how those that the provider no longer has are removed in `remove`.

mod read;
mod remove;

pub use read::{Filter, Row, Stored, list, missing, stored};
pub use remove::{remove, remove_unnamed, unnamed};

use super::Error;
use crate::{
    ConnectionId, JobId, Provider, UserId,
    activity::{Activity, EnrichmentStatus, Place, Weather},
};
use chrono::{DateTime, NaiveDateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// Whose records a batch holds, and which sync brought it.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The user.
    pub user: UserId,
    /// The link.
    pub connection: ConnectionId,
    /// The provider.
    pub provider: Provider,
    /// The sync.
    pub job: JobId,
    /// When the batch was read: what others wrote later is newer.
    pub as_of: DateTime<Utc>,
}

/// A record ready to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What the provider said.
    pub activity: &'a Activity,
    /// What became of its weather.
    pub weather_status: EnrichmentStatus,
    /// The weather, where there is one.
    pub weather: Weather,
    /// What became of its place.
    pub place_status: EnrichmentStatus,
    /// The place, where there is one.
    pub place: Option<&'a Place>,
    /// Which of the provider's lists it is from.
    pub stream: &'a str,
    /// JSON: where each derived value came from.
    pub provenance: &'a str,
    /// JSON: the record as the provider sent it.
    pub payload: &'a str,
    /// SHA-256 of the payload.
    pub content_hash: [u8; 32],
}

/// What a batch did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upserted {
    /// New.
    pub saved: i32,
    /// Changed.
    pub updated: i32,
    /// Equal already.
    pub unchanged: i32,
}

impl Upserted {
    /// Of `all` records that a statement was given.
    pub(super) fn of(saved: i64, updated: i64, all: usize) -> Self {
        let count = |n: i64| i32::try_from(n).unwrap_or(i32::MAX);
        let (saved, updated) = (count(saved), count(updated));
        let all = i32::try_from(all).unwrap_or(i32::MAX);
        Self { saved, updated, unchanged: all - saved - updated }
    }
}

impl std::ops::Add for Upserted {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            saved: self.saved + other.saved,
            updated: self.updated + other.updated,
            unchanged: self.unchanged + other.unchanged,
        }
    }
}

/// Stores a batch in which no record id stands twice.
///
/// Equal content is left alone, unless more is known of its weather or place than before. Changed
/// content raises the version. Known weather outlives a sync that could not get it, as long as the
/// record still begins at the same time and place.
#[expect(clippy::too_many_lines, reason = "one statement with a column a line")]
pub async fn upsert(
    tx: &mut PgConnection,
    origin: Origin,
    records: &[Record<'_>],
) -> Result<Upserted, Error> {
    macro_rules! column {
        ($record:ident => $value:expr) => {
            records.iter().map(|$record| $value).collect::<Vec<_>>()
        };
    }
    let written = sqlx::query!(
        r#"with written as (
             insert into paceline.activities as a
               (id, user_id, connection_id, provider, sync_job_id,
                provider_record_id, name, sport_type, distance_m, moving_time_s, elapsed_time_s, elevation_gain_m,
                average_speed_mps, max_speed_mps, average_heart_rate_bpm, max_heart_rate_bpm,
                start_at, start_local, zone, utc_offset_s, start_lat, start_lon, end_lat, end_lon,
                place_status, city, state, country, place_distance_m,
                weather_status, temperature_c, feels_like_c, humidity_pct, pressure_hpa, wind_speed_mps,
                wind_direction_deg, condition, visibility_m, uv_index, provenance, payload, content_hash,
                stream, energy_j, steps, origin_provider, origin_record_id, revision)
             select r.id, $1, $2, $3, $4,
                r.record_id, r.name, r.sport_type, r.distance_m, r.moving_time_s, r.elapsed_time_s, r.elevation_gain_m,
                r.average_speed_mps, r.max_speed_mps, r.average_heart_rate_bpm, r.max_heart_rate_bpm,
                r.start_at, r.start_local, r.zone, r.utc_offset_s, r.start_lat, r.start_lon, r.end_lat, r.end_lon,
                r.place_status, r.city, r.state, r.country, r.place_distance_m,
                r.weather_status, r.temperature_c, r.feels_like_c, r.humidity_pct, r.pressure_hpa, r.wind_speed_mps,
                r.wind_direction_deg, r.condition, r.visibility_m, r.uv_index, r.provenance::jsonb, r.payload::jsonb,
                r.content_hash, r.stream, r.energy_j, r.steps, r.origin_provider, r.origin_record_id, r.revision
               from unnest(
                 $5::uuid[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::int[], $11::int[], $12::real[],
                 $13::real[], $14::real[], $15::real[], $16::real[], $17::timestamptz[], $18::timestamp[], $19::text[],
                 $20::int[], $21::float8[], $22::float8[], $23::float8[], $24::float8[], $25::text[], $26::text[],
                 $27::text[], $28::text[], $29::real[], $30::text[], $31::real[], $32::real[], $33::real[],
                 $34::real[], $35::real[], $36::real[], $37::text[], $38::real[], $39::real[], $40::text[],
                 $41::text[], $42::bytea[], $43::text[], $44::float8[], $45::int[], $46::text[], $47::text[], $48::bigint[])
               as r(id, record_id, name, sport_type, distance_m, moving_time_s, elapsed_time_s, elevation_gain_m,
                    average_speed_mps, max_speed_mps, average_heart_rate_bpm, max_heart_rate_bpm, start_at,
                    start_local, zone, utc_offset_s, start_lat, start_lon, end_lat, end_lon, place_status, city,
                    state, country, place_distance_m, weather_status, temperature_c, feels_like_c, humidity_pct,
                    pressure_hpa, wind_speed_mps, wind_direction_deg, condition, visibility_m, uv_index, provenance,
                    payload, content_hash, stream, energy_j, steps, origin_provider, origin_record_id, revision)
             on conflict (connection_id, provider_record_id, stream) do update
               set sync_job_id = excluded.sync_job_id, name = excluded.name, sport_type = excluded.sport_type,
                   distance_m = excluded.distance_m, moving_time_s = excluded.moving_time_s,
                   elapsed_time_s = excluded.elapsed_time_s, elevation_gain_m = excluded.elevation_gain_m,
                   average_speed_mps = excluded.average_speed_mps, max_speed_mps = excluded.max_speed_mps,
                   average_heart_rate_bpm = excluded.average_heart_rate_bpm,
                   max_heart_rate_bpm = excluded.max_heart_rate_bpm, start_at = excluded.start_at,
                   start_local = excluded.start_local, zone = excluded.zone, utc_offset_s = excluded.utc_offset_s,
                   start_lat = excluded.start_lat, start_lon = excluded.start_lon, end_lat = excluded.end_lat,
                   end_lon = excluded.end_lon, energy_j = excluded.energy_j, steps = excluded.steps,
                   origin_provider = excluded.origin_provider, origin_record_id = excluded.origin_record_id,
                   revision = excluded.revision, payload = excluded.payload, content_hash = excluded.content_hash,
                   version = a.version
                     + ((a.content_hash <> excluded.content_hash and a.payload <> excluded.payload)
                        or a.deleted_at is not null)::integer,
                   deleted_at = null, updated_at = clock_timestamp(),
                   (place_status, city, state, country, place_distance_m) = (
                     select a.place_status, a.city, a.state, a.country, a.place_distance_m
                      where paceline.keeps_known(a.place_status, excluded.place_status, a.start_at, excluded.start_at,
                              a.start_lat, excluded.start_lat, a.start_lon, excluded.start_lon)
                     union all
                     select excluded.place_status, excluded.city, excluded.state, excluded.country,
                            excluded.place_distance_m
                     limit 1),
                   (weather_status, temperature_c, feels_like_c, humidity_pct, pressure_hpa, wind_speed_mps,
                    wind_direction_deg, condition, visibility_m, uv_index) = (
                     select a.weather_status, a.temperature_c, a.feels_like_c, a.humidity_pct, a.pressure_hpa,
                            a.wind_speed_mps, a.wind_direction_deg, a.condition, a.visibility_m, a.uv_index
                      where paceline.keeps_known(a.weather_status, excluded.weather_status, a.start_at, excluded.start_at,
                              a.start_lat, excluded.start_lat, a.start_lon, excluded.start_lon)
                     union all
                     select excluded.weather_status, excluded.temperature_c, excluded.feels_like_c,
                            excluded.humidity_pct, excluded.pressure_hpa, excluded.wind_speed_mps,
                            excluded.wind_direction_deg, excluded.condition, excluded.visibility_m, excluded.uv_index
                     limit 1),
                   provenance = case
                     when paceline.keeps_known(a.weather_status, excluded.weather_status, a.start_at, excluded.start_at,
                              a.start_lat, excluded.start_lat, a.start_lon, excluded.start_lon)
                       or paceline.keeps_known(a.place_status, excluded.place_status, a.start_at, excluded.start_at,
                              a.start_lat, excluded.start_lat, a.start_lon, excluded.start_lon)
                     then a.provenance || excluded.provenance else excluded.provenance end
             where ((a.content_hash <> excluded.content_hash and a.payload <> excluded.payload)
                or (a.weather_status not in ('enriched', excluded.weather_status) and excluded.weather_status <> 'skipped')
                or (a.place_status not in ('enriched', excluded.place_status) and excluded.place_status <> 'skipped')
                or a.deleted_at is not null)
               and coalesce(excluded.revision >= a.revision, true) and (a.sync_job_id = $4 or a.updated_at <= $49)
             returning xmax = 0 as fresh)
           select count(*) filter (where fresh) as "saved!", count(*) filter (where not fresh) as "updated!" from written"#,
        origin.user.0,
        origin.connection.0,
        origin.provider.as_str(),
        origin.job.0,
        &column!(_r => Uuid::now_v7()),
        &column!(r => r.activity.record_id.as_str()) as &[&str],
        &column!(r => r.activity.name.as_str()) as &[&str],
        &column!(r => r.activity.sport_type.as_str()) as &[&str],
        &column!(r => r.activity.distance_m) as &[Option<f64>],
        &column!(r => r.activity.moving_time_s) as &[Option<i32>],
        &column!(r => r.activity.elapsed_time_s) as &[Option<i32>],
        &column!(r => r.activity.elevation_gain_m) as &[Option<f32>],
        &column!(r => r.activity.average_speed_mps) as &[Option<f32>],
        &column!(r => r.activity.max_speed_mps) as &[Option<f32>],
        &column!(r => r.activity.average_heart_rate_bpm) as &[Option<f32>],
        &column!(r => r.activity.max_heart_rate_bpm) as &[Option<f32>],
        &column!(r => r.activity.start_at),
        &column!(r => r.activity.start_local) as &[NaiveDateTime],
        &column!(r => r.activity.zone.as_deref()) as &[Option<&str>],
        &column!(r => r.activity.utc_offset_s) as &[Option<i32>],
        &column!(r => r.activity.start.map(|p| p.lat)) as &[Option<f64>],
        &column!(r => r.activity.start.map(|p| p.lon)) as &[Option<f64>],
        &column!(r => r.activity.end.map(|p| p.lat)) as &[Option<f64>],
        &column!(r => r.activity.end.map(|p| p.lon)) as &[Option<f64>],
        &column!(r => r.place_status.as_str()) as &[&str],
        &column!(r => r.place.as_ref().map(|p| p.city.as_str())) as &[Option<&str>],
        &column!(r => r.place.as_ref().and_then(|p| p.state.as_deref())) as &[Option<&str>],
        &column!(r => r.place.as_ref().map(|p| p.country.as_str())) as &[Option<&str>],
        &column!(r => r.place.as_ref().map(|p| p.distance_m)) as &[Option<f32>],
        &column!(r => r.weather_status.as_str()) as &[&str],
        &column!(r => r.weather.temperature_c) as &[Option<f32>],
        &column!(r => r.weather.feels_like_c) as &[Option<f32>],
        &column!(r => r.weather.humidity_pct) as &[Option<f32>],
        &column!(r => r.weather.pressure_hpa) as &[Option<f32>],
        &column!(r => r.weather.wind_speed_mps) as &[Option<f32>],
        &column!(r => r.weather.wind_direction_deg) as &[Option<f32>],
        &column!(r => r.weather.condition()) as &[Option<&str>],
        &column!(r => r.weather.visibility_m) as &[Option<f32>],
        &column!(r => r.weather.uv_index) as &[Option<f32>],
        &column!(r => r.provenance) as &[&str],
        &column!(r => r.payload) as &[&str],
        &column!(r => r.content_hash.as_slice()) as &[&[u8]],
        &column!(r => r.stream) as &[&str],
        &column!(r => r.activity.energy_j) as &[Option<f64>],
        &column!(r => r.activity.steps) as &[Option<i32>],
        &column!(r => r.activity.upstream.as_ref().map(|up| up.provider.as_str())) as &[Option<&str>],
        &column!(r => r.activity.upstream.as_ref().and_then(|up| up.record_id.as_deref())) as &[Option<&str>],
        &column!(r => r.activity.revision) as &[Option<i64>],
        origin.as_of
    )
    .fetch_one(tx)
    .await?;
    Ok(Upserted::of(written.saved, written.updated, records.len()))
}
