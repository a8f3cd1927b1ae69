-- Measurements and daily summaries beside activities, and what all three need to follow a provider's lists.

alter table paceline.staged_pages
  add column stream text not null default 'activities',
  add column context jsonb,
  add column ids text[] not null default '{}',
  add column next_step jsonb,
  add column staged_at timestamptz not null default clock_timestamp();
comment on column paceline.staged_pages.stream is 'Which of the provider''s lists it is a page of.';
comment on column paceline.staged_pages.context is 'What reading it needs and it does not say itself: zone, units.';
comment on column paceline.staged_pages.ids is 'The records on it: what a complete read does not name is gone at the provider.';
comment on column paceline.staged_pages.staged_at is 'What others wrote later is newer than this page, which neither overwrites nor removes it.';
comment on column paceline.staged_pages.next_step is 'The step after it; null behind the last.';

alter table paceline.staged_pages drop constraint staged_pages_page_positive;
alter table paceline.staged_pages add constraint staged_pages_page_not_negative check (page >= 0);
comment on column paceline.staged_pages.page is 'From 1; 0 is the plan that the sync goes by, in context, with the first step in next_step.';

alter table paceline.activities
  add column stream text not null default 'activities',
  add column energy_j double precision,
  add column steps integer,
  add column origin_provider text,
  add column origin_record_id text,
  add column revision bigint;
alter table paceline.activities drop constraint activities_record_key;
alter table paceline.activities
  add constraint activities_record_key unique (connection_id, provider_record_id, stream);
create index activities_origin on paceline.activities (user_id, origin_record_id) where origin_record_id is not null;
comment on column paceline.activities.stream is 'Which of the provider''s lists it is from.';
comment on column paceline.activities.energy_j is 'Energy used, joules.';
comment on column paceline.activities.origin_provider is 'Where the provider itself got it from, if it says so; the provider itself for records that others refer to.';
comment on column paceline.activities.origin_record_id is 'Its id there, as others name it.';
comment on column paceline.activities.revision is 'The provider''s own order of edits: a lower one never replaces a higher one.';

create table paceline.measurements (
  id uuid constraint measurements_pkey primary key,
  user_id uuid not null,
  connection_id uuid not null,
  provider text not null,
  stream text not null,
  provider_record_id text not null,
  type text not null,
  discriminator text not null default '',
  sync_job_id uuid not null,
  value numeric not null,
  unit text not null,
  measured_at timestamptz not null,
  measured_local timestamp not null,
  zone text,
  utc_offset_s integer,
  origin_provider text,
  provenance jsonb not null default '{}',
  payload jsonb not null,
  content_hash bytea not null,
  revision bigint,
  version integer not null default 1,
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint measurements_record_key unique (connection_id, provider_record_id, stream, type, discriminator),
  constraint measurements_version_positive check (version > 0)
) with (autovacuum_vacuum_insert_scale_factor = 0.2);
create index measurements_owner on paceline.measurements (user_id, measured_at desc, id desc);
create index measurements_of_type on paceline.measurements (user_id, type, measured_at desc, id desc);
comment on table paceline.measurements is 'One measured value of one connection, as the provider last gave it.';
comment on column paceline.measurements.type is 'Paceline''s word: weight, body_fat, heart_rate and so on.';
comment on column paceline.measurements.discriminator is 'Tells records apart that the provider gives one id: a time, a position on the body.';
comment on column paceline.measurements.value is 'Decimal, as exact as the provider''s.';
comment on column paceline.measurements.unit is 'SI or named by its symbol: kg, m, %, Pa, bpm, degC, m/s, W, ms, mL/(kg min), count.';
comment on column paceline.measurements.provenance is 'Device, algorithm, by hand or not.';

create table paceline.daily_summaries (
  id uuid constraint daily_summaries_pkey primary key,
  user_id uuid not null,
  connection_id uuid not null,
  provider text not null,
  stream text not null,
  provider_record_id text not null,
  sync_job_id uuid not null,
  kind text not null,
  day date not null,
  start_at timestamptz,
  end_at timestamptz,
  zone text,
  utc_offset_s integer,
  steps integer,
  distance_m double precision,
  floors integer,
  active_energy_j double precision,
  total_energy_j double precision,
  active_s integer,
  intense_s integer,
  resting_heart_rate_bpm real,
  average_heart_rate_bpm real,
  max_heart_rate_bpm real,
  average_stress real,
  asleep_s integer,
  awake_s integer,
  light_s integer,
  deep_s integer,
  rem_s integer,
  sleep_score real,
  is_nap boolean,
  provenance jsonb not null default '{}',
  payload jsonb not null,
  content_hash bytea not null,
  revision bigint,
  version integer not null default 1,
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint daily_summaries_record_key unique (connection_id, provider_record_id, stream),
  constraint daily_summaries_kind_known check (kind in ('activity', 'sleep')),
  constraint daily_summaries_version_positive check (version > 0)
) with (autovacuum_vacuum_insert_scale_factor = 0.2);
create index daily_summaries_owner on paceline.daily_summaries (user_id, day desc, id desc);
comment on table paceline.daily_summaries is 'A day''s totals, or a night, of one connection; a night belongs to the day on which it ended.';
comment on column paceline.daily_summaries.active_energy_j is 'Joules beyond rest.';
comment on column paceline.daily_summaries.active_s is 'Seconds of light or any activity.';
comment on column paceline.daily_summaries.intense_s is 'Seconds of moderate and vigorous activity.';

create index sync_progress_refresh on public.sync_progress (refresh_id) where refresh_id is not null;
