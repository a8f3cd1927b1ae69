-- What steers the fleet: lanes (limit, pause, block, breaker), budgets of calls, and what jobs carry for it.

create table paceline.lanes (
  lane text constraint lanes_pkey primary key,
  max_running integer,
  paused_until timestamptz,
  paused_at timestamptz,
  paused_by text,
  pause_reason text,
  blocked_until timestamptz,
  blocked_below smallint not null default 5,
  blocked_reason text,
  blocked_scope text,
  breaker text not null default 'closed',
  breaker_until timestamptz,
  breaker_probe uuid,
  breaker_trips integer not null default 0,
  breaker_reason text,
  breaker_at timestamptz,
  rev bigint not null default 1,
  updated_at timestamptz not null default clock_timestamp(),
  constraint lanes_max_running_positive check (max_running > 0),
  constraint lanes_breaker_known check (breaker in ('closed', 'open', 'half_open')),
  constraint lanes_breaker_ends check ((breaker = 'closed') = (breaker_until is null)),
  constraint lanes_pause_whole check ((paused_until is null) = (paused_at is null)),
  constraint lanes_blocked_below_range check (blocked_below between 1 and 5),
  constraint lanes_blocked_reason_known check (blocked_reason in ('rate_limit', 'quota_exceeded'))
);
insert into paceline.lanes (lane)
  values ('*'), ('strava'), ('withings'), ('google_health'), ('fitbit'), ('garmin');
comment on table paceline.lanes is 'A row a provider, and * for all of them: what a claim asks before it takes jobs.';
comment on column paceline.lanes.max_running is 'Jobs of the lane that may run at once in the whole fleet; null: any number.';
comment on column paceline.lanes.paused_until is 'Nothing is claimed before; infinity until somebody resumes.';
comment on column paceline.lanes.blocked_until is 'The application''s quota is spent until then.';
comment on column paceline.lanes.blocked_below is 'Classes below this one wait for blocked_until; 5 is all of them.';
comment on column paceline.lanes.blocked_scope is 'The budget that is spent.';
comment on column paceline.lanes.breaker_until is 'Open: when a probe may be made. Half open: when its worker has lost the right to it.';
comment on column paceline.lanes.breaker_probe is 'The worker that may make one call to find out.';
comment on column paceline.lanes.breaker_trips is 'Openings without a close between: each doubles the pause.';

-- Calls and failures of each provider, by ten seconds, from every process.
create table paceline.breaker_counts (
  lane text not null,
  bucket timestamptz not null,
  calls integer not null default 0,
  failures integer not null default 0,
  constraint breaker_counts_pkey primary key (lane, bucket)
);
comment on table paceline.breaker_counts is 'What the breaker judges by; rows older than some minutes are deleted.';

create table paceline.budgets (
  scope text not null,
  window_s integer not null,
  border_s integer not null default 0,
  call_limit integer not null,
  window_start timestamptz not null default '-infinity',
  spent integer not null default 0,
  header_used integer not null default 0,
  header_at timestamptz,
  refused integer not null default 0,
  updated_at timestamptz not null default clock_timestamp(),
  constraint budgets_pkey primary key (scope, window_s),
  constraint budgets_window_positive check (window_s > 0),
  constraint budgets_limit_not_negative check (call_limit >= 0)
) with (fillfactor = 50);
comment on table paceline.budgets is 'Calls that a provider allows: several windows a scope, at the provider''s own borders.';
comment on column paceline.budgets.scope is 'provider:what, as strava:all and strava:read; a user''s own ends in his connection''s id.';
comment on column paceline.budgets.border_s is 'Windows begin at whole multiples of window_s since 1970 plus this, UTC.';
comment on column paceline.budgets.spent is 'Calls of ours in this window that were made and answered.';
comment on column paceline.budgets.header_used is 'The most that the provider said was used of this window.';

create table paceline.budget_reservations (
  scope text not null,
  window_s integer not null,
  window_start timestamptz not null,
  worker uuid not null,
  calls integer not null,
  updated_at timestamptz not null default clock_timestamp(),
  constraint budget_reservations_pkey primary key (scope, window_s, worker, window_start),
  constraint budget_reservations_not_negative check (calls >= 0)
) with (fillfactor = 50);
comment on table paceline.budget_reservations is 'Calls that a worker took and has not accounted for yet. They outlive it: who knows which were made.';

-- Jobs.
alter table paceline.sync_jobs
  add column follow_up tstzmultirange,
  add column trace_id uuid,
  add column requested_by text;
comment on column paceline.sync_jobs.follow_up is 'Ranges asked for while it was live; its end turns them into a job of their own.';
comment on column paceline.sync_jobs.trace_id is 'The request that asked for it; on every log line of its workers.';
create index sync_jobs_urgent on paceline.sync_jobs (provider, sort_at, id) where waiting_for is null and class >= 3;
create index sync_jobs_suspect on paceline.sync_jobs (sort_at, id) where crashes >= 2;

