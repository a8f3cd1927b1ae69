//! How ended jobs come back into the queue: one by its user, thousands by an admin, in the same
//! statements whatever their number.

use super::hold;
use crate::{
    JobId, Provider, UserId,
    db::{Error, connections},
    job_state::JobState,
    sync_spec::Class,
};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// How ended jobs are queued again.
#[derive(Clone, Copy, Debug, Default)]
pub struct RetryOptions<'a> {
    /// Forgets checkpoint, counters, pages and failed records; else a failed job goes on where it stopped.
    pub from_scratch: bool,
    /// Its new place in the queue; none keeps its class. What is retried in bulk takes
    /// [`Class::Backfill`], so that ten thousand retries do not stand before people.
    pub class: Option<Class>,
    /// The request that asks for it.
    pub trace: Option<Uuid>,
    /// Who asks, where it is not the user himself. It takes the place of whoever asked before.
    pub requested_by: Option<&'a str>,
}

/// What became of a wish to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryOutcome {
    /// It is queued again, with the same id. Wake the workers of the provider after the commit.
    Queued(Provider),
    /// Another one has its place: the user's live sync with the provider.
    Live(JobId),
    /// It has not ended.
    NotEnded,
    /// It completed; there is nothing to retry.
    Completed,
    /// Its connection cannot be used.
    Unusable(connections::State),
    /// There is no such job.
    NotFound,
}

/// Queues a user's ended sync again, in the caller's transaction; another's is not found.
///
/// A failed one goes on from its checkpoint; a cancelled one begins anew, for its pages are gone, and
/// so does one whose pages were pruned.
pub async fn retry(
    tx: &mut PgConnection,
    user: UserId,
    job: JobId,
    options: RetryOptions<'_>,
) -> Result<RetryOutcome, Error> {
    let outcomes = retry_of(tx, Some(user), &[job], options).await?;
    Ok(outcomes.first().map_or(RetryOutcome::NotFound, |(_, outcome)| *outcome))
}

/// [`retry`] for up to some thousand jobs of anybody, in one set of statements.
///
/// There is an outcome for each id, in the order asked, and no job spoils it for another. Of several that want one place the oldest gets it.
///
/// Two of these may run at once: rows are taken in the order of ids, places in the order of users.
pub async fn retry_many(
    tx: &mut PgConnection,
    jobs: &[JobId],
    options: RetryOptions<'_>,
) -> Result<Vec<(JobId, RetryOutcome)>, Error> {
    retry_of(tx, None, jobs, options).await
}

/// An ended job, locked.
struct Ended {
    id: JobId,
    user: UserId,
    provider: Provider,
    slot: i32,
    class: i16,
    state: JobState,
    connection: Option<connections::State>,
}

impl Ended {
    /// Why it cannot be queued, if that is certain already.
    fn refused(&self) -> Option<RetryOutcome> {
        if self.state == JobState::Completed {
            return Some(RetryOutcome::Completed);
        }
        let connection = self.connection.unwrap_or(connections::State::Revoked);
        (!connection.is_usable()).then_some(RetryOutcome::Unusable(connection))
    }
}

async fn retry_of(
    tx: &mut PgConnection,
    owner: Option<UserId>,
    jobs: &[JobId],
    options: RetryOptions<'_>,
) -> Result<Vec<(JobId, RetryOutcome)>, Error> {
    let mut outcomes = HashMap::with_capacity(jobs.len());
    let mut open = Vec::new();
    for ended in lock_ended(tx, owner, jobs).await? {
        if let Some(refused) = ended.refused() {
            outcomes.insert(ended.id, refused);
        } else {
            open.push(ended);
        }
    }
    let mut queued = Vec::new();
    while !open.is_empty() {
        let won: HashSet<JobId> = queue_again(tx, &open, options).await?.into_iter().collect();
        let (mine, rest): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|ended| won.contains(&ended.id));
        outcomes.extend(mine.iter().map(|ended| (ended.id, RetryOutcome::Queued(ended.provider))));
        queued.extend(mine);
        let live = live_in_place(tx, &rest).await?;
        outcomes.extend(live.iter().map(|(id, other)| (*id, RetryOutcome::Live(*other))));
        // Whatever was in the way of the others has ended since: their place is free.
        open = rest.into_iter().filter(|ended| !live.contains_key(&ended.id)).collect();
    }
    let places = queued
        .iter()
        .map(|ended| (ended.id, ended.provider, options.class.map_or(ended.class, Class::rank)));
    hold::show(tx, &places.collect::<Vec<_>>()).await?;
    let unknown: Vec<JobId> =
        jobs.iter().copied().filter(|job| !outcomes.contains_key(job)).collect();
    if !unknown.is_empty() {
        let seen = seen(tx, owner, &unknown).await?;
        outcomes.extend(seen.into_iter().map(|id| (id, RetryOutcome::NotEnded)));
    }
    let outcome = |job: &JobId| outcomes.get(job).copied().unwrap_or(RetryOutcome::NotFound);
    Ok(jobs.iter().map(|job| (*job, outcome(job))).collect())
}

fn uuids(jobs: &[JobId]) -> Vec<Uuid> {
    jobs.iter().map(|job| job.0).collect()
}

/// Those of the jobs that have ended, locked until the transaction ends.
async fn lock_ended(
    tx: &mut PgConnection,
    owner: Option<UserId>,
    jobs: &[JobId],
) -> Result<Vec<Ended>, Error> {
    Ok(sqlx::query_as!(
        Ended,
        r#"select h.id as "id: JobId", h.user_id as "user: UserId", h.provider as "provider: Provider", h.slot, h.class,
                  h.status as "state: JobState", c.state as "connection?: connections::State"
             from paceline.sync_history h left join paceline.connections c on c.id = h.connection_id
            where h.id = any($1) and ($2::uuid is null or h.user_id = $2)
            order by h.id for update of h"#,
        &uuids(jobs),
        owner.map(|owner| owner.0)
    )
    .fetch_all(tx)
    .await?)
}

