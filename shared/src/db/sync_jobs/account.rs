//! Jobs for an account itself, not for its records: code exchanges and good-byes. They lie in places below zero,
//! which the usual claim does not see, and have a claim of their own: past pause, block, breaker and limit.
//!
//! Of one user and provider one of them runs at a time, so that a good-bye and a new consent do not overtake
//! each other on their way to the provider.

use super::cancel::{CancelOutcome, cancel_many};
use crate::{
    AuthorizationId, ConnectionId, JobId, Provider, UserId, WorkerId,
    db::{Db, Error, authorizations, connections, timed},
    sync_spec::{Class, DeauthorizeOptions, ExchangeOptions, JobKind, PAYLOAD_VERSION},
};
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

/// Attempts after the first that a good-bye is worth: a provider that is away for an hour is still told.
const RETRIES: i16 = 12;

/// What an enqueue did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountJob {
    /// The job. Wake the workers of its provider after the commit.
    pub job: JobId,
    /// Running jobs that were asked to stop: tell their workers after the commit.
    pub stopping: Vec<JobId>,
}

/// Queues the exchange of the code that [`authorizations::returned`] has just kept, in the same transaction.
///
/// An older one of the user and provider is replaced: its authorization ends so, and its job is cancelled. One that
/// has connected an account stays: it has a first sync to queue still.
pub async fn enqueue_exchange(
    tx: &mut PgConnection,
    user: UserId,
    provider: Provider,
    authorization: AuthorizationId,
    trace: Option<Uuid>,
) -> Result<AccountJob, Error> {
    let older = live(tx, user, provider, JobKind::Exchange, None).await?;
    let stopping = stop(tx, &older).await?;
    authorizations::replace_older(tx, user, provider, authorization).await?;
    let payload = serde_json::json!(ExchangeOptions { authorization });
    let new = New { user, provider, connection: None, kind: JobKind::Exchange, payload, trace };
    let job = insert(tx, &new).await?;
    authorizations::set_job(tx, authorization, job).await?;
    Ok(AccountJob { job, stopping })
}

/// What became of a wish to disconnect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// The connection is revoked; the job tells the provider.
    Queued(AccountJob),
    /// It was revoked before, and nothing is left to do.
    Done,
    /// The user has no such connection.
    NotFound,
}

/// Revokes a user's connection and queues the good-bye, in the caller's transaction. Its syncs are stopped, and no
/// new one finds it; its history stays, unless `delete_records`.
///
/// Asked again while the good-bye is under way, it is the same one; with `delete_records` also after it.
pub async fn enqueue_deauthorize(
    tx: &mut PgConnection,
    user: UserId,
    connection: ConnectionId,
    delete_records: bool,
    trace: Option<Uuid>,
) -> Result<Goodbye, Error> {
    let Some(revoked) = connections::revoke_and_lock(tx, user, connection).await? else {
        return Ok(Goodbye::NotFound);
    };
    let under_way =
        live(tx, user, revoked.provider, JobKind::Deauthorize, Some(connection)).await?;
    if revoked.before && under_way.is_empty() && !delete_records && !revoked.has_tokens {
        return Ok(Goodbye::Done);
    }
    let syncs = syncs_of(tx, connection).await?;
    let stopping = stop(tx, &syncs).await?;
    // One that runs has read what it shall do: the records are another job's.
    if let [job, ..] = under_way[..]
        && (!delete_records || widen(tx, job).await?)
    {
        return Ok(Goodbye::Queued(AccountJob { job, stopping }));
    }
    let new = New {
        user,
        provider: revoked.provider,
        connection: Some(connection),
        kind: JobKind::Deauthorize,
        payload: serde_json::json!(DeauthorizeOptions { delete_records }),
        trace,
    };
    Ok(Goodbye::Queued(AccountJob { job: insert(tx, &new).await?, stopping }))
}

/// Ends good-byes of a connection that is wanted again, in the caller's transaction. One that runs is asked to
/// stop, and finds out for itself besides: tell its worker after the commit.
pub async fn withdraw_deauthorize(
    tx: &mut PgConnection,
    user: UserId,
    provider: Provider,
    connection: ConnectionId,
) -> Result<Vec<JobId>, Error> {
    let under_way = live(tx, user, provider, JobKind::Deauthorize, Some(connection)).await?;
    stop(tx, &under_way).await
}

/// Those of a connection's syncs that have not ended.
pub async fn syncs_of(
    tx: &mut PgConnection,
    connection: ConnectionId,
) -> Result<Vec<JobId>, Error> {
    Ok(sqlx::query_scalar!(
        r#"select j.id as "id: JobId" from paceline.sync_jobs j join paceline.connections c on c.id = $1
            where j.user_id = c.user_id and j.provider = c.provider and j.slot >= 0 and j.connection_id = c.id"#,
        connection.0
    )
    .fetch_all(tx)
    .await?)
}

/// Ends those that nobody runs; answers which of the others were asked to stop.
async fn stop(tx: &mut PgConnection, jobs: &[JobId]) -> Result<Vec<JobId>, Error> {
    if jobs.is_empty() {
        return Ok(vec![]);
    }
    let outcomes = cancel_many(tx, jobs).await?;
    Ok(outcomes
        .into_iter()
        .filter_map(|(job, outcome)| (outcome == CancelOutcome::Asked).then_some(job))
        .collect())
}

