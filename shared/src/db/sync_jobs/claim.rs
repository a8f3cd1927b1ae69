//! How workers take jobs, as far as their lanes allow it.

use crate::{
    ConnectionId, JobId, Provider, UserId, WorkerId,
    db::{self, Db, Error, lanes, timed},
    sync_spec::PAYLOAD_VERSION,
};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgExecutor, postgres::types::PgRange};
use uuid::Uuid;

/// A job in the hands of a worker. What is JSON here is not read yet: one bad row must not spoil the
/// claim of its neighbours.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The job.
    pub id: JobId,
    /// The lease's epoch.
    pub epoch: i64,
    /// For whom.
    pub user: UserId,
    /// Through which link.
    pub connection: ConnectionId,
    /// From where.
    pub provider: Provider,
    /// Which kind of work, as stored.
    pub kind: String,
    /// What, as stored.
    pub job_type: String,
    /// Start times asked for.
    pub range: PgRange<DateTime<Utc>>,
    /// How urgent: the rank of its class.
    pub class: i16,
    /// This attempt, from 1.
    pub attempt: i16,
    /// Failed attempts that may be retried.
    pub max_retries: i16,
    /// Workers that were lost with it since its checkpoint last moved.
    pub crashes: i16,
    /// How, as stored.
    pub payload: Value,
    /// Where to go on, as stored; `None`: from the start, no worker had it before.
    pub checkpoint: Option<Value>,
    /// What was counted so far, as stored; `None` as well then.
    pub counts: Option<Value>,
    /// Its place in the queue.
    pub sort_at: DateTime<Utc>,
    /// The request that asked for it.
    pub trace_id: Option<Uuid>,
}

/// A place in the queue after which a claim looks on. Skips what was claimed before it and the dead rows there.
#[derive(Clone, Copy, Debug)]
pub struct Cursor(DateTime<Utc>, Uuid);

impl Cursor {
    /// Before every job.
    pub const START: Self = Self(DateTime::<Utc>::MIN_UTC, Uuid::nil());

    /// Just behind a claimed job.
    #[must_use]
    pub const fn behind(job: &Claimed) -> Self {
        Self(job.sort_at, job.id.0)
    }
}

/// What a claim brought, and how the lane stands: so a claimer that got nothing knows what to wait for.
#[derive(Clone, Debug)]
pub struct Claim {
    /// First come first, each with a fresh lease.
    pub jobs: Vec<Claimed>,
    /// What the lane allows.
    pub lane: Standing,
}

/// What a lane allows at the moment of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Every job. That fewer came than were asked for means that there are no more.
    Open,
    /// Classes of this rank and above; a cursor that comes from here must not be used when it opens.
    Urgent(i16, Hold),
    /// One job of this worker, which finds out whether the provider answers again.
    Probing,
    /// No more than run already: the lane's limit is reached, by this claim or before.
    Full,
    /// Nothing.
    Held(Hold),
}

/// What keeps jobs in their lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// `paused`, `breaker_open`, `rate_limit` or `quota_exceeded`.
    pub reason: String,
    /// When it ends by itself; `None`: when somebody ends it.
    pub until: Option<DateTime<Utc>>,
}

/// Takes up to `limit` jobs of a provider, first come first, as far as its lane allows it. One statement; two in
/// a transaction where the lane is limited and has room.
pub async fn claim(
    db: &Db,
    worker: WorkerId,
    provider: Provider,
    limit: i64,
    after: Cursor,
) -> Result<Claim, Error> {
    timed("claim", pass_gate(db, Take { worker, provider, limit, after, suspects: false })).await
}

