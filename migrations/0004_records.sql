-- Canonical records: SI units, UTC instants with local time and zone, the provider's payload kept.

create table paceline.activities (
  id uuid constraint activities_pkey primary key,
  user_id uuid not null,
  connection_id uuid not null,
  provider text not null,
  provider_record_id text not null,
  sync_job_id uuid not null,
  name text not null,
  sport_type text not null,
  distance_m double precision,
  moving_time_s integer,
  elapsed_time_s integer,
  elevation_gain_m real,
  average_speed_mps real,
  max_speed_mps real,
  average_heart_rate_bpm real,
  max_heart_rate_bpm real,
  start_at timestamptz not null,
  start_local timestamp not null,
  zone text,
  utc_offset_s integer,
  start_lat double precision,
  start_lon double precision,
  end_lat double precision,
  end_lon double precision,
  place_status text not null,
  city text,
  state text,
  country text,
  place_distance_m real,
  weather_status text not null,
  temperature_c real,
  feels_like_c real,
  humidity_pct real,
  pressure_hpa real,
  wind_speed_mps real,
  wind_direction_deg real,
  condition text,
  visibility_m real,
  uv_index real,
  provenance jsonb not null,
  payload jsonb not null,
  content_hash bytea not null,
  version integer not null default 1,
  deleted_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint activities_record_key unique (connection_id, provider_record_id),
  constraint activities_start_position_whole check ((start_lat is null) = (start_lon is null)),
  constraint activities_end_position_whole check ((end_lat is null) = (end_lon is null)),
  constraint activities_position_on_earth
    check (start_lat between -90 and 90 and start_lon between -180 and 180
       and end_lat between -90 and 90 and end_lon between -180 and 180),
  constraint activities_weather_status_known
    check (weather_status in ('enriched', 'pending', 'unavailable', 'not_locatable', 'skipped')),
  constraint activities_place_status_known
    check (place_status in ('enriched', 'unavailable', 'not_locatable', 'skipped')),
  constraint activities_version_positive check (version > 0)
) with (
  autovacuum_vacuum_insert_scale_factor = 0.2,
  -- A payload is about as long as what would be compressed; to try costs a third of the insert and saves a fifth of the table.
  toast_tuple_target = 8160
);
create index activities_owner on paceline.activities (user_id, start_at desc, id desc);
comment on table paceline.activities is 'One activity of one connection, as the provider last gave it.';
comment on column paceline.activities.sync_job_id is 'The sync that last wrote it.';
comment on column paceline.activities.start_local is 'Wall-clock time where it began.';
comment on column paceline.activities.zone is 'IANA name, where the provider gave one that exists.';
comment on column paceline.activities.utc_offset_s is 'Offset in force at the start, daylight saving included.';
comment on column paceline.activities.country is 'ISO 3166-1 alpha-2.';
comment on column paceline.activities.place_distance_m is 'From the start to the named place.';
comment on column paceline.activities.weather_status is 'pending: can be had later; unavailable: cannot; not_locatable: no coordinates; skipped: not asked for.';
comment on column paceline.activities.condition is 'A word for the WMO weather code.';
comment on column paceline.activities.provenance is 'Where each derived value came from.';
comment on column paceline.activities.content_hash is 'SHA-256 of the payload; equal means nothing to do.';
comment on column paceline.activities.version is 'Rises with every change of content.';
comment on column paceline.activities.deleted_at is 'Tombstone: the provider no longer has it.';

create table paceline.record_failures (
  id uuid constraint record_failures_pkey primary key,
  job_id uuid not null,
  page integer not null,
  position integer not null,
  provider_record_id text,
  code text not null,
  message text not null,
  record text not null,
  at timestamptz not null default clock_timestamp(),
  constraint record_failures_place_key unique (job_id, page, position)
);
comment on table paceline.record_failures is 'A record that could not be read or stored, with its reason; the sync went on.';
comment on column paceline.record_failures.position is 'From 0 within its page.';
comment on column paceline.record_failures.record is 'The provider''s text, as text: what fails is often what jsonb refuses. At most 64 KiB.';

create table paceline.weather_hours (
  lat_cell smallint not null,
  lon_cell smallint not null,
  day date not null,
  source text not null,
  fetched_at timestamptz not null,
  hours bytea not null,
  constraint weather_hours_pkey primary key (lat_cell, lon_cell, day),
  constraint weather_hours_source_known check (source in ('archive', 'forecast')),
  constraint weather_hours_cell_on_earth
    check (lat_cell between -900 and 900 and lon_cell between -1800 and 1800),
  constraint weather_hours_whole_day check (octet_length(hours) = 864)
);
comment on table paceline.weather_hours is 'The 24 hours of a UTC day in a cell of 0.1 degrees, a row a day: one row serves every activity of that day.';
comment on column paceline.weather_hours.lat_cell is 'Latitude of the cell''s centre in tenths of a degree.';
comment on column paceline.weather_hours.fetched_at is 'An hour that had not ended by then is a forecast and is not used.';
comment on column paceline.weather_hours.hours is '24 hours of 9 little-endian 32-bit floats: temperature °C, felt °C, humidity %, pressure hPa, wind m/s, wind direction, WMO code, visibility m, UV index. NaN: the source has none.';

create function paceline.keeps_known(
  old_status text, new_status text, old_start timestamptz, new_start timestamptz,
  old_lat double precision, new_lat double precision, old_lon double precision, new_lon double precision
) returns boolean language sql immutable as $$
  select old_status = 'enriched' and new_status <> 'enriched' and old_start = new_start
     and old_lat is not distinct from new_lat and old_lon is not distinct from new_lon
$$;
comment on function paceline.keeps_known is 'Whether a derived value that is known outlives a sync that could not get it: only for the same start.';
