-- Everything names its tenant from the first day. Ids sort by the time they were made, by byte value.
-- What a server or a client said is `json`, not `jsonb`: kept as it was sent, key order, repeated keys and \u0000 included.

create table maestro.releases (
  tenant      text collate "C" not null check (tenant like 'ten\_%'),
  id          text collate "C" not null check (id like 'rel\_%'),
  kind        text not null check (kind in ('npm', 'folder', 'remote', 'recording')),
  name        text not null,
  version     text not null,
  digest      text not null,
  source      json not null,
  manifest    json not null,
  bundle      text,
  entry       text,
  ran_with    text not null,
  created_at  bigint not null check (created_at >= 0),
  primary key (tenant, id)
);
create index releases_by_version on maestro.releases (tenant, kind, name, version, created_at desc);

create table maestro.deployments (
  tenant      text collate "C" not null,
  id          text collate "C" not null check (id like 'dep\_%'),
  name        text collate "C" not null,
  release     text collate "C" not null,
  env         json not null,
  args        json not null,
  egress      json not null,
  created_at  bigint not null check (created_at >= 0),
  updated_at  bigint not null check (updated_at >= 0),
  primary key (tenant, id),
  unique (tenant, name),
  foreign key (tenant, release) references maestro.releases (tenant, id)
);

-- No reference to deployments: a session outlives the deployment it ran on.
create table maestro.sessions (
  tenant            text collate "C" not null check (tenant like 'ten\_%'),
  id                text collate "C" not null check (id like 'ses\_%'),
  deployment        text collate "C" not null,
  deployment_name   text not null,
  release           text collate "C" not null,
  era               text not null check (era in ('session', 'stateless')),
  protocol_version  text,
  client            text,
  subject           text not null,
  driver            text not null,
  warm              boolean not null,
  state             text not null check (state in ('opening', 'ready', 'closed')),
  close_reason      text,
  startup_ms        double precision,
  frames            bigint not null check (frames >= 0),
  calls             bigint not null check (calls >= 0),
  errors            bigint not null check (errors >= 0),
  opened_at         bigint not null check (opened_at >= 0),
  closed_at         bigint,
  primary key (tenant, id),
  check ((state = 'closed') = (closed_at is not null))
);
create index sessions_by_age on maestro.sessions (tenant, opened_at desc, id desc);
create index sessions_by_deployment on maestro.sessions (tenant, deployment, opened_at desc, id desc);
create index sessions_open on maestro.sessions (tenant, opened_at desc, id desc) where state <> 'closed';

-- No reference to sessions: their rows are gathered and may come after their first replay.
create table maestro.replays (
  tenant            text collate "C" not null check (tenant like 'ten\_%'),
  id                text collate "C" not null check (id like 'rpl\_%'),
  session           text collate "C" not null,
  kind              text not null check (kind = 're-execution'),
  state             text not null check (state in ('running', 'done', 'failed')),
  frames_matched    bigint not null check (frames_matched >= 0),
  frames_total      bigint not null check (frames_total >= 0),
  fidelity          double precision not null,
  identical         boolean not null,
  first_divergence  json,
  differences       json not null,
  error             json,
  driver            text not null,
  duration_ms       double precision not null,
  created_at        bigint not null check (created_at >= 0),
  primary key (tenant, id)
);
create index replays_by_session on maestro.replays (tenant, session, created_at desc, id desc);

create table maestro.secrets (
  tenant      text collate "C" not null check (tenant like 'ten\_%'),
  name        text collate "C" not null,
  sealed      bytea not null,
  updated_at  bigint not null check (updated_at >= 0),
  primary key (tenant, name)
);

create table maestro.tenant_keys (
  tenant      text collate "C" primary key check (tenant like 'ten\_%'),
  wrapped     bytea not null,
  created_at  bigint not null check (created_at >= 0)
);