/// Takes one job that two workers were lost with at its last checkpoint, as far as its lane allows it. To be
/// run alone, so that it takes nothing with it if it was the cause.
pub async fn claim_suspect(
    db: &Db,
    worker: WorkerId,
    providers: &[Provider],
) -> Result<Option<Claimed>, Error> {
    for provider in suspects(db, worker, providers).await? {
        let take = Take { worker, provider, limit: 1, after: Cursor::START, suspects: true };
        if let Some(job) = pass_gate(db, take).await?.jobs.pop() {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

/// Whether a job waits to be claimed alone that this worker would get, once it runs nothing else. Reads the
/// entries of a small index.
pub async fn suspect_waits(
    db: &Db,
    worker: WorkerId,
    providers: &[Provider],
) -> Result<bool, Error> {
    Ok(!suspects(db, worker, providers).await?.is_empty())
}

/// Providers with jobs that wait to be claimed alone and that the gate would let pass. It asks what the claim
/// will ask; only what this worker runs itself does not fill the lane, for it is gone by then.
async fn suspects(
    db: &Db,
    worker: WorkerId,
    providers: &[Provider],
) -> Result<Vec<Provider>, Error> {
    let names: Vec<&str> = providers.iter().map(|provider| provider.as_str()).collect();
    Ok(sqlx::query_scalar!(
        r#"select j.provider as "provider!: Provider"
             from (select provider, class, min(sort_at) as since from paceline.sync_jobs
                    where crashes >= 2 and slot >= 0 and waiting_for is null and worker is null
                      and provider = any($1) and payload_version <= $2
                    group by provider, class) j
             cross join (select clock_timestamp() as now) t
             left join paceline.lanes every on every.lane = '*'
             left join paceline.lanes l on l.lane = j.provider
            where (greatest(every.paused_until, l.paused_until) > t.now) is not true
              and ((l.breaker <> 'closed') is not true
                   or (l.breaker = 'half_open' and l.breaker_probe = $3 and l.breaker_until > t.now))
              and (l.blocked_until > t.now and j.class < l.blocked_below) is not true
              and (l.max_running is null
                   or l.max_running > (select count(*) from paceline.sync_runs
                                        where provider = j.provider and worker <> $3))
            group by j.provider
            order by min(j.since)"#,
        &names as &[&str],
        PAYLOAD_VERSION,
        worker.0
    )
    .fetch_all(db)
    .await?)
}

#[derive(Clone, Copy, Debug)]
struct Take {
    worker: WorkerId,
    provider: Provider,
    limit: i64,
    after: Cursor,
    suspects: bool,
}

async fn pass_gate(db: &Db, take: Take) -> Result<Claim, Error> {
    match read(statement(db, take, false).await?, take.provider, false) {
        Passed::Claimed(claim) => Ok(claim),
        Passed::Limited => {
            // Claims of a limited lane go one after the other, each in a snapshot taken after the lock:
            // whoever counts what runs sees what the one before took.
            let mut tx = db::begin(db).await?;
            let limit = lanes::lock(&mut tx, take.provider).await?.map_or(take.limit, i64::from);
            let take = Take { limit: take.limit.min(limit), ..take };
            let rows = statement(&mut *tx, take, true).await?;
            tx.commit().await?;
            Ok(match read(rows, take.provider, true) {
                Passed::Claimed(claim) => claim,
                Passed::Limited => Claim { jobs: vec![], lane: Standing::Full },
            })
        }
    }
}

enum Passed {
    Claimed(Claim),
    /// There is room, and it must be counted under the lane's lock.
    Limited,
}

/// The gate and the claim. `gate` is evaluated once, before the first job is looked at; where it lets nothing
/// pass, no index is read. The jobs' limit stays a plain parameter: with one that is computed the planner would
/// reckon with a tenth of the table, and sort it.
///
/// Rows are taken by their place (`ctid`): it cannot change under the lock. One that changed between the snapshot
/// and the lock is not found there, and is left to the next claim.
///
/// The user's row is not written here: whoever runs the job says that it runs when it begins
/// ([`crate::db::sync_progress::begin`]). A claim writes for hundreds at once, and its rows are locked meanwhile.
async fn statement(
    db: impl PgExecutor<'_>,
    take: Take,
    lane_is_locked: bool,
) -> Result<Vec<Row>, Error> {
    // The year 262144 before Christ is no timestamp of Postgres.
    let after_at = (take.after.0 > DateTime::<Utc>::MIN_UTC).then_some(take.after.0);
    Ok(sqlx::query_as!(
        Row,
        r#"with gate as materialized (
             select case hold.by when 1 then 'paused' when 2 then 'breaker_open' when 3 then l.blocked_reason end as reason,
                    case hold.by when 1 then lane.paused_until when 2 then l.breaker_until when 3 then l.blocked_until end
                      as until,
                    hold.least, lane.probing, lane.room,
                    least($6, lane.room,
                          case when hold.least > 4 or (l.max_running is not null and not $7) then 0 end,
                          case when lane.probing then (not exists (
                            select from paceline.sync_runs where provider = $2 and worker = $1 and phase = 'fetch'))::integer end)::integer
                      as takes
               from (select clock_timestamp() as now) t
               left join paceline.lanes every on every.lane = '*'
               left join paceline.lanes l on l.lane = $2
               cross join lateral (
                 select greatest(every.paused_until, l.paused_until) as paused_until,
                        coalesce(l.breaker = 'half_open' and l.breaker_probe = $1 and l.breaker_until > t.now, false)
                          as probing,
                        case when l.max_running is not null then greatest(0, l.max_running - (
                          select count(*) from paceline.sync_runs where provider = $2 and worker is not null)) end
                          as room) lane
               cross join lateral (
                 select case when lane.paused_until > t.now then 1
                             when l.breaker <> 'closed' and not lane.probing then 2
                             when l.blocked_until > t.now then 3 end as by) held
               cross join lateral (
                 select held.by, case held.by when 1 then 5 when 2 then 5 when 3 then l.blocked_below else 1 end as least)
                 hold),
           up as (
             update paceline.sync_jobs set attempt = attempt + 1, lease_epoch = lease_epoch + 1, worker = $1
              where ctid = any((case
                when $8 then array(
                  select ctid from paceline.sync_jobs
                   where provider = $2 and slot >= 0 and crashes >= 2 and waiting_for is null and worker is null
                     and payload_version <= $3 and (select takes from gate) > 0 and class >= (select least from gate)
                   order by sort_at, id limit $6 for update skip locked)
                when (select least from gate) = 1 then array(
                  select ctid from paceline.sync_jobs
                   where provider = $2 and slot >= 0 and waiting_for is null and worker is null and crashes < 2
                     and payload_version <= $3 and (select takes from gate) > 0
                     and (sort_at, id) > (coalesce($4, '-infinity'::timestamptz), $5)
                   order by sort_at, id limit $6 for update skip locked)
                else array(
                  select ctid from paceline.sync_jobs
                   where provider = $2 and slot >= 0 and waiting_for is null and class >= 3 and worker is null and crashes < 2
                     and payload_version <= $3 and (select takes from gate) > 0 and class >= (select least from gate)
                     and (sort_at, id) > (coalesce($4, '-infinity'::timestamptz), $5)
                   order by sort_at, id limit $6 for update skip locked)
                end)[1:(select takes from gate)])
             returning id, lease_epoch, user_id, connection_id, kind, job_type, time_range, class, attempt, max_retries,
                       crashes, payload, sort_at, trace_id),
           stamp as materialized (
             select now, jsonb_build_object('fetch', jsonb_build_object('start', now)) as phase_times
               from (select clock_timestamp() as now from up limit 1) t),
           -- Whoever is claimed for the first time has no row yet; to look for one first costs more than to write it.
           first as (
             insert into paceline.sync_runs
               (job_id, provider, lease_epoch, worker, beat_at, started_at, last_activity_at, phase_times)
             select id, $2, lease_epoch, $1, stamp.now, stamp.now, stamp.now, stamp.phase_times
               from up, stamp where lease_epoch = 1),
           again as (
             insert into paceline.sync_runs as r
               (job_id, provider, lease_epoch, worker, beat_at, started_at, last_activity_at, phase_times)
             select id, $2, lease_epoch, $1, stamp.now, stamp.now, stamp.now, stamp.phase_times
               from up, stamp where lease_epoch > 1
             on conflict (job_id) do update
               set lease_epoch = excluded.lease_epoch, worker = excluded.worker, beat_at = excluded.beat_at,
                   claimed_checkpoint_at = r.checkpoint_at, last_activity_at = excluded.last_activity_at,
                   stuck_reported_at = null
             returning job_id, checkpoint, counts)
           select gate.reason, nullif(gate.until, 'infinity') as until, gate.least::smallint as "least!",
                  gate.probing as "probing!", gate.room as "room?",
                  job.id as "id?: JobId", job.lease_epoch as "epoch?", job.user_id as "user?: UserId",
                  job.connection_id as "connection?: ConnectionId", job.kind as "kind?",
                  job.job_type as "job_type?", job.time_range as "range?", job.class as "class?",
                  job.attempt as "attempt?", job.max_retries as "max_retries?", job.crashes as "crashes?",
                  job.payload as "payload?", job.checkpoint as "checkpoint?", job.counts as "counts?",
                  job.sort_at as "sort_at?", job.trace_id
             from gate left join (up left join again on again.job_id = up.id) job on true
            order by job.sort_at, job.id"#,
        take.worker.0,
        take.provider.as_str(),
        PAYLOAD_VERSION,
        after_at,
        take.after.1,
        take.limit,
        lane_is_locked,
        take.suspects
    )
    .fetch_all(db)
    .await?)
}

/// The gate, in every row, and a job, unless none passed.
struct Row {
    reason: Option<String>,
    until: Option<DateTime<Utc>>,
    least: i16,
    probing: bool,
    room: Option<i64>,
    id: Option<JobId>,
    epoch: Option<i64>,
    user: Option<UserId>,
    connection: Option<ConnectionId>,
    kind: Option<String>,
    job_type: Option<String>,
    range: Option<PgRange<DateTime<Utc>>>,
    class: Option<i16>,
    attempt: Option<i16>,
    max_retries: Option<i16>,
    crashes: Option<i16>,
    payload: Option<Value>,
    checkpoint: Option<Value>,
    counts: Option<Value>,
    sort_at: Option<DateTime<Utc>>,
    trace_id: Option<Uuid>,
}

fn read(rows: Vec<Row>, provider: Provider, lane_is_locked: bool) -> Passed {
    let Some(gate) = rows.first() else {
        return Passed::Claimed(Claim { jobs: vec![], lane: Standing::Open });
    };
    let (reason, until, least, probing, room) =
        (gate.reason.clone(), gate.until, gate.least, gate.probing, gate.room);
    if least < 5 && !lane_is_locked && room.is_some_and(|room| room > 0) {
        return Passed::Limited;
    }
    let jobs: Vec<Claimed> = rows
        .into_iter()
        .filter_map(|row| {
            Some(Claimed {
                id: row.id?,
                epoch: row.epoch?,
                user: row.user?,
                connection: row.connection?,
                provider,
                kind: row.kind?,
                job_type: row.job_type?,
                range: row.range?,
                class: row.class?,
                attempt: row.attempt?,
                max_retries: row.max_retries?,
                crashes: row.crashes?,
                payload: row.payload?,
                checkpoint: row.checkpoint,
                counts: row.counts,
                sort_at: row.sort_at?,
                trace_id: row.trace_id,
            })
        })
        .collect();
    let hold = reason.map(|reason| Hold { reason, until });
    let lane = match hold {
        Some(hold) if least > 4 => Standing::Held(hold),
        _ if room.is_some_and(|room| i64::try_from(jobs.len()).is_ok_and(|n| n >= room)) => {
            Standing::Full
        }
        Some(hold) => Standing::Urgent(least, hold),
        None if probing => Standing::Probing,
        None => Standing::Open,
    };
    Passed::Claimed(Claim { jobs, lane })
}
