-- The hot path. A job is live in sync_jobs, has a lease and progress in sync_runs while and
-- after a worker had it, and moves to sync_history when it ends. No state is stored: running
-- means worker is not null, waiting means waiting_for is not null, else queued. No index holds
-- a column that a claim, a beat or a checkpoint changes, so all of those stay HOT.

create table paceline.sync_jobs (
  id uuid constraint sync_jobs_pkey primary key,
  user_id uuid not null,
  connection_id uuid not null,
  provider text not null,
  slot integer not null default 0,
  kind text not null,
  job_type text not null,
  class smallint not null,
  time_range tstzrange not null,
  waiting_for text,
  run_at timestamptz not null,
  sort_at timestamptz not null,
  lease_epoch bigint not null default 0,
  worker uuid,
  cancel_requested_at timestamptz,
  attempt smallint not null default 0,
  max_retries smallint not null,
  crashes smallint not null default 0,
  payload jsonb not null,
  payload_version integer not null,
  created_at timestamptz not null default clock_timestamp(),
  constraint sync_jobs_running_does_not_wait check (worker is null or waiting_for is null),
  constraint sync_jobs_class_known check (class between 1 and 4),
  constraint sync_jobs_attempt_not_negative check (attempt >= 0),
  constraint sync_jobs_max_retries_range check (max_retries between 0 and 20),
  constraint sync_jobs_crashes_not_negative check (crashes >= 0)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

create unique index sync_jobs_live on paceline.sync_jobs (user_id, provider, slot);
create index sync_jobs_ready on paceline.sync_jobs (provider, sort_at, id) where waiting_for is null and slot >= 0;
create index sync_jobs_due on paceline.sync_jobs (run_at) where waiting_for is not null;

comment on table paceline.sync_jobs is 'Live jobs only. Its id is the syncId everywhere.';
comment on column paceline.sync_jobs.slot is 'Which of a user''s parallel places at a provider: 0 is the sync.';
comment on column paceline.sync_jobs.class is '4 webhook, 3 interactive, 2 scheduled, 1 backfill.';
comment on column paceline.sync_jobs.time_range is 'Start times asked for; an open end is the whole history on that side.';
comment on column paceline.sync_jobs.waiting_for is 'Why the job is parked; null when it is not.';
comment on column paceline.sync_jobs.run_at is 'When a parked job is due.';
comment on column paceline.sync_jobs.sort_at is 'Order, fairness and ageing in one key, stamped once at enqueue.';
comment on column paceline.sync_jobs.lease_epoch is 'Rises with every claim: with the worker''s id it names one lease and no other.';
comment on column paceline.sync_jobs.worker is 'Incarnation id of the process that runs it; null when nobody does.';
comment on column paceline.sync_jobs.cancel_requested_at is 'Set once, cleared by nothing.';
comment on column paceline.sync_jobs.attempt is 'Attempts begun, less those that were given back.';
comment on column paceline.sync_jobs.crashes is 'Leases lost since the checkpoint last moved.';
comment on column paceline.sync_jobs.payload is 'Options of the sync.';
comment on column paceline.sync_jobs.payload_version is 'A worker claims only what it can read.';

create table paceline.sync_runs (
  job_id uuid constraint sync_runs_pkey primary key,
  lease_epoch bigint not null,
  worker uuid,
  beat_at timestamptz not null,
  phase text not null default 'fetch',
  checkpoint jsonb not null default '{"phase": "fetch", "next_page": 1}',
  checkpoint_at timestamptz,
  claimed_checkpoint_at timestamptz,
  retrying boolean not null default false,
  estimated_total integer,
  counts jsonb not null default '{}',
  phase_times jsonb not null default '{}',
  error_count integer not null default 0,
  last_error jsonb,
  retries integer not null default 0,
  last_page integer not null default 0,
  started_at timestamptz not null,
  last_activity_at timestamptz not null,
  constraint sync_runs_phase_known check (phase in ('fetch', 'enrich', 'store', 'done'))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
comment on table paceline.sync_runs is 'The worker''s row for a live job: lease, checkpoint and counters. A transaction that writes for a job locks this row first.';
comment on column paceline.sync_runs.beat_at is 'Last sign of life of the owner, by the database''s clock.';
comment on column paceline.sync_runs.checkpoint is 'Where the next attempt goes on.';
comment on column paceline.sync_runs.claimed_checkpoint_at is 'checkpoint_at as the current owner found it: equal means that nothing has moved since.';
comment on column paceline.sync_runs.retrying is 'True from a failed attempt to the next checkpoint.';
comment on column paceline.sync_runs.counts is 'fetched, filtered, duplicates, enriched, geocoded, saved … see the type Counts.';
comment on column paceline.sync_runs.phase_times is 'Start and end of each phase.';

create function paceline.processed(counts jsonb) returns integer language sql immutable parallel safe
return coalesce((counts ->> 'through')::integer, 0);
comment on function paceline.processed is 'Items that store is through with. Not a column: it would be computed with every beat and end, and few look.';

create table paceline.sync_history (
  id uuid not null,
  user_id uuid not null,
  connection_id uuid not null,
  provider text not null,
  slot integer not null,
  kind text not null,
  job_type text not null,
  class smallint not null,
  time_range tstzrange not null,
  status text not null,
  phase text not null,
  checkpoint jsonb not null,
  attempt smallint not null,
  max_retries smallint not null,
  crashes smallint not null,
  payload jsonb not null,
  payload_version integer not null,
  lease_epoch bigint not null,
  estimated_total integer,
  counts jsonb not null,
  phase_times jsonb not null,
  error_count integer not null,
  last_error jsonb,
  retries integer not null,
  last_page integer not null,
  created_at timestamptz not null,
  started_at timestamptz,
  last_activity_at timestamptz,
  finished_at timestamptz not null,
  constraint sync_history_pkey primary key (id, finished_at),
  constraint sync_history_status_known check (status in ('completed', 'failed', 'cancelled'))
) partition by range (finished_at);
create index sync_history_owner on paceline.sync_history (user_id, id desc);
create table paceline.sync_history_default partition of paceline.sync_history default;
comment on table paceline.sync_history is 'Finished jobs with their counters, a partition a month. A retry moves the row back.';

create function paceline.ensure_history_partitions() returns integer
language plpgsql set search_path = paceline, pg_temp as $$
declare
  month date; made integer := 0;
begin
  for ahead in 0..2 loop
    month := date_trunc('month', clock_timestamp() at time zone 'UTC')::date + make_interval(months => ahead);
    if to_regclass(format('paceline.sync_history_%s', to_char(month, 'YYYYMM'))) is null then
      begin
        execute format(
          'create table paceline.sync_history_%s partition of paceline.sync_history for values from (%L) to (%L)',
          to_char(month, 'YYYYMM'),
          to_char(month, 'YYYY-MM-DD') || ' 00:00:00+00',
          to_char(month + make_interval(months => 1), 'YYYY-MM-DD') || ' 00:00:00+00');
        made := made + 1;
      exception
        when duplicate_table then null;
        -- Rows of that month already lie in the default partition: they stay readable there.
        when check_violation then raise warning 'sync_history: month % stays in the default partition', month;
      end;
    end if;
  end loop;
  return made;
end $$;
comment on function paceline.ensure_history_partitions is 'Makes this month''s and the next two months'' partitions; answers how many were missing.';
select paceline.ensure_history_partitions();

create table paceline.sync_attempts (
  id uuid constraint sync_attempts_pkey primary key,
  job_id uuid not null,
  user_id uuid not null,
  provider text not null,
  job_type text not null,
  attempt smallint not null,
  phase text not null,
  code text not null,
  message text not null,
  context jsonb not null default '{}',
  at timestamptz not null default clock_timestamp(),
  resolved_at timestamptz
);
create index sync_attempts_job on paceline.sync_attempts (job_id, at);
comment on table paceline.sync_attempts is 'A report for each failed attempt; none for those that went well.';
comment on column paceline.sync_attempts.context is 'Page, endpoint, HTTP status; never a token or a body.';
comment on column paceline.sync_attempts.resolved_at is 'When a later attempt of the same job completed.';

create table paceline.staged_pages (
  job_id uuid not null,
  page integer not null,
  items integer not null,
  body bytea not null,
  constraint staged_pages_pkey primary key (job_id, page),
  constraint staged_pages_page_positive check (page > 0)
);
alter table paceline.staged_pages alter column body set storage external;
comment on table paceline.staged_pages is 'Pages fetched and not yet stored, as the provider sent them.';
comment on column paceline.staged_pages.body is 'zstd; stored outside the row without a second compression.';

create table paceline.workers (
  id uuid constraint workers_pkey primary key,
  version text not null,
  slots integer not null,
  jobs integer not null default 0,
  draining boolean not null default false,
  started_at timestamptz not null default clock_timestamp(),
  beat_at timestamptz not null default clock_timestamp(),
  stopped_at timestamptz
);
comment on table paceline.workers is 'A worker process: its incarnation id, never reused.';

create table paceline.idempotency_keys (
  user_id uuid not null,
  route text not null,
  key text not null,
  body_hash bytea not null,
  status smallint not null,
  response jsonb not null,
  expires_at timestamptz not null,
  constraint idempotency_keys_pkey primary key (user_id, route, key)
);
create index idempotency_keys_expiry on paceline.idempotency_keys (expires_at);
comment on table paceline.idempotency_keys is 'Answers given under an Idempotency-Key, written in the transaction of the act.';

create view paceline.syncs with (security_invoker = true) as
select j.id, j.user_id, j.provider, j.job_type, j.time_range,
       case when j.worker is not null then 'running' when j.waiting_for is not null then 'waiting' else 'queued' end as state,
       coalesce(r.phase, 'fetch') as phase, coalesce(r.retrying, false) as retrying, j.attempt, j.max_retries,
       j.waiting_for, case when j.waiting_for is not null then j.run_at end as waiting_until,
       r.estimated_total, coalesce(r.counts, '{}') as counts, coalesce(r.phase_times, '{}') as phase_times,
       coalesce(r.error_count, 0) as error_count, r.last_error, coalesce(r.last_page, 0) as last_page,
       j.created_at, r.started_at, coalesce(r.last_activity_at, j.created_at) as updated_at,
       null::timestamptz as finished_at
  from paceline.sync_jobs j left join paceline.sync_runs r on r.job_id = j.id
 where j.kind = 'sync'
union all
select h.id, h.user_id, h.provider, h.job_type, h.time_range,
       h.status, h.phase, false, h.attempt, h.max_retries,
       null, null,
       h.estimated_total, h.counts, h.phase_times, h.error_count, h.last_error, h.last_page,
       h.created_at, h.started_at, h.finished_at, h.finished_at
  from paceline.sync_history h
 where h.kind = 'sync';
comment on view paceline.syncs is 'A sync wherever it is now, live or finished.';
