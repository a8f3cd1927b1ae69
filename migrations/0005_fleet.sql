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

-- Calls and failures of each provider, by some seconds, from every process.
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
  seq bigint not null default 0,
  updated_at timestamptz not null default clock_timestamp(),
  constraint budget_reservations_pkey primary key (scope, window_s, worker, window_start),
  constraint budget_reservations_not_negative check (calls >= 0)
) with (fillfactor = 50);
comment on table paceline.budget_reservations is 'Calls that a worker took and has not accounted for yet. They outlive it: who knows which were made.';
comment on column paceline.budget_reservations.seq is 'The newest message of its worker about it. Older ones, which come late or twice, change no count.';

-- Takes calls out of all the windows named, or out of none; what becomes of the wish is in `outcome`:
-- granted, or spent, border, held (what is left is others' reservations), unknown (no such window).
-- A function, because each statement in it sees what was committed before the locks were had.
create function paceline.reserve_calls(
  p_worker uuid, p_seq bigint, p_scopes text[], p_windows integer[], p_want integer, p_percent integer,
  p_margin interval, out outcome text, out calls integer, out as_of timestamptz, out until timestamptz,
  out starts timestamptz[], out at_scope text, out at_window_s integer)
language plpgsql as $$
declare
  b paceline.budgets;
  v_start timestamptz;
  v_end timestamptz;
  v_used bigint;
  v_cap bigint;
  v_free bigint;
  v_workers bigint;
begin
  perform from paceline.budgets k
    where (k.scope, k.window_s) in (select * from unnest(p_scopes, p_windows))
    order by k.scope, k.window_s for no key update;
  as_of := clock_timestamp();
  select greatest(1, count(*)) into v_workers from paceline.workers w
    where w.stopped_at is null and not w.draining and w.beat_at > as_of - interval '15 seconds';
  outcome := 'granted';
  calls := p_want;
  until := 'infinity';
  for i in 1 .. cardinality(p_scopes) loop
    select * into b from paceline.budgets k where k.scope = p_scopes[i] and k.window_s = p_windows[i];
    if not found then
      outcome := 'unknown';
      return;
    end if;
    v_start := greatest(b.window_start, to_timestamp(
      floor((extract(epoch from as_of) - b.border_s) / b.window_s) * b.window_s + b.border_s));
    v_end := v_start + make_interval(secs => b.window_s);
    starts := starts || v_start;
    if b.window_start < v_start then
      update paceline.budgets k
         set window_start = v_start, spent = 0, header_used = 0, refused = 0, updated_at = as_of
       where k.scope = b.scope and k.window_s = b.window_s;
      delete from paceline.budget_reservations r
       where r.scope = b.scope and r.window_s = b.window_s and r.window_start < v_start;
      b.spent := 0;
      b.header_used := 0;
    end if;
    v_used := greatest(b.spent, b.header_used);
    v_cap := (b.call_limit::bigint * p_percent + 99) / 100;
    v_free := v_cap - v_used - (
      select coalesce(sum(r.calls), 0) from paceline.budget_reservations r
       where r.scope = b.scope and r.window_s = b.window_s and r.window_start = v_start);
    if v_used >= v_cap then
      -- Of several spent windows the one that opens last counts.
      if outcome <> 'spent' or until < v_end + p_margin then
        outcome := 'spent';
        until := v_end + p_margin;
        at_scope := b.scope;
        at_window_s := b.window_s;
      end if;
    elsif outcome = 'spent' then
      null;
    elsif as_of < v_start + p_margin or as_of >= v_end - p_margin then
      if outcome <> 'border' or until < v_start + p_margin then
        outcome := 'border';
        until := case when as_of < v_start + p_margin then v_start else v_end end + p_margin;
        at_scope := b.scope;
        at_window_s := b.window_s;
      end if;
    elsif outcome = 'border' then
      null;
    elsif v_free <= 0 then
      outcome := 'held';
      until := v_end + p_margin;
      at_scope := b.scope;
      at_window_s := b.window_s;
    elsif outcome = 'granted' then
      calls := least(calls, greatest(1, v_free / (2 * v_workers)));
      until := least(until, v_end - p_margin);
    end if;
  end loop;
  if outcome <> 'granted' then
    calls := 0;
    return;
  end if;
  -- A wish that comes after a newer message was given up long ago.
  insert into paceline.budget_reservations as r (scope, window_s, window_start, worker, calls, seq)
    select s, w, t, p_worker, calls, p_seq from unnest(p_scopes, p_windows, starts) as k(s, w, t)
    on conflict on constraint budget_reservations_pkey
    do update set calls = r.calls + excluded.calls, seq = excluded.seq, updated_at = clock_timestamp()
     where r.seq < excluded.seq;
end $$;
comment on function paceline.reserve_calls is 'until: how long granted calls may be made, else when it is worth asking again.';

-- Adds the calls that a worker made to spent, sets what it still has open, and believes what the provider's headers
-- said of the window that a call was sent in. Told twice, or late, it only says that its worker lives: `p_seq` rises
-- with each message of a worker. A start of 1970 names all starts: what the worker knows nothing of was granted, and the
-- answer lost; so every start that is not named has nothing open.
create function paceline.account_calls(
  p_worker uuid, p_seq bigint, p_dead_after interval, p_scopes text[], p_windows integer[], p_starts timestamptz[],
  p_made integer[], p_open integer[], p_unheard integer[], p_refused integer[],
  p_used integer[], p_limits integer[], p_sent timestamptz[])
returns table (scope text, window_s integer, call_limit integer, used integer, reserved bigint, opens_at timestamptz)
language plpgsql as $$
#variable_conflict use_column
declare
  v_now timestamptz;
  v_new boolean[];
begin
  perform from paceline.budgets k
    where (k.scope, k.window_s) in (select * from unnest(p_scopes, p_windows))
    order by k.scope, k.window_s for no key update;
  v_now := clock_timestamp();
  v_new := array(
    select not exists (
             select from paceline.budget_reservations r
              where r.worker = p_worker and r.scope = e.scope and r.window_s = e.window_s
                and r.window_start = e.window_start and r.seq >= p_seq)
      from unnest(p_scopes, p_windows, p_starts) with ordinality as e(scope, window_s, window_start, nth)
     order by e.nth);
  -- A call whose answer told nothing is one more than the last answer told.
  update paceline.budgets b
     set spent = b.spent + e.made, refused = b.refused + e.refused, updated_at = v_now,
         header_used = greatest(case when b.header_used > 0 then b.header_used + e.unheard else 0 end, e.used)
    from unnest(p_scopes, p_windows, p_starts, v_new, p_made, p_unheard, p_refused, p_used)
      as e(scope, window_s, window_start, is_new, made, unheard, refused, used)
   where b.scope = e.scope and b.window_s = e.window_s and b.window_start = e.window_start and e.is_new
     and (e.made > 0 or e.refused > 0 or e.used is not null);
  update paceline.budgets b set call_limit = e.call_limit, header_at = e.sent
    from (select distinct on (scope, window_s) *
            from unnest(p_scopes, p_windows, p_limits, p_sent) as e(scope, window_s, call_limit, sent)
           where call_limit is not null and sent is not null order by scope, window_s, sent desc) e
   where b.scope = e.scope and b.window_s = e.window_s
     and (b.header_at is null or b.header_at < e.sent);
  -- Also where others have lifted it: its worker was silent for long, and is not.
  insert into paceline.budget_reservations as r (scope, window_s, window_start, worker, calls, seq)
    select e.scope, e.window_s, e.window_start, p_worker, e.open, p_seq
      from unnest(p_scopes, p_windows, p_starts, p_open) as e(scope, window_s, window_start, open)
      join paceline.budgets b using (scope, window_s, window_start)
    on conflict on constraint budget_reservations_pkey
    do update set calls = case when r.seq < excluded.seq then excluded.calls else r.calls end,
                  seq = greatest(r.seq, excluded.seq), updated_at = v_now;
  insert into paceline.budget_reservations as r (scope, window_s, window_start, worker, calls, seq)
    select distinct e.scope, e.window_s, b.window_start, p_worker, 0, p_seq
      from unnest(p_scopes, p_windows, p_starts) as e(scope, window_s, window_start)
      join paceline.budgets b using (scope, window_s)
     where e.window_start = to_timestamp(0) and b.window_start > '-infinity'
    on conflict on constraint budget_reservations_pkey
    do update set calls = excluded.calls, seq = excluded.seq, updated_at = v_now where r.seq < excluded.seq;
  -- A header of a call that was sent when the last call of a silent worker had long ended has all of his.
  delete from paceline.budget_reservations r
   using unnest(p_scopes, p_windows, p_starts, p_used, p_sent) as e(scope, window_s, window_start, used, sent)
   where r.worker <> p_worker and r.scope = e.scope and r.window_s = e.window_s and r.window_start = e.window_start
     and e.used is not null and r.updated_at < e.sent - p_dead_after;
  return query
    select b.scope, b.window_s, b.call_limit, greatest(b.spent, b.header_used),
           (select coalesce(sum(r.calls), 0) from paceline.budget_reservations r
             where r.scope = b.scope and r.window_s = b.window_s and r.window_start = b.window_start),
           b.window_start + make_interval(secs => b.window_s)
      from paceline.budgets b
     where (b.scope, b.window_s) in (select * from unnest(p_scopes, p_windows))
       and b.window_start + make_interval(secs => b.window_s) > v_now;
end $$;

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
-- The default stays for workers of the version before, which do not name it and have Strava only.
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

create table paceline.duties (
  duty text constraint duties_pkey primary key,
  worker uuid not null,
  until timestamptz not null
) with (fillfactor = 50);
comment on table paceline.duties is 'What one worker at a time does for all of them; it ends by itself when the worker does.';

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

-- What is deleted when it is old.
-- Rows that still have pages: none but these is looked at to find what to delete.
create index sync_history_with_pages on paceline.sync_history (finished_at)
  where status = 'failed' and pages_pruned_at is null and last_page > 0;

create function paceline.drop_history_before(cutoff timestamptz) returns integer
language plpgsql set search_path = paceline, pg_temp set lock_timeout = '100ms' as $$
declare
  part text; dropped integer := 0;
begin
  for part in
    select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'paceline.sync_history'::regclass and c.relname ~ '^sync_history_[0-9]{6}$'
       and (to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month') at time zone 'UTC' <= cutoff
     order by c.relname
  loop
    begin
      execute format('drop table paceline.%I', part);
      dropped := dropped + 1;
    exception
      -- Whoever finishes a job goes first; the next turn tries again.
      when lock_not_available then exit;
      when undefined_table then null;
    end;
  end loop;
  return dropped;
end $$;
comment on function paceline.drop_history_before is 'Drops the months that ended before the cutoff. Waits for nobody longer than 100 ms, so that nobody waits for it.';

-- As before, and waits for nobody longer than 100 ms: whoever settles a job would queue behind it.
create or replace function paceline.ensure_history_partitions() returns integer
language plpgsql set search_path = paceline, pg_temp set lock_timeout = '100ms' as $$
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
        -- The next turn tries again; until then what ends goes to the default partition at worst.
        when lock_not_available then exit;
        when duplicate_table then null;
        -- Rows of that month already lie in the default partition: they stay readable there.
        when check_violation then raise warning 'sync_history: month % stays in the default partition', month;
      end;
    end if;
  end loop;
  return made;
end $$;
comment on function paceline.ensure_history_partitions is 'Makes this month''s and the next two months'' partitions; answers how many it made. Waits for nobody longer than 100 ms.';

-- Small tables that change all the time: an update finds room on its page, and vacuum comes early.
alter table paceline.lanes set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
alter table paceline.workers set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
alter table paceline.breaker_counts set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
alter table paceline.budgets set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
alter table paceline.budget_reservations set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
alter table paceline.job_counts set (fillfactor = 50);
alter table paceline.job_counts_taken set (fillfactor = 50);
-- Pages live for minutes; what is large about them lies in the TOAST table.
alter table paceline.staged_pages set (
  autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_vacuum_scale_factor = 0.05,
  autovacuum_vacuum_insert_scale_factor = 0.5, toast.autovacuum_vacuum_insert_scale_factor = 0.5);
alter table paceline.idempotency_keys set (autovacuum_vacuum_scale_factor = 0.05);
-- Vacuum of the hot path does not rest between pages: dead rows cost every claim.
-- A claimed row is longer than it was by a worker's id: half a page would be just too little for all of them.
alter table paceline.sync_jobs set (fillfactor = 45, autovacuum_vacuum_cost_delay = 0);
alter table paceline.sync_runs set (autovacuum_vacuum_cost_delay = 0);
-- Two updates a job, of rows that lie side by side: without room for both on their page they touch every index.
alter table public.sync_progress set (fillfactor = 40);
