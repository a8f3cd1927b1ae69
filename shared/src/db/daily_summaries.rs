//! `daily_summaries`: days' totals and nights of all providers. A batch is one statement.

use super::{
    Db, Error,
    activities::{Origin, Upserted},
};
use crate::{
    ConnectionId, JobId, Provider, UserId,
    record::{DayKind, DaySummary, Replaceable},
};
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

/// A summary ready to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What the provider said.
    pub summary: &'a DaySummary,
    /// Which of its lists said so.
    pub stream: &'a str,
    /// JSON: the item as the provider sent it.
    pub payload: &'a str,
    /// SHA-256 of the payload.
    pub content_hash: [u8; 32],
}

/// Stores a batch in which no record stands twice.
///
/// Equal content is left alone, changed content raises the version. Neither a lower revision nor what was read before
/// the stored record was written replaces anything.
pub async fn upsert(
    tx: &mut PgConnection,
    origin: Origin,
    records: &[Record<'_>],
) -> Result<Upserted, Error> {
    if records.is_empty() {
        return Ok(Upserted::default());
    }
    macro_rules! column {
        ($record:ident => $value:expr) => {
            records.iter().map(|$record| $value).collect::<Vec<_>>()
        };
    }
    let written = sqlx::query!(
        r#"with written as (
             insert into paceline.daily_summaries as d
               (id, user_id, connection_id, provider, sync_job_id, stream, provider_record_id, kind, day,
                start_at, end_at, zone, utc_offset_s, steps, distance_m, floors, active_energy_j,
                total_energy_j, active_s, intense_s, resting_heart_rate_bpm, average_heart_rate_bpm,
                max_heart_rate_bpm, average_stress, asleep_s, awake_s, light_s, deep_s, rem_s, sleep_score,
                is_nap, provenance, payload, content_hash, revision)
             select r.id, $1, $2, $3, $4, r.stream, r.record_id, r.kind, r.day, r.start_at, r.end_at, r.zone,
                    r.utc_offset_s, r.steps, r.distance_m, r.floors, r.active_energy_j, r.total_energy_j,
                    r.active_s, r.intense_s, r.resting_heart_rate_bpm, r.average_heart_rate_bpm,
                    r.max_heart_rate_bpm, r.average_stress, r.asleep_s, r.awake_s, r.light_s, r.deep_s,
                    r.rem_s, r.sleep_score, r.is_nap, r.provenance, r.payload::jsonb, r.content_hash,
                    r.revision
               from unnest(
                 $5::uuid[], $6::text[], $7::text[], $8::text[], $9::date[], $10::timestamptz[],
                 $11::timestamptz[], $12::text[], $13::int[], $14::int[], $15::float8[], $16::int[],
                 $17::float8[], $18::float8[], $19::int[], $20::int[], $21::real[], $22::real[], $23::real[],
                 $24::real[], $25::int[], $26::int[], $27::int[], $28::int[], $29::int[], $30::real[],
                 $31::bool[], $32::jsonb[], $33::text[], $34::bytea[], $35::bigint[])
                 as r(id, stream, record_id, kind, day, start_at, end_at, zone, utc_offset_s, steps,
                      distance_m, floors, active_energy_j, total_energy_j, active_s, intense_s,
                      resting_heart_rate_bpm, average_heart_rate_bpm, max_heart_rate_bpm, average_stress,
                      asleep_s, awake_s, light_s, deep_s, rem_s, sleep_score, is_nap, provenance, payload,
                      content_hash, revision)
             on conflict (connection_id, provider_record_id, stream) do update
               set sync_job_id = excluded.sync_job_id, kind = excluded.kind, day = excluded.day,
                   start_at = excluded.start_at, end_at = excluded.end_at, zone = excluded.zone,
                   utc_offset_s = excluded.utc_offset_s, steps = excluded.steps,
                   distance_m = excluded.distance_m, floors = excluded.floors,
                   active_energy_j = excluded.active_energy_j, total_energy_j = excluded.total_energy_j,
                   active_s = excluded.active_s, intense_s = excluded.intense_s,
                   resting_heart_rate_bpm = excluded.resting_heart_rate_bpm,
                   average_heart_rate_bpm = excluded.average_heart_rate_bpm,
                   max_heart_rate_bpm = excluded.max_heart_rate_bpm, average_stress = excluded.average_stress,
                   asleep_s = excluded.asleep_s, awake_s = excluded.awake_s, light_s = excluded.light_s,
                   deep_s = excluded.deep_s, rem_s = excluded.rem_s, sleep_score = excluded.sleep_score,
                   is_nap = excluded.is_nap, provenance = excluded.provenance, payload = excluded.payload,
                   content_hash = excluded.content_hash, revision = excluded.revision, deleted_at = null,
                   updated_at = clock_timestamp(),
                   version = d.version + 1
             where (d.content_hash <> excluded.content_hash or d.deleted_at is not null)
               and coalesce(excluded.revision >= d.revision, true) and (d.sync_job_id = $4 or d.updated_at <= $36)
             returning xmax = 0 as fresh)
           select count(*) filter (where fresh) as "saved!", count(*) filter (where not fresh) as "updated!" from written"#,
        origin.user.0,
        origin.connection.0,
        origin.provider.as_str(),
        origin.job.0,
        &column!(_r => Uuid::now_v7()),
        &column!(r => r.stream) as &[&str],
        &column!(r => r.summary.record_id.as_str()) as &[&str],
        &column!(r => r.summary.kind.as_str()) as &[&str],
        &column!(r => r.summary.day) as &[NaiveDate],
        &column!(r => r.summary.start_at) as &[Option<DateTime<Utc>>],
        &column!(r => r.summary.end_at) as &[Option<DateTime<Utc>>],
        &column!(r => r.summary.zone.as_deref()) as &[Option<&str>],
        &column!(r => r.summary.utc_offset_s) as &[Option<i32>],
        &column!(r => r.summary.totals.steps) as &[Option<i32>],
        &column!(r => r.summary.totals.distance_m) as &[Option<f64>],
        &column!(r => r.summary.totals.floors) as &[Option<i32>],
        &column!(r => r.summary.totals.active_energy_j) as &[Option<f64>],
        &column!(r => r.summary.totals.total_energy_j) as &[Option<f64>],
        &column!(r => r.summary.totals.active_s) as &[Option<i32>],
        &column!(r => r.summary.totals.intense_s) as &[Option<i32>],
        &column!(r => r.summary.totals.resting_heart_rate_bpm) as &[Option<f32>],
        &column!(r => r.summary.totals.average_heart_rate_bpm) as &[Option<f32>],
        &column!(r => r.summary.totals.max_heart_rate_bpm) as &[Option<f32>],
        &column!(r => r.summary.totals.average_stress) as &[Option<f32>],
        &column!(r => r.summary.totals.asleep_s) as &[Option<i32>],
        &column!(r => r.summary.totals.awake_s) as &[Option<i32>],
        &column!(r => r.summary.totals.light_s) as &[Option<i32>],
        &column!(r => r.summary.totals.deep_s) as &[Option<i32>],
        &column!(r => r.summary.totals.rem_s) as &[Option<i32>],
        &column!(r => r.summary.totals.sleep_score) as &[Option<f32>],
        &column!(r => r.summary.totals.is_nap) as &[Option<bool>],
        &column!(r => r.summary.provenance.clone()),
        &column!(r => r.payload) as &[&str],
        &column!(r => r.content_hash.as_slice()) as &[&[u8]],
        &column!(r => r.summary.revision) as &[Option<i64>],
        origin.as_of
    )
    .fetch_one(tx)
    .await?;
    Ok(Upserted::of(written.saved, written.updated, records.len()))
}

