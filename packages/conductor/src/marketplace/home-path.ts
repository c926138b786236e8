import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** A path as a person writes it, from the root; `~` is the home of whoever runs Conductor. */
export const homePath = (path: string): string =>
  resolve(path === '~' || path.startsWith('~/') ? join(homedir(), path.slice(1)) : path)
