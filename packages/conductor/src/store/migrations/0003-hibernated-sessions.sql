-- A session whose sandbox was given back while nobody spoke, to be made again on the next frame.

alter table maestro.sessions
  drop constraint sessions_state_check,
  add constraint sessions_state_check check (state in ('opening', 'ready', 'hibernated', 'closed'));
