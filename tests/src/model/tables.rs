//! What the tables say of the model's jobs, read with SQL of its own.

use super::{
    AGED_BY, LEASE,
    job::{At, Job},
};
use crate::rows;
use anyhow::{Result, ensure};
use paceline_shared::{JobId, WorkerId, db::Db, job_state::JobState};
use sqlx::types::Uuid;
use std::{collections::HashMap, time::Duration};

#[derive(sqlx::FromRow)]
struct Row {
    id: Uuid,
    lease_epoch: i64,
    attempt: i16,
    crashes: i16,
    cancel: bool,
    page: i32,
    waits: bool,
    worker: Option<Uuid>,
    moved: bool,
    beat_age_s: f64,
    status: Option<String>,
}

/// Where each of the jobs is now, and how old its last beat is, in seconds.
pub(super) async fn read(db: &Db, jobs: &[JobId]) -> Result<HashMap<JobId, (Job, f64)>> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    let rows: Vec<Row> = sqlx::query_as(
        "select j.id, j.lease_epoch, j.attempt, j.crashes, j.cancel_requested_at is not null as cancel,
                coalesce((r.checkpoint ->> 'next_page')::int, 1) as page, j.waiting_for is not null as waits, j.worker,
                coalesce(r.checkpoint_at is distinct from r.claimed_checkpoint_at, false) as moved,
                coalesce(extract(epoch from clock_timestamp() - r.beat_at)::float8, 0) as beat_age_s,
                null::text as status
           from paceline.sync_jobs j left join paceline.sync_runs r on r.job_id = j.id where j.id = any($1)
         union all
         select id, lease_epoch, attempt, crashes, false, coalesce((checkpoint ->> 'next_page')::int, 1), false, null,
                false, 0, status
           from paceline.sync_history where id = any($1)",
    )
    .bind(&ids)
    .fetch_all(db)
    .await?;
    let mut jobs = HashMap::with_capacity(rows.len());
    for row in rows {
        let at = match (row.status.as_deref(), row.worker, row.waits) {
            (Some("completed"), ..) => At::Ended(JobState::Completed),
            (Some("failed"), ..) => At::Ended(JobState::Failed),
            (Some(_), ..) => At::Ended(JobState::Cancelled),
            (None, Some(worker), _) => At::Running {
                worker: WorkerId(worker),
                moved: row.moved,
                silent: row.beat_age_s > LEASE.as_secs_f64(),
            },
            (None, None, true) => At::Waiting,
            (None, None, false) => At::Queued,
        };
        let Row { lease_epoch: epoch, attempt, crashes, cancel, page, .. } = row;
        let job = Job { epoch, attempt, crashes, cancel, page, at };
        let twice = jobs.insert(JobId(row.id), (job, row.beat_age_s));
        ensure!(twice.is_none(), "job {} is in two places", row.id);
    }
    Ok(jobs)
}

/// What must hold between the tables, whatever was done.
pub(super) async fn check_whole(db: &Db) -> Result<()> {
    let broken: Vec<(String, i64)> = sqlx::query_as(
        "select 'a lease and its job name different owners or epochs', count(*)
           from paceline.sync_jobs j join paceline.sync_runs r on r.job_id = j.id
          where r.worker is distinct from j.worker or r.lease_epoch <> j.lease_epoch
         union all
         select 'a running job without a lease', count(*) from paceline.sync_jobs j
          where worker is not null and not exists (select from paceline.sync_runs r where r.job_id = j.id)
         union all
         select 'a lease without a job', count(*) from paceline.sync_runs r
          where not exists (select from paceline.sync_jobs j where j.id = r.job_id)
         union all
         select 'a progress row that says otherwise', count(*)
           from paceline.sync_jobs j join public.sync_progress p using (id)
          where p.status <> case when j.waiting_for is not null then 'waiting' else 'queued' end
            -- Whoever runs it says so when it begins.
            and not (j.worker is not null and p.status = 'running')
         union all
         select 'a job without a progress row', count(*) from paceline.sync_jobs j
          where not exists (select from public.sync_progress p where p.id = j.id)",
    )
    .fetch_all(db)
    .await?;
    for (what, count) in broken {
        ensure!(count == 0, "{what}: {count}");
    }
    Ok(())
}

/// A lost lease counts as a crash only if the server was up all the time.
pub(super) async fn wait_until_aged_beats_are_younger_than_the_server(db: &Db) -> Result<()> {
    let wanted = AGED_BY + Duration::from_secs(1);
    while rows::uptime(db).await < wanted {
        tokio::time::sleep(wanted.saturating_sub(rows::uptime(db).await)).await;
    }
    Ok(())
}

/// Makes the owners of these leases look silent for longer than a lease.
pub(super) async fn age(db: &Db, jobs: &[JobId]) -> Result<()> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    sqlx::query("update paceline.sync_runs set beat_at = clock_timestamp() - make_interval(secs => $2) where job_id = any($1)")
        .bind(&ids)
        .bind(AGED_BY.as_secs_f64())
        .execute(db)
        .await?;
    Ok(())
}
