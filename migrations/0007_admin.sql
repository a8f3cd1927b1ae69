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

-- Whose jobs, and how they failed, among millions that went well. Only the first costs what goes well anything.
create index sync_history_provider on paceline.sync_history (provider, id);
create index sync_history_failed_at on paceline.sync_history (provider, id) where status = 'failed';
create index sync_history_failed_with on paceline.sync_history ((last_error ->> 'code'), id) where status = 'failed';
create index sync_history_cancelled on paceline.sync_history (id) where status = 'cancelled';
