import { isAbsolute } from 'node:path'
import { ConductorError } from '@maestro/contract'

/** The parts of a package-lock (version 3) that we read. Untrusted where it came with a folder. */
export interface Lock {
  packages: Record<string, LockEntry>
}

interface LockEntry {
  version?: string
  resolved?: unknown
  integrity?: string
  link?: boolean
  inBundle?: boolean
  engines?: { node?: string }
  dependencies?: Record<string, string>
}

/** Throws `install_failed` where the text is not a lockfile with a `packages` table (npm 7 and later). */
export function readLock(text: string): Lock {
  try {
    const lock = JSON.parse(text) as Partial<Lock> | null
    if (lock && typeof lock.packages === 'object' && lock.packages !== null) return lock as Lock
  } catch {
    // Said below: what is wrong with it is the same for the person.
  }
  throw new ConductorError('install_failed', 'The lockfile cannot be read; make it anew with a current npm.')
}

/**
 * Holds every package that will be fetched to a checksum, and to a place it may come from: a registry, or the project itself.
 * Exempt from the checksum are the root, links into the project, and packages shipped inside another one's archive: that
 * archive's checksum covers them. Throws `package_integrity_failed`.
 */
export function checkLock(lock: Lock): void {
  for (const [path, entry] of Object.entries(lock.packages)) {
    if (leadsOut(path) || (entry.resolved !== undefined && !mayComeFrom(entry.resolved))) {
      throw new ConductorError('package_integrity_failed', `${path} comes neither from a registry nor from the folder itself.`, {
        package: path,
      })
    }
    if (!path.includes('node_modules/') || entry.link || entry.inBundle) continue
    if (typeof entry.integrity !== 'string' || !/^(sha512|sha384|sha256|sha1)-[A-Za-z0-9+/=]+/.test(entry.integrity)) {
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
      throw new ConductorError(
        'package_integrity_failed',
        `${name} has no checksum in the lockfile, so what arrives cannot be held to it.`,
        {
          package: name,
        },
      )
    }
  }
}

function mayComeFrom(resolved: unknown): boolean {
  if (typeof resolved !== 'string') return false
  if (/^https?:\/\//.test(resolved)) return true
  const path = resolved.replace(/^file:/, '')
  return !/^[a-z][a-z0-9+.-]*:/i.test(path) && !leadsOut(path)
}

/** Whether a path leaves the folder it starts in. */
const leadsOut = (path: string): boolean => isAbsolute(path) || path.split(/[\\/]/).includes('..')
