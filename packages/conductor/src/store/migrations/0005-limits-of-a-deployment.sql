-- What the sandboxes of a deployment may use, where that differs from the operator's settings.

alter table maestro.deployments add column limits json not null default '{}';
