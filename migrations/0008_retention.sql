-- What is deleted when it is old.
-- Rows that still have pages: none but these is looked at to find what to delete.
create index sync_history_with_pages on paceline.sync_history (finished_at)
  where status = 'failed' and pages_pruned_at is null;

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
