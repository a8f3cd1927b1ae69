-- What holds jobs back: lanes (limit, pause, block, breaker), and budgets of the calls that providers allow.

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
  ended_per_s double precision,
  step interval not null default '1 second',
  rev bigint not null default 1,
  updated_at timestamptz not null default clock_timestamp(),
  constraint lanes_max_running_positive check (max_running > 0),
  constraint lanes_breaker_known check (breaker in ('closed', 'open', 'half_open')),
  constraint lanes_breaker_ends check ((breaker = 'closed') = (breaker_until is null)),
  constraint lanes_pause_whole check ((paused_until is null) = (paused_at is null)),
  constraint lanes_blocked_below_range check (blocked_below between 1 and 5),
  constraint lanes_step_range check (step between interval '1 second' and interval '1 minute'),
  constraint lanes_blocked_reason_known check (blocked_reason in ('rate_limit', 'quota_exceeded'))
);
insert into paceline.lanes (lane)
  values ('*'), ('strava'), ('withings'), ('google_health'), ('fitbit'), ('garmin');
comment on table paceline.lanes is 'A row a provider, and * for all of them: what a claim asks before it takes jobs.';
comment on column paceline.lanes.max_running is 'Jobs of the lane that may run at once in the whole fleet; null: any number.';
comment on column paceline.lanes.paused_until is 'Nothing is claimed before; infinity until somebody resumes.';
comment on column paceline.lanes.ended_per_s is 'Jobs that end in a second, as of the last quarter of an hour or so.';
comment on column paceline.lanes.step is 'So far apart the jobs of one user stand in the queue: what the lane needs for one, if it is behind.';
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
