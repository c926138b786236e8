import { chmodSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ConductorError } from '@maestro/contract'
import type { World } from '../world.ts'
import { holdOpen } from './hold-open.ts'
import { processIdentity } from './process-identity.ts'

const attemptsMax = 5

export interface DataFolderLock {
  /** Gives the folder free. Safe to call twice. */
  release(): void
}

/**
 * Makes the data folder where it is missing and takes it for this process alone.
 *
 * Every Conductor first puts down a claim (a file named after its process) and then looks for claims of other
 * live processes. Whoever sees none has the folder. Two that come together see each other, step back and try again,
 * so no order of steps gives the folder to both. Claims of dead processes count for nothing: `kill -9` leaves no lock.
 *
 * Throws `data_locked` with the holder's pid.
 */
export async function lockDataFolder(dataFolder: string, world: World): Promise<DataFolderLock> {
  makeDataFolder(dataFolder)
  const claims = join(dataFolder, 'lock')
  mkdirSync(claims, { recursive: true, mode: 0o700 })
  const claim = processIdentity(process.pid) ?? `${process.pid}.self.boot`
  const release = () => rmSync(join(claims, claim), { force: true })

  // Within one process the claim is the same file, so a second taker must be told by its existence.
  for (let attempt = 1; ; attempt++) {
    const holder = tryClaim(claims, claim)
    if (holder === null) return { release }
    if (attempt === attemptsMax) {
      throw new ConductorError('data_locked', `The data folder ${dataFolder} is used by process ${holder}.`, { pid: holder })
    }
    await holdOpen(world.sleep(20 + (world.randomBytes(1)[0] ?? 0) / 2))
  }
}

function tryClaim(claims: string, claim: string): number | null {
  try {
    writeFileSync(join(claims, claim), '', { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return process.pid
    throw error
  }
  for (const other of readdirSync(claims)) {
    if (other === claim) continue
    const pid = Number.parseInt(other, 10)
    if (processIdentity(pid) === other) {
      rmSync(join(claims, claim), { force: true })
      return pid
    }
    rmSync(join(claims, other), { force: true, recursive: true })
  }
  return null
}

function makeDataFolder(dataFolder: string): void {
  const made = mkdirSync(dataFolder, { recursive: true, mode: 0o700 })
  // Root cannot run PostgreSQL itself: the user that does must pass through this folder to reach its own, without seeing the rest.
  // A folder that already held something keeps the permissions its owner gave it; the database then lives elsewhere.
  const fresh = made !== undefined || readdirSync(dataFolder).length === 0
  if (fresh && process.getuid?.() === 0) chmodSync(dataFolder, 0o711)
}
