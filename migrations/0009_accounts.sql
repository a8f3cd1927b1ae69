-- Connecting accounts: what a user was sent away with, the code he came back with, and what is known of an
-- account once it is connected. Codes and verifiers are sealed and live for minutes.

create table paceline.authorizations (
  id uuid constraint authorizations_pkey primary key,
  user_id uuid not null constraint authorizations_user_fkey references paceline.users (id),
  provider text not null,
  state_hash bytea not null constraint authorizations_state_key unique,
  sealed_verifier bytea,
  redirect_uri text not null,
  return_to text,
  scopes text[] not null,
  code_lives_s integer not null,
  job_id uuid,
  sealed_code bytea,
  accepted text,
  code_expires_at timestamptz,
  sent_at timestamptz,
  connection_id uuid,
  outcome text,
  message text,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  returned_at timestamptz,
  ended_at timestamptz,
  constraint authorizations_outcome_known check (outcome in
    ('connected', 'limited', 'denied', 'code_expired', 'account_taken', 'replaced', 'failed')),
  constraint authorizations_end_is_dated check ((outcome is null) = (ended_at is null)),
  constraint authorizations_code_is_dated check (sealed_code is null or code_expires_at is not null)
);
create index authorizations_user on paceline.authorizations (user_id, provider, created_at desc);
create index authorizations_expiry on paceline.authorizations (expires_at);
comment on table paceline.authorizations is 'One way of a user to a provider''s consent page and back.';
comment on column paceline.authorizations.state_hash is 'SHA-256 of the state parameter; the state itself is nowhere.';
comment on column paceline.authorizations.sealed_verifier is 'The PKCE code verifier, bound to the row.';
comment on column paceline.authorizations.return_to is 'Where the user goes in the end; from the allow-list.';
comment on column paceline.authorizations.scopes is 'What was asked for.';
comment on column paceline.authorizations.job_id is 'The exchange job, once the user came back with a code.';
comment on column paceline.authorizations.sealed_code is 'The code, bound to the row; gone when the exchange has ended.';
comment on column paceline.authorizations.accepted is 'The scope parameter of the callback, where the provider sends one.';
comment on column paceline.authorizations.sent_at is 'When the code last went to the provider without an answer since: he may have taken it.';
comment on column paceline.authorizations.outcome is 'How it ended; null while it is under way.';

-- Exchanges and good-byes have places of their own: a slot below zero, which no pause and no quota holds back.
alter table paceline.sync_jobs alter column connection_id drop not null;
alter table paceline.sync_history alter column connection_id drop not null;
alter table paceline.sync_jobs add constraint sync_jobs_sync_has_connection check (connection_id is not null or slot < 0);
comment on column paceline.sync_jobs.slot is
  'Which of a user''s parallel places at a provider: 0 is the sync, above it backfill slices; below it code exchanges (odd) and deauthorisations (even).';
create index sync_jobs_account on paceline.sync_jobs (sort_at, id) where slot < 0 and waiting_for is null;

-- What was asked for while a sync was live is of two kinds, and the narrow one stays narrow.
alter table paceline.sync_jobs add column follow_up_new tstzmultirange;
alter table paceline.sync_history add column follow_up_new tstzmultirange;
comment on column paceline.sync_jobs.follow_up_new is
  'As follow_up, of those who asked only for what is new; it follows after those, one job each, and reads only that.';

alter table paceline.connections
  add column asked text[] not null default '{}',
  add column missing text[] not null default '{}',
  add column profile jsonb,
  add column profile_at timestamptz,
  add column last_synced_at timestamptz,
  add column revoked_at timestamptz;
create index connections_account on paceline.connections (provider, provider_account_id);
comment on column paceline.connections.asked is 'The scopes that we asked for.';
comment on column paceline.connections.missing is 'Of these, what the user withheld, in the provider''s own words.';
comment on column paceline.connections.profile is 'What the provider tells of the account: zone, units. No names.';
comment on column paceline.connections.last_synced_at is 'When a sync that reads everything new last completed.';

create table paceline.connection_coverage (
  connection_id uuid not null
    constraint connection_coverage_connection_fkey references paceline.connections (id) on delete cascade,
  stream text not null,
  covered tstzmultirange not null default '{}',
  mark jsonb,
  updated_at timestamptz not null default clock_timestamp(),
  constraint connection_coverage_pkey primary key (connection_id, stream)
);
comment on table paceline.connection_coverage is 'What of each of a provider''s lists was read completely at least once.';
comment on column paceline.connection_coverage.covered is 'Ranges of the records'' own times.';
comment on column paceline.connection_coverage.mark is 'Where a list of changes goes on, in the provider''s own terms.';
