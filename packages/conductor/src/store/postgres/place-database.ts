/** Where a database of our own lives, and as whom it runs. */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import type { World } from '../../world.ts'
import { asUser, chooseServerUser, type ServerUser, userOf } from './choose-server-user.ts'

export interface Place {
  /** Holds `data` (PostgreSQL's own folder) and, where its path is short enough, `socket`. */
  folder: string
  /** PostgreSQL's data folder. */
  data: string
  /** Whom the server runs as; null means as ourselves. */
  user: ServerUser | null
  /** Where copies of binaries may be kept. */
  copies: string
  /** What runs it, or null where there is no database yet. */
  existing: { major: number; origin?: string } | null
}

/** What `database.json` in the data folder says. */
interface DatabaseNote {
  folder: string
  origin: string
  version: string
}

/** State of all Conductors that root runs and that keep their database outside of a data folder its user cannot enter. */
const sharedFolder = '/var/lib/maestro'

/**
 * Finds the database of a data folder, or the place for a new one. Throws `store_incompatible` where the database that
 * was here is gone or belongs to somebody else: starting an empty one in its stead would look like data loss.
 */
export function placeDatabase(dataFolder: string, world: World): Place {
  const note = readNote(dataFolder)
  const folder = note?.folder ?? join(dataFolder, 'database')
  if (existsSync(join(folder, 'data'))) return existingPlace(dataFolder, folder, note)
  if (note && !existsSync(folder)) {
    throw new ConductorError(
      'store_incompatible',
      `The database of ${dataFolder} should be in ${folder} and is not. Bring it back, or remove database.json from the data folder to start with an empty one.`,
    )
  }
  const user = chooseServerUser(world.log)
  if (makeReachable(folder, user)) return placeIn(dataFolder, folder, user, null)
  const elsewhere = join(sharedFolder, digestOf(dataFolder))
  mkdirSync(sharedFolder, { recursive: true, mode: 0o711 })
  setAside(elsewhere, world)
  if (makeReachable(elsewhere, user)) return placeIn(dataFolder, elsewhere, user, null)
  throw new ConductorError('store_unavailable', `User ${user?.name ?? 'we run as'} can enter neither ${folder} nor ${elsewhere}.`)
}

/** Writes down where the database is and what runs it; before it is made, so that a crash on the way is not taken for a loss. */
export function notePlace(dataFolder: string, place: Place, binaries: { origin: string; version: string }): void {
  const note: DatabaseNote = { folder: place.folder, origin: binaries.origin, version: binaries.version }
  const text = `${JSON.stringify(note, null, 2)}\n`
  const path = join(dataFolder, 'database.json')
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return
  writeFileSync(`${path}.partial`, text, { mode: 0o600 })
  renameSync(`${path}.partial`, path)
}

/**
 * A folder for the server's socket, which only the server's user (and root) can enter: that is the whole
 * authentication. In the database's folder where the path fits into a socket address, else a short one elsewhere.
 */
export function makeSocketFolder(place: Place): string {
  const uid = place.user?.uid ?? process.getuid?.() ?? 0
  const name = `maestro-${digestOf(place.data).slice(0, 12)}`
  const roots = place.user ? ['/run', '/tmp'] : [`/run/user/${uid}`, '/tmp']
  for (const folder of [join(place.folder, 'socket'), ...roots.map(root => join(root, name))]) {
    if (socketFits(folder) && makePrivate(folder, place.user, uid)) return folder
  }
  // Somebody took the names in /tmp that we wanted.
  const folder = mkdtempSync('/tmp/maestro-')
  if (place.user) chownSync(folder, place.user.uid, place.user.gid)
  return folder
}

function existingPlace(dataFolder: string, folder: string, note: DatabaseNote | null): Place {
  const user = userOf(statSync(join(folder, 'data')))
  if (user && process.getuid?.() !== 0) {
    throw new ConductorError(
      'store_incompatible',
      `The database in ${folder} belongs to user ${user.name}. Start Conductor as that user or as root, or name another data folder with --data.`,
    )
  }
  const major = Number(readFileSync(join(folder, 'data', 'PG_VERSION'), 'utf8').trim())
  return placeIn(dataFolder, folder, user, note ? { major, origin: note.origin } : { major })
}

function placeIn(dataFolder: string, folder: string, user: ServerUser | null, existing: Place['existing']): Place {
  return { folder, data: join(folder, 'data'), user, copies: user ? sharedFolder : join(dataFolder, 'database'), existing }
}

function readNote(dataFolder: string): DatabaseNote | null {
  const path = join(dataFolder, 'database.json')
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as DatabaseNote) : null
}

/** A data folder that was removed leaves its database here; a new one of the same name must not find the old rows. */
function setAside(folder: string, world: World): void {
  if (!existsSync(folder)) return
  const aside = `${folder}.${world.now()}`
  renameSync(folder, aside)
  world.log.warn('database.set_aside', { folder: aside, hint: 'Its data folder is gone. Remove it if nobody misses it.' })
}

/** Makes the folder and says whether its user can come there; leaves nothing behind where not. */
function makeReachable(folder: string, user: ServerUser | null): boolean {
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
  if (!user) return true
  chownSync(folder, user.uid, user.gid)
  // Asked of the kernel as that user: it knows of access lists and mounts, we do not.
  const entered = spawnSync('/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder], { ...asUser(user), env: {} })
  if (entered.status === 0) return true
  rmdirSync(folder)
  return false
}

/** A socket's path takes at most 107 bytes (sun_path, unix(7)); PostgreSQL puts `.s.PGSQL.5432` into the folder. */
function socketFits(folder: string): boolean {
  return Buffer.byteLength(`${folder}/.s.PGSQL.5432`) <= 107
}

function makePrivate(folder: string, user: ServerUser | null, uid: number): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 })
    if (user) chownSync(folder, user.uid, user.gid)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return false
  }
  // In /tmp anybody may have made it first, also as a link: only a folder of the server's user that nobody else enters will do.
  const found = lstatSync(folder)
  return found.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 20)
}
