-- A release's program may be run by Node, by Python or by the kernel itself.

alter table maestro.releases
  add column runtime text check (runtime in ('node', 'python', 'native')),
  drop constraint releases_kind_check,
  add constraint releases_kind_check check (kind in ('npm', 'pypi', 'folder', 'file', 'remote', 'recording'));
update maestro.releases set runtime = 'node' where entry is not null;
alter table maestro.releases add constraint releases_program_check check ((entry is null) = (runtime is null));
