-- A deployment may ask that the HTTP exchanges of its server go on the tape.

alter table maestro.deployments add column egress_record boolean not null default false;
