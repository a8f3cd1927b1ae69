-- People and their links to providers. Everything private lives in the schema paceline.
create schema if not exists paceline;

create table paceline.users (
  id uuid constraint users_pkey primary key,
  external_id text not null constraint users_external_id_key unique,
  created_at timestamptz not null default clock_timestamp(),
  constraint users_external_id_not_empty check (external_id <> '')
);
comment on table paceline.users is 'A user: our id and the subject that the token issuer knows.';
comment on column paceline.users.external_id is 'The token''s sub claim.';

create table paceline.connections (
  id uuid constraint connections_pkey primary key,
  user_id uuid not null constraint connections_user_fkey references paceline.users (id),
  provider text not null,
  provider_account_id text not null,
  state text not null default 'active',
  scopes text[] not null default '{}',
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  constraint connections_account_key unique (user_id, provider, provider_account_id),
  constraint connections_state_known
    check (state in ('active', 'limited', 'needs_reauth', 'provider_gone', 'revoked'))
);
comment on table paceline.connections is 'One permanent link per user, provider and provider account; reconnecting reuses it.';
comment on column paceline.connections.scopes is 'What the provider granted, in its own words.';

create table paceline.connection_secrets (
  connection_id uuid constraint connection_secrets_pkey primary key
    constraint connection_secrets_connection_fkey references paceline.connections (id) on delete cascade,
  sealed bytea not null,
  expires_at timestamptz not null,
  token_version bigint not null default 1,
  refresh_by uuid,
  refresh_until timestamptz,
  updated_at timestamptz not null default clock_timestamp(),
  constraint connection_secrets_refresh_pair check ((refresh_by is null) = (refresh_until is null))
);
comment on table paceline.connection_secrets is 'Sealed tokens, apart from what a user may read.';
comment on column paceline.connection_secrets.sealed is 'Key id, nonce and XChaCha20-Poly1305 ciphertext of the token pair; bound to the connection id.';
comment on column paceline.connection_secrets.expires_at is 'When the access token ends, by the provider''s answer.';
comment on column paceline.connection_secrets.token_version is 'Rises with every stored pair; a refresh stores only over the version it saw.';
comment on column paceline.connection_secrets.refresh_by is 'The worker that holds the refresh lease.';
comment on column paceline.connection_secrets.refresh_until is 'When the refresh lease ends by itself.';
