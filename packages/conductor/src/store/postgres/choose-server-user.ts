/** PostgreSQL refuses to run as root; this finds whom it runs as instead. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Log } from '../../telemetry/log.ts'

export interface ServerUser {
  name: string
  uid: number
  gid: number
}

/**
 * The user a new database runs as: null (ourselves) unless we are root; then the system's `postgres` user,
 * else a system user `maestro`, made if need be, else `nobody`.
 */
export function chooseServerUser(log: Log): ServerUser | null {
  if (process.getuid?.() !== 0) return null
  const known = findUser('postgres') ?? findUser('maestro')
  if (known) return known
  spawnSync('useradd', ['--system', '--user-group', '--no-create-home', '--home-dir', '/nonexistent', 'maestro'], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
  })
  const made = findUser('maestro')
  if (made) return made
  log.warn('database.user.shared', { user: 'nobody', hint: 'Make a system user named maestro, so that nothing else runs as it.' })
  return findUser('nobody') ?? { name: 'nobody', uid: 65_534, gid: 65_534 }
}

/** The owner of an existing database, or null where that is ourselves. */
export function userOf(owner: { uid: number; gid: number }): ServerUser | null {
  if (owner.uid === process.getuid?.()) return null
  return findUser(owner.uid) ?? { name: String(owner.uid), uid: owner.uid, gid: owner.gid }
}

/** Options for `spawn` that make the child this user. The working folder is one that everybody can enter. */
export function asUser(user: ServerUser | null): { cwd: string; uid?: number; gid?: number } {
  return user ? { cwd: '/', uid: user.uid, gid: user.gid } : { cwd: '/' }
}

function findUser(nameOrUid: string | number): ServerUser | null {
  let accounts = ''
  try {
    accounts = readFileSync('/etc/passwd', 'utf8')
  } catch {
    return null
  }
  for (const line of accounts.split('\n')) {
    const [name, , uid, gid] = line.split(':')
    if (!name || !uid || !gid) continue
    if (name === nameOrUid || Number(uid) === nameOrUid) return { name, uid: Number(uid), gid: Number(gid) }
  }
  return null
}
