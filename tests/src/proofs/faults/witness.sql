create schema proof;
create table proof.claims (
  job uuid not null, epoch bigint not null, worker uuid not null, session text not null, at timestamptz not null);
create index on proof.claims (job, epoch);
create index on proof.claims (session);
create table proof.sessions (pid integer primary key, session text not null);
create table proof.stale (
  at timestamptz not null default clock_timestamp(), act text not null, job uuid not null, session text not null,
  owner text);

create function proof.me() returns text language sql stable as
$$ select coalesce(current_setting('proof.worker', true), '') $$;

-- The process that made the claim of this epoch.
create function proof.claimant(of_job uuid, of_epoch bigint) returns text language sql stable security definer as
$$ select c.session from proof.claims c where c.job = of_job and c.epoch = of_epoch order by c.at limit 1 $$;

-- Notes a write for a job unless its owner makes it. Without an owner nobody may write. The API's are its own affair.
create function proof.note(written_act text, of_job uuid) returns void language plpgsql security definer as $$
declare
  me text := proof.me();
  owner text := (select proof.claimant(r.job_id, r.lease_epoch) from paceline.sync_runs r
                  where r.job_id = of_job and r.worker is not null);
begin
  if me <> '' and owner is distinct from me then
    insert into proof.stale (act, job, session, owner) values (written_act, of_job, me, owner);
  end if;
end $$;

create function proof.on_run() returns trigger language plpgsql security definer as $$
declare
  me text := proof.me();
begin
  if me <> '' then
    insert into proof.sessions as s values (pg_backend_pid(), me)
      on conflict (pid) do update set session = me where s.session <> me;
  end if;
  if tg_op = 'INSERT' or new.lease_epoch <> old.lease_epoch then
    if tg_op = 'UPDATE' and old.worker is not null then
      insert into proof.stale (act, job, session, owner) values ('a claim over an owner', new.job_id, me, old.worker::text);
    end if;
    if new.worker is not null then
      insert into proof.claims values (new.job_id, new.lease_epoch, new.worker, me, clock_timestamp());
    end if;
  elsif me <> '' and old.worker is not null and proof.claimant(new.job_id, old.lease_epoch) is distinct from me then
    if new.worker is null then
      -- Reclaimed: whose lease has not run out is robbed.
      if old.beat_at > clock_timestamp() - interval '13 s' then
        insert into proof.stale (act, job, session, owner) values ('a robbery', new.job_id, me, old.worker::text);
      end if;
    elsif (new.beat_at, new.checkpoint, new.counts) is distinct from (old.beat_at, old.checkpoint, old.counts) then
      insert into proof.stale (act, job, session, owner) values ('a beat or checkpoint', new.job_id, me, old.worker::text);
    end if;
  elsif me <> '' and old.worker is null
    and (new.beat_at, new.checkpoint, new.counts) is distinct from (old.beat_at, old.checkpoint, old.counts) then
    insert into proof.stale (act, job, session) values ('a beat or checkpoint', new.job_id, me);
  end if;
  return null;
end $$;
create trigger proof_witness after insert or update on paceline.sync_runs
  for each row execute function proof.on_run();

create function proof.on_page() returns trigger language plpgsql security definer as $$
begin
  perform proof.note('a page', new.job_id);
  return null;
end $$;
create trigger proof_witness after insert or update on paceline.staged_pages
  for each row execute function proof.on_page();

create function proof.on_failure() returns trigger language plpgsql security definer as $$
begin
  perform proof.note('a record''s failure', new.job_id);
  return null;
end $$;
create trigger proof_witness after insert or update on paceline.record_failures
  for each row execute function proof.on_failure();

create function proof.on_records() returns trigger language plpgsql security definer as $$
begin
  perform proof.note('records', w.sync_job_id) from (select distinct sync_job_id from written) w;
  return null;
end $$;
create trigger proof_witness_new after insert on paceline.activities
  referencing new table as written for each statement execute function proof.on_records();
create trigger proof_witness_changed after update on paceline.activities
  referencing new table as written for each statement execute function proof.on_records();

create function proof.on_end() returns trigger language plpgsql security definer as $$
declare
  me text := proof.me();
  owner text := proof.claimant(new.id, new.lease_epoch);
begin
  if me <> '' and new.status = 'completed' and owner is distinct from me then
    insert into proof.stale (act, job, session, owner) values ('an end', new.id, me, owner);
  end if;
  return null;
end $$;
create trigger proof_witness after insert on paceline.sync_history
  for each row execute function proof.on_end();