/// Marks as deleted what lies in a list's part and is on no page of `job`, which has read that part completely. What
/// others wrote since it began to read is newer and stays.
///
/// A summary lies where it starts, or where its day begins in UTC. Answers how many.
pub async fn remove_unnamed(
    tx: &mut PgConnection,
    connection: ConnectionId,
    job: JobId,
    part: Replaceable<'_>,
) -> Result<i64, Error> {
    let removed = sqlx::query!(
        "update paceline.daily_summaries
            set deleted_at = clock_timestamp(), updated_at = clock_timestamp(), version = version + 1, sync_job_id = $2
          where connection_id = $1 and stream = $3 and deleted_at is null
            and coalesce(start_at, day::timestamp at time zone 'UTC') >= coalesce($4, '-infinity'::timestamptz)
            and coalesce(start_at, day::timestamp at time zone 'UTC') < $5
            and updated_at < (select staged_at from paceline.staged_pages where job_id = $2 and page = 0)
            and provider_record_id not in (
              select unnest(ids) from paceline.staged_pages where job_id = $2 and stream = $3)",
        connection.0,
        job.0,
        part.stream,
        part.from,
        part.to
    )
    .execute(tx)
    .await?;
    Ok(i64::try_from(removed.rows_affected()).unwrap_or(i64::MAX))
}

