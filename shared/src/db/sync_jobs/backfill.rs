//! How a backfill comes into the queue: a job a slice, thousands in a few statements.

use super::{enqueue::NewSync, hold};
use crate::{
    JobId,
    db::Error,
    slices::Slice,
    sync_spec::{JobKind, PAYLOAD_VERSION},
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};
use std::collections::HashMap;
use uuid::Uuid;

/// Slices in one statement.
const BATCH: usize = 1_000;

/// What became of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceOutcome {
    /// It is queued.
    Queued(JobId),
    /// This one, live already, brings it; what it does not bring itself comes after it.
    Joined(JobId),
    /// This one has its place and is about to be cancelled: ask again in a moment.
    Stopping(JobId),
}

impl SliceOutcome {
    /// The job in the slice's place.
    #[must_use]
    pub const fn job(self) -> JobId {
        match self {
            Self::Queued(job) | Self::Joined(job) | Self::Stopping(job) => job,
        }
    }
}

/// Queues a job for each slice of a backfill, in the caller's transaction.
///
/// The slices come newest first, and so do the answers. What they share is in `sync`, whose own range does not
/// count. Wake the workers after the commit.
///
/// They stand behind the user's other jobs of the class, each a second behind the one before: a user
/// with thousands of slices queues behind himself.
pub async fn enqueue_slices(
    tx: &mut PgConnection,
    sync: &NewSync,
    slices: &[Slice],
) -> Result<Vec<SliceOutcome>, Error> {
    let ahead = sqlx::query_scalar!(
        r#"select count(*) as "jobs!" from paceline.sync_jobs where user_id = $1 and class = $2"#,
        sync.user.0,
        sync.class.rank()
    )
    .fetch_one(&mut *tx)
    .await?;
    let mut places: HashMap<i32, SliceOutcome> = HashMap::with_capacity(slices.len());
    let mut behind = ahead;
    for batch in slices.chunks(BATCH) {
        let mut open: Vec<&Slice> = batch.iter().collect();
        while !open.is_empty() {
            places.extend(insert(tx, sync, behind, &open).await?);
            open.retain(|slice| !places.contains_key(&slice.slot));
            places.extend(join(tx, sync, &open).await?);
            // Whatever was in the way of the others has ended since: their place is free.
            open.retain(|slice| !places.contains_key(&slice.slot));
        }
        behind = behind.saturating_add_unsigned(batch.len() as u64);
    }
    let queued = places.values().filter_map(|outcome| match outcome {
        SliceOutcome::Queued(job) => Some((*job, sync.provider, sync.class.rank())),
        SliceOutcome::Joined(_) | SliceOutcome::Stopping(_) => None,
    });
    hold::show(tx, &queued.collect::<Vec<_>>()).await?;
    Ok(slices.iter().filter_map(|slice| places.get(&slice.slot).copied()).collect())
}

/// As arrays: places, beginnings, ends.
fn columns(slices: &[&Slice]) -> (Vec<i32>, Vec<DateTime<Utc>>, Vec<DateTime<Utc>>) {
    let (mut slots, mut afters, mut befores) = (vec![], vec![], vec![]);
    for slice in slices {
        slots.push(slice.slot);
        afters.push(slice.after);
        befores.push(slice.before);
    }
    (slots, afters, befores)
}

/// Those whose place was free. Places are taken from the newest to the oldest by everybody, so that two
/// of these at once do not stand in each other's way.
async fn insert(
    tx: &mut PgConnection,
    sync: &NewSync,
    behind: i64,
    slices: &[&Slice],
) -> Result<Vec<(i32, SliceOutcome)>, Error> {
    let ids: Vec<Uuid> = slices.iter().map(|_| JobId::fresh().0).collect();
    let (slots, afters, befores) = columns(slices);
    let rows = sqlx::query!(
        r#"with asked as (
             select * from unnest($1::uuid[], $2::integer[], $3::timestamptz[], $4::timestamptz[])
               with ordinality as a(id, slot, after, before, nth)),
           job as (
             insert into paceline.sync_jobs
               (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range,
                run_at, sort_at, max_retries, payload, payload_version, trace_id, requested_by)
             select id, $5, $6, $7, slot, $8, $9, $10, tstzrange(after, before), t.now,
                    t.now - $10::smallint * interval '30 minutes' + ($11::bigint + nth) * (select step from paceline.lanes where lane = $7),
                    $12, $13, $14, $15, $16
               from asked, (select clock_timestamp() as now) t order by slot desc
             on conflict (user_id, provider, slot) do nothing
             returning id, slot, user_id, provider, job_type, created_at),
           progress as (
             insert into public.sync_progress (id, uid, external_id, provider, job_type, created_at, updated_at)
             select job.id, job.user_id, u.external_id, job.provider, job.job_type, job.created_at, job.created_at
               from job join paceline.users u on u.id = job.user_id)
           select id as "id: JobId", slot from job"#,
        &ids,
        &slots,
        &afters,
        &befores,
        sync.user.0,
        sync.connection.0,
        sync.provider.as_str(),
        JobKind::Sync.as_str(),
        sync.job_type.as_str(),
        sync.class.rank(),
        behind,
        sync.options.max_retries,
        Json(&sync.options) as _,
        PAYLOAD_VERSION,
        sync.trace,
        sync.requested_by
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.slot, SliceOutcome::Queued(row.id))).collect())
}

/// Those whose place has a live job. A part of a slice that this one does not read is put aside for after it.
async fn join(
    tx: &mut PgConnection,
    sync: &NewSync,
    slices: &[&Slice],
) -> Result<Vec<(i32, SliceOutcome)>, Error> {
    if slices.is_empty() {
        return Ok(vec![]);
    }
    let (slots, afters, befores) = columns(slices);
    let rows = sqlx::query!(
        r#"with asked as (
             select slot, tstzrange(after, before) as range
               from unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) as a(slot, after, before)),
           live as (
             select j.id, j.slot, a.range, j.cancel_requested_at is null and j.job_type = $6 as takes, j.time_range
               from asked a join paceline.sync_jobs j on j.user_id = $4 and j.provider = $5 and j.slot = a.slot
              order by j.slot desc for update of j),
           more as (
             update paceline.sync_jobs j
                set follow_up = coalesce(j.follow_up, '{}') + (tstzmultirange(live.range) - tstzmultirange(live.time_range))
               from live where j.id = live.id and live.takes and not live.time_range @> live.range)
           select id as "id: JobId", slot, takes as "takes!" from live"#,
        &slots,
        &afters,
        &befores,
        sync.user.0,
        sync.provider.as_str(),
        sync.job_type.as_str()
    )
    .fetch_all(tx)
    .await?;
    let outcome =
        |id, takes| if takes { SliceOutcome::Joined(id) } else { SliceOutcome::Stopping(id) };
    Ok(rows.into_iter().map(|row| (row.slot, outcome(row.id, row.takes))).collect())
}
