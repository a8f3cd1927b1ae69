-- What jobs and workers carry for the fleet, and how a queued job tells what holds it back.
alter table paceline.sync_jobs
  add column follow_up tstzmultirange,
  add column trace_id uuid,
  add column requested_by text;
comment on column paceline.sync_jobs.follow_up is 'Ranges asked for while it was live; its end turns them into a job of their own.';
comment on column paceline.sync_jobs.trace_id is 'The request that asked for it; on every log line of its workers.';
create index sync_jobs_urgent on paceline.sync_jobs (provider, sort_at, id) where waiting_for is null and class >= 3 and slot >= 0;
create index sync_jobs_suspect on paceline.sync_jobs (sort_at, id) where crashes >= 2 and slot >= 0;

alter table paceline.sync_runs
  add column provider text not null default 'strava',
  add column stuck_reported_at timestamptz;
-- The default stays for workers of the version before, which do not name it and have Strava only.
-- Neither a beat nor a checkpoint changes these: both stay HOT.
create index sync_runs_held on paceline.sync_runs (provider) where worker is not null;
comment on column paceline.sync_runs.stuck_reported_at is 'When it was reported that the checkpoint had not moved for ten minutes.';

alter table paceline.sync_history
  add column follow_up tstzmultirange,
  add column trace_id uuid,
  add column requested_by text,
  add column pages_pruned_at timestamptz;
create index sync_history_failed on paceline.sync_history (id) where status = 'failed';
create index sync_history_failed_as on paceline.sync_history ((last_error ->> 'fingerprint'), id) where status = 'failed';
create index sync_history_finished on paceline.sync_history using brin (finished_at) with (pages_per_range = 32);
comment on column paceline.sync_history.pages_pruned_at is 'When its staged pages were deleted: a retry begins anew.';

alter table paceline.sync_attempts add column fingerprint text not null default '';
create index sync_attempts_recent on paceline.sync_attempts (at desc, id desc);
create index sync_attempts_fingerprint on paceline.sync_attempts (fingerprint, at desc);
comment on column paceline.sync_attempts.fingerprint is 'Equal for failures of one kind: provider, phase, code, endpoint, status and the message without its numbers.';

alter table paceline.workers
  add column label text not null default '',
  add column host text not null default '',
  add column pid integer not null default 0,
  add column providers text[] not null default '{}',
  add column payload_version integer not null default 1,
  add column listening boolean not null default true,
  add column rss_bytes bigint not null default 0,
  add column drain_requested_at timestamptz,
  add column drain_requested_by text;
comment on column paceline.workers.label is 'For people; several may share one. The id is the identity.';
comment on column paceline.workers.listening is 'Whether notifications arrive; false: it polls.';

create table paceline.duties (
  duty text constraint duties_pkey primary key,
  worker uuid not null,
  until timestamptz not null
) with (fillfactor = 50);
comment on table paceline.duties is 'What one worker at a time does for all of them; it ends by itself when the worker does.';

-- What lanes say about jobs that nobody claims meanwhile.
create function paceline.lane_hold(p_provider text, p_class smallint)
returns table (reason text, until timestamptz) language sql stable as $$
  select held.reason, nullif(held.until, 'infinity')
    from paceline.lanes l cross join lateral (values
           ('paused', l.paused_until, l.paused_until > clock_timestamp()),
           ('breaker_open', l.breaker_until, l.breaker <> 'closed'),
           (l.blocked_reason, l.blocked_until, l.blocked_until > clock_timestamp() and p_class < l.blocked_below))
         as held(reason, until, holds)
   where l.lane in (p_provider, '*') and held.holds
   order by held.until desc limit 1
$$;
comment on function paceline.lane_hold is 'Why a queued job of this class is not claimed, and until when: of several reasons the one that lasts longest.';

-- The view, with what holds back a queued job.
create or replace view paceline.syncs with (security_invoker = true) as
select j.id, j.user_id, j.provider, j.job_type, j.time_range,
       case when j.worker is not null then 'running' when j.waiting_for is not null then 'waiting' else 'queued' end as state,
       coalesce(r.phase, 'fetch') as phase, coalesce(r.retrying, false) as retrying, j.attempt, j.max_retries,
       coalesce(j.waiting_for, held.reason) as waiting_for,
       case when j.waiting_for is not null then j.run_at else held.until end as waiting_until,
       r.estimated_total, coalesce(r.counts, '{}') as counts, coalesce(r.phase_times, '{}') as phase_times,
       coalesce(r.error_count, 0) as error_count, r.last_error, coalesce(r.last_page, 0) as last_page,
       j.created_at, r.started_at, coalesce(r.last_activity_at, j.created_at) as updated_at,
       null::timestamptz as finished_at
  from paceline.sync_jobs j
  left join paceline.sync_runs r on r.job_id = j.id
  left join lateral (
    select * from paceline.lane_hold(j.provider, j.class) where j.worker is null and j.waiting_for is null) held on true
 where j.kind = 'sync'
union all
select h.id, h.user_id, h.provider, h.job_type, h.time_range,
       h.status, h.phase, false, h.attempt, h.max_retries,
       null, null,
       h.estimated_total, h.counts, h.phase_times, h.error_count, h.last_error, h.last_page,
       h.created_at, h.started_at, h.finished_at, h.finished_at
  from paceline.sync_history h
 where h.kind = 'sync';