/// A summary as its user reads it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns, each with its comment in the migration")]
pub struct Row {
    pub id: Uuid,
    pub provider: Provider,
    pub provider_record_id: String,
    pub sync_job_id: JobId,
    pub kind: DayKind,
    pub day: NaiveDate,
    pub start_at: Option<DateTime<Utc>>,
    pub end_at: Option<DateTime<Utc>>,
    pub zone: Option<String>,
    pub utc_offset_s: Option<i32>,
    pub steps: Option<i32>,
    pub distance_m: Option<f64>,
    pub floors: Option<i32>,
    pub active_energy_j: Option<f64>,
    pub total_energy_j: Option<f64>,
    pub active_s: Option<i32>,
    pub intense_s: Option<i32>,
    pub resting_heart_rate_bpm: Option<f32>,
    pub average_heart_rate_bpm: Option<f32>,
    pub max_heart_rate_bpm: Option<f32>,
    pub average_stress: Option<f32>,
    pub asleep_s: Option<i32>,
    pub awake_s: Option<i32>,
    pub light_s: Option<i32>,
    pub deep_s: Option<i32>,
    pub rem_s: Option<i32>,
    pub sleep_score: Option<f32>,
    pub is_nap: Option<bool>,
    pub provenance: serde_json::Value,
    /// Only where it was asked for.
    pub payload: Option<serde_json::Value>,
    pub version: i32,
    pub updated_at: DateTime<Utc>,
}

/// Which summaries to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this provider's.
    pub provider: Option<Provider>,
    /// Only of this kind.
    pub kind: Option<DayKind>,
    /// From this day on.
    pub from: Option<NaiveDate>,
    /// Up to this day, excluded.
    pub to: Option<NaiveDate>,
    /// The last one of the page before: its day and id.
    pub cursor: Option<(NaiveDate, Uuid)>,
    /// Whether to bring the provider's payload.
    pub payload: bool,
}

/// A user's summaries, newest day first, tombstones left out.
pub async fn list(db: &Db, user: UserId, filter: &Filter, limit: i64) -> Result<Vec<Row>, Error> {
    let (cursor_day, cursor_id) = filter.cursor.unzip();
    Ok(sqlx::query_as!(
        Row,
        r#"select id, provider as "provider: Provider", provider_record_id, sync_job_id as "sync_job_id: JobId",
                  kind as "kind: DayKind", day, start_at, end_at, zone, utc_offset_s,
                  steps, distance_m, floors, active_energy_j, total_energy_j, active_s, intense_s,
                  resting_heart_rate_bpm, average_heart_rate_bpm, max_heart_rate_bpm, average_stress, asleep_s,
                  awake_s, light_s, deep_s, rem_s, sleep_score, is_nap,
                  provenance, case when $8 then payload end as payload, version, updated_at
             from paceline.daily_summaries
            where user_id = $1 and deleted_at is null
              and ($2::text is null or provider = $2) and ($3::text is null or kind = $3)
              and day >= coalesce($4, '-infinity'::date) and day < coalesce($5, 'infinity'::date)
              and ($6::date is null or (day, id) < ($6, $7))
            order by day desc, id desc limit $9"#,
        user.0,
        filter.provider.map(Provider::as_str),
        filter.kind.map(DayKind::as_str),
        filter.from,
        filter.to,
        cursor_day,
        cursor_id,
        filter.payload,
        limit
    )
    .fetch_all(db)
    .await?)
}

/// How many summaries are stored of one connection, tombstones left out.
pub async fn stored(db: &Db, connection: ConnectionId) -> Result<i64, Error> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "records!" from paceline.daily_summaries where connection_id = $1 and deleted_at is null"#,
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
            where not exists (select from paceline.daily_summaries
                               where connection_id = $1 and provider_record_id = asked.id and deleted_at is null)"#,
        connection.0,
        record_ids
    )
    .fetch_all(db)
    .await?)
}