async fn live(
    tx: &mut PgConnection,
    user: UserId,
    provider: Provider,
    kind: JobKind,
    connection: Option<ConnectionId>,
) -> Result<Vec<JobId>, Error> {
    Ok(sqlx::query_scalar!(
        r#"select id as "id: JobId" from paceline.sync_jobs
            where user_id = $1 and provider = $2 and slot < 0 and kind = $3 and cancel_requested_at is null
              and ($4::uuid is null or connection_id = $4)
              and not exists (select from paceline.authorizations a
                               where a.id = (payload ->> 'authorization')::uuid and a.outcome is not null)
            order by id"#,
        user.0,
        provider.as_str(),
        kind.as_str(),
        connection.map(|connection| connection.0)
    )
    .fetch_all(tx)
    .await?)
}

/// Makes a good-bye that nobody runs delete the records as well. False: somebody runs it, or it has ended.
async fn widen(tx: &mut PgConnection, job: JobId) -> Result<bool, Error> {
    let widened = sqlx::query!(
        "update paceline.sync_jobs set payload = $2, waiting_for = null where id = $1 and worker is null",
        job.0,
        Json(DeauthorizeOptions { delete_records: true }) as _
    )
    .execute(tx)
    .await?;
    Ok(widened.rows_affected() == 1)
}

struct New {
    user: UserId,
    provider: Provider,
    connection: Option<ConnectionId>,
    kind: JobKind,
    payload: Value,
    trace: Option<Uuid>,
}

/// Exchanges have the odd places, good-byes the even ones. The first is usually free: what has it otherwise runs
/// and was asked to stop, or says good-bye to another account of the user's.
async fn insert(tx: &mut PgConnection, new: &New) -> Result<JobId, Error> {
    let first = if new.kind == JobKind::Exchange { -1 } else { -2 };
    loop {
        let queued = sqlx::query_scalar!(
            r#"insert into paceline.sync_jobs
                 (id, user_id, connection_id, provider, slot, kind, job_type, class, time_range, run_at, sort_at,
                  max_retries, payload, payload_version, trace_id)
               select $1, $2, $3, $4, free.slot, $6, $6, $7, '(,)', t.now, t.now, $8, $9, $10, $11
                 from (select clock_timestamp() as now) t,
                      (select slot from generate_series($5::integer, -2000, -2) slot
                        where not exists (select from paceline.sync_jobs o
                                           where o.user_id = $2 and o.provider = $4 and o.slot = slot.slot)
                        order by slot desc limit 1) free
               on conflict (user_id, provider, slot) do nothing
               returning id as "id: JobId""#,
            JobId::fresh().0,
            new.user.0,
            new.connection.map(|connection| connection.0),
            new.provider.as_str(),
            first,
            new.kind.as_str(),
            Class::Interactive.rank(),
            RETRIES,
            new.payload,
            PAYLOAD_VERSION,
            new.trace
        )
        .fetch_optional(&mut *tx)
        .await?;
        // None: somebody was quicker; the next place is free.
        if let Some(job) = queued {
            return Ok(job);
        }
    }
}

/// One of these in the hands of a worker.
#[derive(Clone, Debug)]
pub struct ClaimedAccount {
    /// The job.
    pub id: JobId,
    /// The lease's epoch.
    pub epoch: i64,
    /// For whom.
    pub user: UserId,
    /// Which link; an exchange has none yet.
    pub connection: Option<ConnectionId>,
    /// Where.
    pub provider: Provider,
    /// Which kind of work, as stored.
    pub kind: String,
    /// What, as stored.
    pub payload: Value,
    /// This attempt, from 1.
    pub attempt: i16,
    /// Failed attempts that may be retried.
    pub max_retries: i16,
    /// The request that asked for it.
    pub trace_id: Option<Uuid>,
}

/// Takes up to `limit` of them, first come first, at whichever of these providers. No lane is asked.
pub async fn claim_account(
    db: &Db,
    worker: WorkerId,
    providers: &[Provider],
    limit: i64,
) -> Result<Vec<ClaimedAccount>, Error> {
    let names: Vec<&str> = providers.iter().map(|provider| provider.as_str()).collect();
    let claim = sqlx::query_as!(
        ClaimedAccount,
        r#"with up as (
             update paceline.sync_jobs set attempt = attempt + 1, lease_epoch = lease_epoch + 1, worker = $1
              where ctid = any(array(
                select j.ctid from paceline.sync_jobs j
                 where j.slot < 0 and j.waiting_for is null and j.worker is null and j.payload_version <= $2
                   and j.provider = any($3)
                   and not exists (
                     select from paceline.sync_jobs o
                      where o.user_id = j.user_id and o.provider = j.provider and o.slot < 0 and o.id <> j.id
                        and (o.worker is not null
                             or (o.waiting_for is null and (o.sort_at, o.id) < (j.sort_at, j.id))))
                 order by j.sort_at, j.id limit $4 for update of j skip locked))
             returning *),
           run as (
             insert into paceline.sync_runs as r
               (job_id, provider, lease_epoch, worker, beat_at, started_at, last_activity_at)
             select id, provider, lease_epoch, worker, t.now, t.now, t.now
               from up, (select clock_timestamp() as now) t
             on conflict (job_id) do update
               set lease_epoch = excluded.lease_epoch, worker = excluded.worker, beat_at = excluded.beat_at,
                   claimed_checkpoint_at = r.checkpoint_at, last_activity_at = excluded.last_activity_at,
                   stuck_reported_at = null
             returning job_id)
           select up.id as "id: JobId", up.lease_epoch as epoch, up.user_id as "user: UserId",
                  up.connection_id as "connection: ConnectionId", up.provider as "provider: Provider", up.kind, up.payload,
                  up.attempt, up.max_retries, up.trace_id
             from up join run on run.job_id = up.id
            order by up.sort_at, up.id"#,
        worker.0,
        PAYLOAD_VERSION,
        &names as &[&str],
        limit
    )
    .fetch_all(db);
    Ok(timed("claim_account", claim).await?)
}
