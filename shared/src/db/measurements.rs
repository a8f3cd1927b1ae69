//! `measurements`: canonical measured values of all providers. A batch is one statement.

use super::{
    Db, Error,
    activities::{Origin, Upserted},
};
use crate::{
    ConnectionId, JobId, Provider, UserId,
    record::{Measure, Measurement, Replaceable},
};
use chrono::{DateTime, NaiveDateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

/// A value ready to be stored.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// What the provider said.
    pub measurement: &'a Measurement,
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
             insert into paceline.measurements as m
               (id, user_id, connection_id, provider, sync_job_id, stream, provider_record_id, type, discriminator,
                value, unit, measured_at, measured_local, zone, utc_offset_s, origin_provider, provenance, payload,
                content_hash, revision)
             select r.id, $1, $2, $3, $4, r.stream, r.record_id, r.type, r.discriminator, r.value, r.unit,
                    r.measured_at, r.measured_local, r.zone, r.utc_offset_s, r.origin_provider, r.provenance,
                    r.payload::jsonb, r.content_hash, r.revision
               from unnest($5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::numeric[], $11::text[],
                           $12::timestamptz[], $13::timestamp[], $14::text[], $15::int[], $16::text[], $17::jsonb[],
                           $18::text[], $19::bytea[], $20::bigint[])
                 as r(id, stream, record_id, type, discriminator, value, unit, measured_at, measured_local, zone,
                      utc_offset_s, origin_provider, provenance, payload, content_hash, revision)
             on conflict (connection_id, provider_record_id, stream, type, discriminator) do update
               set sync_job_id = excluded.sync_job_id, value = excluded.value, unit = excluded.unit,
                   measured_at = excluded.measured_at, measured_local = excluded.measured_local, zone = excluded.zone,
                   utc_offset_s = excluded.utc_offset_s, origin_provider = excluded.origin_provider,
                   provenance = excluded.provenance, payload = excluded.payload, content_hash = excluded.content_hash,
                   revision = excluded.revision, deleted_at = null, updated_at = clock_timestamp(),
                   version = m.version + 1
             where (m.content_hash <> excluded.content_hash or m.deleted_at is not null)
               and coalesce(excluded.revision >= m.revision, true) and (m.sync_job_id = $4 or m.updated_at <= $21)
             returning xmax = 0 as fresh)
           select count(*) filter (where fresh) as "saved!", count(*) filter (where not fresh) as "updated!" from written"#,
        origin.user.0,
        origin.connection.0,
        origin.provider.as_str(),
        origin.job.0,
        &column!(_r => Uuid::now_v7()),
        &column!(r => r.stream) as &[&str],
        &column!(r => r.measurement.record_id.as_str()) as &[&str],
        &column!(r => r.measurement.measure.as_str()) as &[&str],
        &column!(r => r.measurement.discriminator.as_str()) as &[&str],
        &column!(r => r.measurement.value),
        &column!(r => r.measurement.measure.unit()) as &[&str],
        &column!(r => r.measurement.measured_at),
        &column!(r => r.measurement.measured_local) as &[NaiveDateTime],
        &column!(r => r.measurement.zone.as_deref()) as &[Option<&str>],
        &column!(r => r.measurement.utc_offset_s) as &[Option<i32>],
        &column!(r => r.measurement.upstream.as_deref()) as &[Option<&str>],
        &column!(r => r.measurement.provenance.clone()),
        &column!(r => r.payload) as &[&str],
        &column!(r => r.content_hash.as_slice()) as &[&[u8]],
        &column!(r => r.measurement.revision) as &[Option<i64>],
        origin.as_of
    )
    .fetch_one(tx)
    .await?;
    Ok(Upserted::of(written.saved, written.updated, records.len()))
}