/// Moves ended jobs back into the queue where their place is free; answers which.
///
/// One that was never claimed, by its epoch, left nothing to go on with: it has no row in `sync_runs`, as when it was new.
async fn queue_again(
    tx: &mut PgConnection,
    ended: &[Ended],
    options: RetryOptions<'_>,
) -> Result<Vec<JobId>, Error> {
    let ids: Vec<Uuid> = ended.iter().map(|ended| ended.id.0).collect();
    Ok(sqlx::query_scalar!(
        r#"with h as (
             select h.*, status = 'failed' and pages_pruned_at is null and not $2 as kept,
                    coalesce($3, class) as new_class,
                    row_number() over (partition by user_id, coalesce($3, class) order by id) - 1 as nth
               from paceline.sync_history h where id = any($1)),
           behind as (
             select user_id, class, count(*) as jobs from paceline.sync_jobs
              where user_id = any(array(select distinct user_id from h)) group by user_id, class),
           job as (
             insert into paceline.sync_jobs
               (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, run_at, sort_at,
                lease_epoch, max_retries, payload, payload_version, created_at, trace_id, requested_by)
             select h.id, h.user_id, connection_id, provider, slot, kind, job_type, new_class, time_range, t.now,
                    t.now - new_class * interval '30 minutes' + (coalesce(b.jobs, 0) + nth) * (select step from paceline.lanes where lane = h.provider),
                    lease_epoch, max_retries, payload, payload_version, created_at,
                    coalesce($4, trace_id), $5
               from h left join behind b on b.user_id = h.user_id and b.class = h.new_class,
                    (select clock_timestamp() as now) t
              order by h.user_id, provider, slot desc, h.id
             on conflict do nothing returning id),
           won as materialized (select h.* from h join job on job.id = h.id),
           run as (
             insert into paceline.sync_runs
               (job_id, provider, lease_epoch, beat_at, phase, checkpoint, retrying, estimated_total, counts, phase_times,
                error_count, last_error, retries, last_page, started_at, last_activity_at)
             select id, provider, lease_epoch, t.now,
                    case when kept then phase else 'fetch' end,
                    case when kept then checkpoint else '{"phase": "fetch", "next_page": 1}' end,
                    true, case when kept then estimated_total end, case when kept then counts else '{}' end,
                    case when kept then phase_times else jsonb_build_object('fetch', jsonb_build_object('start', t.now)) end,
                    error_count, last_error, retries + 1, case when kept then last_page else 0 end,
                    coalesce(started_at, t.now), t.now
               from won, (select clock_timestamp() as now) t where lease_epoch > 0),
           gone as (delete from paceline.sync_history where id = any(array(select id from won))),
           anew as (select id from won where not kept),
           pages as (delete from paceline.staged_pages where job_id = any(array(select id from anew))),
           failures as (delete from paceline.record_failures where job_id = any(array(select id from anew))),
           -- The row may have been forgotten since. What begins anew has no phase.
           progress as (
             insert into public.sync_progress as p
               (id, uid, external_id, provider, job_type, created_at, started_at, phase, counts)
             select won.id, won.user_id, u.external_id, won.provider, won.job_type, won.created_at, won.started_at,
                    case when kept then won.phase end, case when kept then won.counts end
               from won join paceline.users u on u.id = won.user_id
             on conflict (id) do update
                set status = 'queued', waiting = null, error = null, finished_at = null, message = null,
                    phase = excluded.phase, counts = excluded.counts,
                    percent = case when excluded.phase is null then 0 else p.percent end,
                    rev = p.rev + 1, updated_at = clock_timestamp())
           select id as "id: JobId" from job"#,
        &ids,
        options.from_scratch,
        options.class.map(Class::rank),
        options.trace,
        options.requested_by
    )
    .fetch_all(tx)
    .await?)
}

/// For each of the jobs whose place another one has: that other one.
async fn live_in_place(
    tx: &mut PgConnection,
    jobs: &[Ended],
) -> Result<HashMap<JobId, JobId>, Error> {
    if jobs.is_empty() {
        return Ok(HashMap::new());
    }
    let ids: Vec<Uuid> = jobs.iter().map(|ended| ended.id.0).collect();
    let users: Vec<Uuid> = jobs.iter().map(|ended| ended.user.0).collect();
    let providers: Vec<&str> = jobs.iter().map(|ended| ended.provider.as_str()).collect();
    let slots: Vec<i32> = jobs.iter().map(|ended| ended.slot).collect();
    let rows = sqlx::query!(
        r#"select a.id as "id!: JobId", j.id as "live: JobId"
             from unnest($1::uuid[], $2::uuid[], $3::text[], $4::integer[]) as a(id, user_id, provider, slot)
             join paceline.sync_jobs j using (user_id, provider, slot)"#,
        &ids,
        &users,
        &providers as &[&str],
        &slots
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.live)).collect())
}

/// Those of the jobs that are somewhere, live or just ended.
async fn seen(
    tx: &mut PgConnection,
    owner: Option<UserId>,
    jobs: &[JobId],
) -> Result<Vec<JobId>, Error> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id!: JobId" from (
             select id, user_id from paceline.sync_jobs where id = any($1)
             union all select id, user_id from paceline.sync_history where id = any($1)) everywhere
            where $2::uuid is null or user_id = $2"#,
        &uuids(jobs),
        owner.map(|owner| owner.0)
    )
    .fetch_all(tx)
    .await?)
}
