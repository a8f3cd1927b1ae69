-- The one table that a browser may read directly. Its rights come from Postgres: the role
-- authenticated sees the rows whose external_id is its token's sub, and can write nothing.

do $$
declare wanted text;
begin
  foreach wanted in array array['anon', 'authenticated'] loop
    if not exists (select from pg_roles where rolname = wanted) then
      begin
        execute format('create role %I nologin noinherit', wanted);
      exception
        -- Roles belong to the cluster: another database's migration may run at this moment.
        when duplicate_object or unique_violation then null;
        when insufficient_privilege then
          raise exception 'this login may not create roles'
            using hint = format('As an administrator run: create role %I nologin noinherit;', wanted);
      end;
    end if;
  end loop;

  if to_regprocedure('auth.jwt()') is null then
    create schema if not exists auth;
    create function auth.jwt() returns jsonb language sql stable as $f$
      select coalesce(nullif(current_setting('request.jwt.claim', true), ''),
                      nullif(current_setting('request.jwt.claims', true), ''))::jsonb
    $f$;
    grant usage on schema auth to anon, authenticated;
    grant execute on function auth.jwt() to anon, authenticated;
  end if;
end $$;

create table public.sync_progress (
  id uuid constraint sync_progress_pkey primary key,
  uid uuid not null,
  external_id text not null,
  provider text not null,
  job_type text not null,
  refresh_id uuid,
  status text not null default 'queued',
  phase text,
  attempt smallint,
  counts jsonb,
  waiting jsonb,
  percent smallint not null default 0,
  providers jsonb not null default '[]',
  message text,
  error jsonb,
  rev bigint not null default 1,
  created_at timestamptz not null default clock_timestamp(),
  started_at timestamptz,
  updated_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  constraint sync_progress_status_known
    check (status in ('queued', 'running', 'waiting', 'completed', 'failed', 'cancelled')),
  constraint sync_progress_percent_range check (percent between 0 and 100),
  constraint sync_progress_done_is_100 check ((status = 'completed') = (percent = 100)),
  constraint sync_progress_end_is_dated
    check ((status in ('completed', 'failed', 'cancelled')) = (finished_at is not null))
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 100);
-- A value in TOAST would be missing from the events of updates that do not touch it.
alter table public.sync_progress alter column providers set storage main;
alter table public.sync_progress alter column counts set storage main;
create index sync_progress_owner on public.sync_progress (external_id, created_at desc);
comment on table public.sync_progress is 'A sync as its user sees it; id is the syncId. No heartbeat in it: each change is an event for every watcher.';
comment on column public.sync_progress.rev is 'Rises with every change.';
comment on column public.sync_progress.percent is 'Never falls within a run; 100 only when completed.';
comment on column public.sync_progress.refresh_id is 'Groups the rows that one dashboard refresh started.';

alter table public.sync_progress enable row level security;
revoke all on public.sync_progress from public, anon, authenticated;
grant usage on schema public to anon, authenticated;
grant select on public.sync_progress to authenticated;
create policy sync_progress_owner_reads on public.sync_progress for select to authenticated
  using (external_id = (select auth.jwt() ->> 'sub'));

do $$ begin
  if exists (select from pg_publication where pubname = 'supabase_realtime' and not puballtables)
     and not exists (select from pg_publication_tables
                     where pubname = 'supabase_realtime' and schemaname = 'public' and tablename = 'sync_progress') then
    alter publication supabase_realtime add table public.sync_progress;
  end if;
end $$;
