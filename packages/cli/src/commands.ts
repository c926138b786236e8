/** Every command: its name and summary at once, the rest only when it is run, so that `maestro --help` stays quick. */
import type { Command } from './command.ts'

export interface Entry {
  name: string
  summary: string
  group: 'Run' | 'Deploy' | 'Use' | 'Look' | 'Help'
  load(): Promise<{ default: Command }>
}

export const entries: readonly Entry[] = [
  { group: 'Run', name: 'up', summary: 'Start Conductor here', load: () => import('./commands/up.ts') },
  { group: 'Run', name: 'stop', summary: 'Drain and end the running Conductor', load: () => import('./commands/stop.ts') },
  { group: 'Run', name: 'status', summary: 'What runs, where, since when', load: () => import('./commands/status.ts') },
  {
    group: 'Run',
    name: 'doctor',
    summary: 'What this machine has and lacks, and how to mend it',
    load: () => import('./commands/doctor.ts'),
  },
  { group: 'Run', name: 'open', summary: 'Open the console', load: () => import('./commands/open.ts') },

  { group: 'Deploy', name: 'deploy', summary: 'Install a server and give it a URL', load: () => import('./commands/deploy.ts') },
  { group: 'Deploy', name: 'deployments', summary: 'List what is deployed', load: () => import('./commands/deployments.ts') },
  {
    group: 'Deploy',
    name: 'remove',
    summary: 'Remove a deployment; its recordings stay',
    load: () => import('./commands/remove.ts'),
  },
  {
    group: 'Deploy',
    name: 'secret set',
    summary: 'Keep a secret for deployments',
    load: () => import('./commands/secret-set.ts'),
  },
  { group: 'Deploy', name: 'secret list', summary: 'List the names of secrets', load: () => import('./commands/secret-list.ts') },
  { group: 'Deploy', name: 'secret remove', summary: 'Forget a secret', load: () => import('./commands/secret-remove.ts') },

  { group: 'Use', name: 'tools', summary: 'List the tools of a deployment', load: () => import('./commands/tools.ts') },
  { group: 'Use', name: 'call', summary: 'Call a tool in a session of its own', load: () => import('./commands/call.ts') },
  {
    group: 'Use',
    name: 'connect',
    summary: 'Be a stdio server to a client, on behalf of a deployment',
    load: () => import('./commands/connect.ts'),
  },
  {
    group: 'Use',
    name: 'token',
    summary: 'Make a short-lived token for a deployment',
    load: () => import('./commands/token.ts'),
  },

  { group: 'Look', name: 'sessions', summary: 'List sessions, newest first', load: () => import('./commands/sessions.ts') },
  {
    group: 'Look',
    name: 'session show',
    summary: 'Show what a session said and did',
    load: () => import('./commands/session-show.ts'),
  },
  { group: 'Look', name: 'session close', summary: 'End a session now', load: () => import('./commands/session-close.ts') },
  {
    group: 'Look',
    name: 'replay',
    summary: 'Run a recorded session again and compare',
    load: () => import('./commands/replay.ts'),
  },
  { group: 'Look', name: 'stub', summary: 'Let a recording answer clients', load: () => import('./commands/stub.ts') },
  { group: 'Look', name: 'logs', summary: 'Show the log, and follow it', load: () => import('./commands/logs.ts') },
  {
    group: 'Look',
    name: 'pool',
    summary: 'Warm, starting and leased sandboxes, why so many, and what is left over',
    load: () => import('./commands/pool.ts'),
  },

  { group: 'Help', name: 'help', summary: 'Explain a command or a topic', load: () => import('./commands/help.ts') },
  { group: 'Help', name: 'completion', summary: 'Print shell completion', load: () => import('./commands/completion.ts') },
  { group: 'Help', name: 'version', summary: 'Print versions', load: () => import('./commands/version.ts') },
]
