import { fileURLToPath } from 'node:url'

const folder = (name: string): string => fileURLToPath(new URL(`./servers/${name}`, import.meta.url))

/** Folders of MCP servers for tests; each deploys with `maestro deploy <folder>`. */
export const serverFolders = {
  /** What the official conformance suite calls by name; `http [port]` serves it without us. */
  conformance: folder('conformance'),
  /** The fastest server there is. */
  echo: folder('echo'),
  /** First argument: one of `misbehaviours`. */
  misbehaving: folder('misbehaving'),
  /** First argument: one of `animals`. */
  zoo: folder('zoo'),
} as const

/** How `serverFolders.misbehaving` fails: on its start, or when the tool `misbehave` is called. */
export const misbehaviours = [
  'crash-on-start',
  'hang-initialize',
  'crash-on-call',
  'flood-stdout',
  'flood-stderr',
  'garble',
  'fork-bomb',
  'memory-hog',
  'slow',
  'never-answer',
  'huge-frame',
  'exit-on-ping',
  'ignore-sigterm',
  'behave',
] as const
export type Misbehaviour = (typeof misbehaviours)[number]

/** Sources of behaviour in `serverFolders.zoo`, one each. */
export const animals = ['asking', 'clock', 'counter', 'paged', 'progress', 'random', 'still', 'timer'] as const
export type Animal = (typeof animals)[number]