alter table paceline.sync_runs
  add column provider text not null default 'strava',
  add column stuck_reported_at timestamptz;
alter table paceline.sync_runs alter column provider drop default;
-- Neither a beat nor a checkpoint changes these: both stay HOT.
create index sync_runs_held on paceline.sync_runs (provider) where worker is not null;
comment on column paceline.sync_runs.stuck_reported_at is 'When it was reported that the checkpoint had not moved for ten minutes.';

alter table paceline.sync_history
  add column follow_up tstzmultirange,
  add column trace_id uuid,
  add column requested_by text,
  add column pages_pruned_at timestamptz,
  add column error_code text generated always as (last_error ->> 'code') stored,
  add column fingerprint text generated always as (last_error ->> 'fingerprint') stored;
create index sync_history_failed on paceline.sync_history (id) where status = 'failed';
create index sync_history_failed_as on paceline.sync_history (fingerprint, id) where status = 'failed';
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

-- Steering by people.
create table paceline.admin_audit (
  id uuid constraint admin_audit_pkey primary key,
  at timestamptz not null default clock_timestamp(),
  actor text not null,
  role text not null,
  act text not null,
  target text not null,
  detail jsonb not null default '{}',
  request_id uuid
);
create index admin_audit_target on paceline.admin_audit (target, id desc);
comment on table paceline.admin_audit is 'Every act of an operator or admin, written in the transaction of the act.';

create table paceline.admin_operations (
  id uuid constraint admin_operations_pkey primary key,
  act text not null,
  filter jsonb not null,
  options jsonb not null default '{}',
  state text not null default 'queued',
  expected bigint not null,
  done bigint not null default 0,
  skipped bigint not null default 0,
  skipped_by jsonb not null default '{}',
  failed bigint not null default 0,
  after_id uuid,
  until_id uuid not null,
  actor text not null,
  stop_requested_at timestamptz,
  stop_requested_by text,
  last_error text,
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  updated_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  constraint admin_operations_act_known check (act in ('retry', 'cancel')),
  constraint admin_operations_state_known check (state in ('queued', 'running', 'completed', 'stopped', 'failed')),
  constraint admin_operations_end_is_dated check ((state in ('completed', 'stopped', 'failed')) = (finished_at is not null))
);
create index admin_operations_open on paceline.admin_operations (id) where finished_at is null;
comment on table paceline.admin_operations is 'One act on all jobs that match a filter. Workers do it in batches; a batch and its cursor commit together.';
comment on column paceline.admin_operations.after_id is 'Jobs up to this id are dealt with.';
comment on column paceline.admin_operations.until_id is 'Jobs made later are none of its business.';
comment on column paceline.admin_operations.skipped_by is 'Jobs left as they were, by reason.';

create table paceline.job_counts (
  state text not null,
  provider text not null,
  jobs bigint not null,
  constraint job_counts_pkey primary key (state, provider)
);
create table paceline.job_counts_taken (
  singleton boolean constraint job_counts_taken_pkey primary key default true check (singleton),
  live_at timestamptz not null default '-infinity',
  history_at timestamptz not null default '-infinity',
  live_took_ms integer not null default 0,
  history_took_ms integer not null default 0,
  oldest_runnable_at timestamptz,
  counting_until timestamptz
);
insert into paceline.job_counts_taken default values;
comment on table paceline.job_counts is 'Jobs by state and provider as last counted, by some worker; runnable is queued and not held back by its lane.';

-- The view: what lanes say about jobs that nobody claims meanwhile.
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
    select case when l.paused_until > clock_timestamp() then 'paused'
                when l.breaker <> 'closed' then 'breaker_open'
                else l.blocked_reason end as reason,
           nullif(case when l.paused_until > clock_timestamp() then l.paused_until
                       when l.breaker <> 'closed' then l.breaker_until
                       else l.blocked_until end, 'infinity') as until
      from paceline.lanes l
     where l.lane in (j.provider, '*') and j.worker is null and j.waiting_for is null
       and (l.paused_until > clock_timestamp() or l.breaker <> 'closed'
            or (l.blocked_until > clock_timestamp() and j.class < l.blocked_below))
     order by l.paused_until desc nulls last limit 1) held on true
 where j.kind = 'sync'
union all
select h.id, h.user_id, h.provider, h.job_type, h.time_range,
       h.status, h.phase, false, h.attempt, h.max_retries,
       null, null,
       h.estimated_total, h.counts, h.phase_times, h.error_count, h.last_error, h.last_page,
       h.created_at, h.started_at, h.finished_at, h.finished_at
  from paceline.sync_history h
 where h.kind = 'sync';