/// Marks as deleted what lies in a list's part and is on no page of `job`, which has read that part completely. What
/// others wrote since it began to read is newer and stays. Answers how many.
pub async fn remove_unnamed(
    tx: &mut PgConnection,
    connection: ConnectionId,
    job: JobId,
    part: Replaceable<'_>,
) -> Result<i64, Error> {
    let removed = sqlx::query!(
        "update paceline.measurements
            set deleted_at = clock_timestamp(), updated_at = clock_timestamp(), version = version + 1, sync_job_id = $2
          where connection_id = $1 and stream = $3 and deleted_at is null
            and measured_at >= coalesce($4, '-infinity'::timestamptz) and measured_at < $5
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

/// A value as its user reads it.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the columns, each with its comment in the migration")]
pub struct Row {
    pub id: Uuid,
    pub provider: Provider,
    pub provider_record_id: String,
    pub sync_job_id: JobId,
    pub measure: String,
    pub discriminator: String,
    pub value: Decimal,
    pub unit: String,
    pub measured_at: DateTime<Utc>,
    pub measured_local: NaiveDateTime,
    pub zone: Option<String>,
    pub utc_offset_s: Option<i32>,
    pub origin_provider: Option<String>,
    pub provenance: serde_json::Value,
    /// Only where it was asked for.
    pub payload: Option<serde_json::Value>,
    pub version: i32,
    pub updated_at: DateTime<Utc>,
}

/// Which values to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this provider's.
    pub provider: Option<Provider>,
    /// Only of this type.
    pub measure: Option<Measure>,
    /// Measured at or after.
    pub after: Option<DateTime<Utc>>,
    /// Measured before.
    pub before: Option<DateTime<Utc>>,
    /// The last one of the page before: its time and id.
    pub cursor: Option<(DateTime<Utc>, Uuid)>,
    /// Whether to bring the provider's payload.
    pub payload: bool,
    /// Whether to leave out what a provider has from another one, where that one's own value is here too: within
    /// a minute, and the same but for rounding.
    pub originals: bool,
}

/// A user's values, newest first, tombstones left out.
pub async fn list(db: &Db, user: UserId, filter: &Filter, limit: i64) -> Result<Vec<Row>, Error> {
    let (cursor_at, cursor_id) = filter.cursor.unzip();
    Ok(sqlx::query_as!(
        Row,
        r#"select id, provider as "provider: Provider", provider_record_id, sync_job_id as "sync_job_id: JobId",
                  type as measure, discriminator, value, unit, measured_at, measured_local, zone, utc_offset_s,
                  origin_provider, provenance, case when $8 then payload end as payload, version, updated_at
             from paceline.measurements m
            where user_id = $1 and deleted_at is null
              and (not $10 or origin_provider is null or origin_provider = provider or not exists (
                select from paceline.measurements o
                 where o.user_id = m.user_id and o.type = m.type and o.provider = m.origin_provider
                   and o.measured_at between m.measured_at - interval '1 minute' and m.measured_at + interval '1 minute'
                   and abs(o.value - m.value) <= 0.1 and o.deleted_at is null))
              and ($2::text is null or provider = $2) and ($3::text is null or type = $3)
              and measured_at >= coalesce($4, '-infinity'::timestamptz)
              and measured_at < coalesce($5, 'infinity'::timestamptz)
              and ($6::timestamptz is null or (measured_at, id) < ($6, $7))
            order by measured_at desc, id desc limit $9"#,
        user.0,
        filter.provider.map(Provider::as_str),
        filter.measure.map(Measure::as_str),
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

/// How many values are stored of one connection, tombstones left out.
pub async fn stored(db: &Db, connection: ConnectionId) -> Result<i64, Error> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "records!" from paceline.measurements where connection_id = $1 and deleted_at is null"#,
        connection.0
    )
    .fetch_one(db)
    .await?)
}

/// Those of the provider's `record_ids` of which no value is stored, tombstones left out.
pub async fn missing(
    db: &Db,
    connection: ConnectionId,
    record_ids: &[String],
) -> Result<Vec<String>, Error> {
    Ok(sqlx::query_scalar!(
        r#"select asked.id as "id!" from unnest($2::text[]) as asked(id)
            where not exists (select from paceline.measurements
                               where connection_id = $1 and provider_record_id = asked.id and deleted_at is null)"#,
        connection.0,
        record_ids
    )
    .fetch_all(db)
    .await?)
}
